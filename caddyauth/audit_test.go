package caddyauth

import (
	"context"
	"errors"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-cognito/passwordless/internal/session"
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

var (
	documentedEvent = regexp.MustCompile("(?m)^\\| `([a-z_]+)`(?:, `([a-z_]+)`)? \\|")
	usedReason      = regexp.MustCompile(`reason: +"([a-z_]+)"`)
)

// The documentation names every happening, every metric and every reason of a guard, and none that is not there.
func TestObservabilityIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "## Audit log")
	table, _, _ = strings.Cut(table, "\nFurther fields")
	var documented, known []string
	for _, m := range documentedEvent.FindAllStringSubmatch(table, -1) {
		documented = append(documented, m[1:]...)
	}
	for _, h := range happenings {
		known = append(known, h.done, h.failed)
	}
	for _, list := range []*[]string{&documented, &known} {
		*list = slices.DeleteFunc(*list, func(s string) bool { return s == "" })
		slices.Sort(*list)
	}
	if !slices.Equal(documented, known) {
		t.Errorf("documented: %q\nrecorded:   %q", documented, known)
	}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		source, err := os.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range usedReason.FindAllStringSubmatch(string(source), -1) {
			if !strings.Contains(string(text), "`"+m[1]+"`") {
				t.Errorf("%s refuses for the reason %s, which is not documented", file.Name(), m[1])
			}
		}
	}
	for _, name := range []string{"passwordless_events_total", "passwordless_guard_requests_total", "passwordless_backend_duration_seconds"} {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("%s is not documented", name)
		}
	}
}
