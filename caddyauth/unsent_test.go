package caddyauth

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-cognito/passwordless/internal/localpool"
	"github.com/caddy-cognito/passwordless/userpool"
)

// closedPort is where nobody listens.
func closedPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().(*net.TCPAddr).Port
}

// The mail server is down. The operator reads of each mail that could not be sent; whoever asks for one sees the same, with an account and
// without, for else they would learn who has one.
func TestAuditLogOfALinkThatCouldNotBeMailed(t *testing.T) {
	for _, code := range []bool{false, true} {
		down := &localpool.SMTP{Host: "127.0.0.1", Port: closedPort(t), TLS: "none"}
		if err := down.Validate(); err != nil {
			t.Fatal(err)
		}
		p := openMailingPool(t, false, down, func(r *Realm, _ *Portal) { r.SignUp.Mode, r.MagicLink.Code = SignUpClosed, code })
		p.addUser("pascal@example.com", true, true)
		var seen [][]string
		for _, email := range []string{"pascal@example.com", "nobody@example.com"} {
			b := p.browser()
			seen = append(seen, strings.Split(stranger(b, email), "\n"))
		}
		same(t, "nobody@example.com", "sees", seen[0], seen[1])
		if !slices.ContainsFunc(seen[0], func(line string) bool { return strings.HasPrefix(line, "asking for a link: 303 ") }) {
			t.Errorf("the form does not lead on: %.300q", seen[0])
		}
		var failed []string
		for _, line := range p.logs.FilterMessage("link_refused").All() {
			got := line.ContextMap()
			failed = append(failed, got["email"].(string)+" "+got["outcome"].(string)+" "+got["reason"].(string))
		}
		if !slices.Contains(failed, "pascal@example.com failure not_sent") {
			t.Errorf("the audit log has %q", failed)
		}
		for _, line := range p.logs.FilterMessage("link_requested").All() {
			if got := line.ContextMap(); got["email"] == "pascal@example.com" {
				t.Errorf("a mail that was never sent counts as asked for: %v", got)
			}
		}
	}
}

// Cognito says of a trigger that failed that it did, and of an account that is disabled that it is not authorized.
func TestAuditLogOfATriggerThatFails(t *testing.T) {
	for code, reason := range map[string]string{"UserLambdaValidationException": "not_sent", "NotAuthorizedException": "refused"} {
		p := newPortal(t)
		p.pool.respond = func(userpool.Response) (userpool.Result, error) {
			return userpool.Result{}, &userpool.Error{Operation: "RespondToAuthChallenge", Kind: userpool.ErrNotAuthorized, Code: code}
		}
		b := p.browser()
		sent := b.submit("/auth/sign-in", "flow", b.found(b.get("/auth/sign-in"), flowField), "email", anna)
		if sent.Code != http.StatusSeeOther || !strings.Contains(sent.Header().Get("Location"), "/auth/check-mail") {
			t.Errorf("%s: the answer is %d %v", code, sent.Code, sent.Header())
		}
		lines := p.logs.FilterMessage("link_refused").All()
		if len(lines) != 1 || lines[0].ContextMap()["outcome"] != "failure" || lines[0].ContextMap()["reason"] != reason {
			t.Errorf("%s: %v", code, lines)
		}
		if got := p.logs.FilterMessage("link_requested").Len(); got != 0 {
			t.Errorf("%s: %d successes", code, got)
		}
	}
}
