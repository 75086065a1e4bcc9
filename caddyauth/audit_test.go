package caddyauth

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/userpool"
)

// Who signed in, how, from where, into what, and under which reference the access log has the request.
func TestAuditLogOfASignIn(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	s := b.signInByLink(anna)
	lines := p.logs.FilterMessage("signed_in").All()
	if len(lines) != 1 {
		t.Fatalf("%d lines", len(lines))
	}
	if lines[0].LoggerName != "audit" || lines[0].Level != zapcore.InfoLevel {
		t.Errorf("logged as %s by %q", lines[0].Level, lines[0].LoggerName)
	}
	got := lines[0].ContextMap()
	for field, want := range map[string]string{
		"event": "signed_in", "outcome": "success", "realm": DefaultRealm, "address": "192.0.2.1", "user": annaSub, "subject": annaSub,
		"email": anna, "factor": string(session.MagicLink), "application": appOrigin, "session": session.PublicID(s),
	} {
		if got[field] != want {
			t.Errorf("%s is %q, want %q", field, got[field], want)
		}
	}
	if got["reference"] == "" {
		t.Error("no reference")
	}
	if got := p.logs.FilterMessage("link_requested").All(); len(got) != 1 || got[0].ContextMap()["email"] != anna {
		t.Errorf("the request for the link: %+v", got)
	}
}

// Attack: forge lines of the audit log, or fill the disk, by what a client may write.
func TestAuditLogBoundsWhatClientsWrite(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	page := b.get("/auth/sign-in")
	r := posted("/auth/sign-in", "application/x-www-form-urlencoded", "email=anna%40example.com&flow="+b.found(page, flowField))
	r.Header.Set("User-Agent", strings.Repeat("a", 100_000)+"\n{\"event\":\"signed_in\"}")
	b.send(r)
	lines := p.logs.FilterMessage("link_requested").All()
	if len(lines) != 1 {
		t.Fatalf("%d lines", len(lines))
	}
	if agent := lines[0].ContextMap()["user_agent"].(string); len(agent) != maxAgent {
		t.Errorf("a user agent of %d bytes", len(agent))
	}
}

// subscriber notes Caddy's events, and tries to stop them.
type subscriber struct{ got []caddy.Event }

func (s *subscriber) Handle(_ context.Context, e caddy.Event) error {
	s.got = append(s.got, e)
	return errors.Join(caddy.ErrEventAborted, errors.New("no"))
}

// Subscribers of Caddy's events hear what the audit log says, and have no say.
func TestEventsReachSubscribers(t *testing.T) {
	p := newPortal(t)
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	app := new(caddyevents.App)
	if err := app.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	heard := new(subscriber)
	if err := app.On("passwordless.signed_in", heard); err != nil {
		t.Fatal(err)
	}
	if err := app.Start(); err != nil {
		t.Fatal(err)
	}
	p.rt.events = events{app, ctx}
	p.browser().signInByLink(anna)
	if len(heard.got) != 1 {
		t.Fatalf("%d events", len(heard.got))
	}
	if data := heard.got[0].Data; data["email"] != anna || data["factor"] != string(session.MagicLink) || data["outcome"] != "success" {
		t.Errorf("the event has %v", data)
	}
}

// A denial names the person and the page, but not its query.
func TestAccessDeniedIsRecorded(t *testing.T) {
	g := newGuarded(t)
	core, logs := observer.New(zapcore.InfoLevel)
	g.rt.logger = zap.New(core)
	_, cookie := g.signIn("alice", appOrigin)
	guard := g.guard(Guard{Allow: []Rule{{Groups: []string{"admins"}}}})
	if got := g.serve(navigation(appOrigin+"/reports?token=hidden", cookie), guard); got.Code != http.StatusForbidden {
		t.Fatalf("got %d", got.Code)
	}
	lines := logs.FilterMessage("access_denied").All()
	if len(lines) != 1 {
		t.Fatalf("%d lines", len(lines))
	}
	got := lines[0].ContextMap()
	if got["subject"] != "alice" || got["path"] != "/reports" || got["application"] != appOrigin || got["reason"] != "forbidden" || got["outcome"] != "failure" {
		t.Errorf("got %v", got)
	}
}

// Tokens are refreshed for whoever waits, so the line names the person alone.
func TestRefreshIsRecorded(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	s := b.signInByLink(anna)
	p.rt.pool = renewing{p.pool}
	p.rt.sessions.Refresher, p.rt.sessions.Traded = poolRefresher{p.rt}, p.rt.traded
	p.clock.Advance(time.Hour)
	if _, err := p.rt.sessions.Refresh(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	lines := p.logs.FilterMessage("refreshed").All()
	if len(lines) != 1 {
		t.Fatalf("%d lines", len(lines))
	}
	got := lines[0].ContextMap()
	if got["subject"] != annaSub || got["email"] != anna || got["outcome"] != "success" {
		t.Errorf("got %v", got)
	}
	for field, value := range got {
		if text, ok := value.(string); ok && (strings.Contains(text, "refresh token") || strings.Contains(text, "eyJ")) {
			t.Errorf("%s has a token", field)
		}
	}
}

// renewing gives new tokens for any refresh token.
type renewing struct{ *fakePool }

func (r renewing) Refresh(context.Context, string, string) (userpool.Tokens, error) {
	return r.p.tokens(poolUser{annaSub, anna}, r.p.clock.Now()), nil
}

// Attack: try passkeys without end. The operator sees from where.
func TestLimitIsRecorded(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	flow := b.found(b.get("/auth/sign-in"), flowField)
	for b.call("/auth/passkey/options", map[string]string{"flow": flow}).Code == http.StatusOK {
		continue
	}
	lines := p.logs.FilterMessage("limited").All()
	if len(lines) != 1 {
		t.Fatalf("%d lines", len(lines))
	}
	got := lines[0].ContextMap()
	if got["reason"] != "too_many" || got["path"] != "/auth/passkey/options" || got["address"] != "192.0.2.1" || got["outcome"] != "failure" {
		t.Errorf("got %v", got)
	}
}

var (
	documentedEvent = regexp.MustCompile("(?m)^\\| `([a-z_]+)`(?:, `([a-z_]+)`)? \\|")
	quotedName      = regexp.MustCompile("`([a-z_]+)`")
	usedReason      = regexp.MustCompile(`reason: +"([a-z_]+)"`)
	usedCode        = regexp.MustCompile(`\bcode: +"([a-z_]+)"|(?:audit|record)\(\w+, "([a-z_]+)"`)
	described       = regexp.MustCompile(`fqName: "([a-z_]+)".*variableLabels: \{([a-z_,]+)\}`)
)

// The documentation names every happening, every metric and every reason, and no happening or metric that is not there.
func TestObservabilityIsDocumented(t *testing.T) {
	file, err := os.ReadFile("../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(file)
	var documented, known []string
	for _, m := range documentedEvent.FindAllStringSubmatch(part(t, text, "## Audit log", "Further fields"), -1) {
		documented = append(documented, m[1:]...)
	}
	for _, h := range happenings {
		known = append(known, h.done, h.failed)
	}
	wantSame(t, "happenings", documented, known)
	wantSame(t, "metrics", documentedMetrics(part(t, text, "## Metrics", "A request that passes")), describedMetrics())
	var codes, reasons []string
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range sources {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range usedCode.FindAllStringSubmatch(string(source), -1) {
			codes = append(codes, m[1]+m[2])
		}
		for _, m := range usedReason.FindAllStringSubmatch(string(source), -1) {
			reasons = append(reasons, m[1])
		}
	}
	if len(codes) == 0 || len(reasons) == 0 {
		t.Fatal("the sources have no reasons: the patterns are stale")
	}
	wantDocumented(t, part(t, text, "Reasons of failures", "Everything else"), codes)
	wantDocumented(t, part(t, text, "A request that passes", "Outcomes of calls"), reasons)
}

// part is the text between two marks.
func part(t *testing.T, text, from, to string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, from)
	section, _, ended := strings.Cut(rest, to)
	if !found || !ended {
		t.Fatalf("the documentation has no part from %q to %q", from, to)
	}
	return section
}

func wantSame(t *testing.T, what string, documented, known []string) {
	t.Helper()
	for _, list := range []*[]string{&documented, &known} {
		*list = slices.DeleteFunc(*list, func(s string) bool { return s == "" })
		slices.Sort(*list)
	}
	if !slices.Equal(documented, known) {
		t.Errorf("%s documented: %q\nin the code: %q", what, documented, known)
	}
}

func wantDocumented(t *testing.T, section string, used []string) {
	t.Helper()
	for _, word := range used {
		if !strings.Contains(section, "`"+word+"`") {
			t.Errorf("%s is a reason and not documented", word)
		}
	}
}

// documentedMetrics are the rows of the table: name and labels.
func documentedMetrics(section string) (found []string) {
	for line := range strings.Lines(section) {
		columns := strings.Split(line, "|")
		if len(columns) < 4 || !strings.Contains(columns[1], "`") {
			continue
		}
		var words []string
		for _, m := range quotedName.FindAllStringSubmatch(columns[1]+columns[2], -1) {
			words = append(words, m[1])
		}
		found = append(found, strings.Join(words, " "))
	}
	return found
}

// describedMetrics are those that Prometheus gets.
func describedMetrics() (found []string) {
	descriptions := make(chan *prometheus.Desc, len(collectors))
	for _, c := range collectors {
		c.Describe(descriptions)
	}
	close(descriptions)
	for d := range descriptions {
		m := described.FindStringSubmatch(d.String())
		if m == nil {
			found = append(found, d.String())
			continue
		}
		found = append(found, m[1]+" "+strings.ReplaceAll(m[2], ",", " "))
	}
	return found
}

// Whoever may change passkeys or the phone number is in the audit log, by whatever they proved it, and so is whoever may not.
func TestReauthenticationsAreRecorded(t *testing.T) {
	p := newPortal(t, withSMS)
	b := p.browser()
	b.signInByLink(anna)
	b.freshProof()
	lines := p.logs.FilterMessage("reauthenticated").All()
	if len(lines) != 1 || lines[0].ContextMap()["subject"] != annaSub || lines[0].ContextMap()["purpose"] != proofPhone {
		t.Errorf("by a recent link: %+v", lines)
	}
	b.later()
	p.wantError(b.call("/auth/reauthenticate/options", map[string]string{"purpose": proofPhone}), http.StatusForbidden, "reauthentication_required")
	if lines = p.logs.FilterMessage("reauthentication_failed").All(); len(lines) != 1 || lines[0].ContextMap()["reason"] != "not_reauthenticated" {
		t.Errorf("by one of long ago: %+v", lines)
	}
}
