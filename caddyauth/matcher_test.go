package caddyauth

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

func (g *guarded) matcher(rules ...Rule) *Matcher {
	g.tb.Helper()
	m := &Matcher{Allow: rules, logger: zap.NewNop()}
	if err := m.bind(g.app, g.rt.config); err != nil {
		g.tb.Fatal(err)
	}
	return m
}

// matches asks the matcher as a route would, and checks that it leaves the request alone.
func (g *guarded) matches(m *Matcher, r *http.Request) bool {
	g.tb.Helper()
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, nil)
	before := r.Header.Clone()
	got, err := m.MatchWithError(r)
	if err != nil {
		g.tb.Fatal(err)
	}
	again, err := m.MatchWithError(r)
	if err != nil || again != got {
		g.tb.Errorf("asked again it says %v, %v", again, err)
	}
	if len(before) != len(r.Header) || before.Get("Cookie") != r.Header.Get("Cookie") {
		g.tb.Errorf("the matcher changed the request: %v", r.Header)
	}
	return got
}

func TestMatcher(t *testing.T) {
	g := newGuarded(t)
	g.pool.Groups = []string{"staff"}
	_, cookie := g.signIn("alice", appOrigin)
	signedIn, staff, admins := g.matcher(), g.matcher(Rule{Groups: []string{"staff"}}), g.matcher(Rule{Groups: []string{"admins"}})
	if !g.matches(signedIn, script(appOrigin+"/", cookie)) || !g.matches(staff, script(appOrigin+"/", cookie)) || g.matches(admins, script(appOrigin+"/", cookie)) {
		t.Error("alice of the staff")
	}
	if g.matches(signedIn, script(appOrigin+"/")) {
		t.Error("nobody")
	}
	forged := script(appOrigin + "/")
	forged.Header.Set(headerGroups, "admins")
	if g.matches(admins, forged) {
		t.Error("a forged header")
	}
}

// Behind a guard, which has taken our cookies off, the matcher knows what the guard knows.
func TestMatcherBehindTheGuard(t *testing.T) {
	g := newGuarded(t)
	g.pool.Groups = []string{"staff"}
	_, cookie := g.signIn("alice", appOrigin)
	staff, admins := g.matcher(Rule{Groups: []string{"staff"}}), g.matcher(Rule{Groups: []string{"admins"}})
	seen := false
	g.upstream = func(_ http.ResponseWriter, r *http.Request) {
		seen = true
		for m, want := range map[*Matcher]bool{staff: true, admins: false} {
			if got, err := m.MatchWithError(r); got != want || err != nil {
				t.Errorf("%v: %v %v", m.Allow, got, err)
			}
		}
	}
	g.serve(script(appOrigin+"/", cookie), g.guard(Guard{}))
	if !seen {
		t.Fatal("the guard let nothing through")
	}
	seen = false
	g.serve(script(appOrigin+"/open", cookie), g.guard(Guard{Bypass: []string{"/open"}}))
	if !seen {
		t.Error("the bypass let nothing through")
	}
}

// Whatever the guard denies, the matcher does not match, so that a configuration that leans on it alone is no hole.
func TestAttackMatcherInsteadOfGuard(t *testing.T) {
	g := newGuarded(t)
	s, cookie := g.signIn("alice", appOrigin)
	_, foreign := g.signIn("alice", otherOrigin)
	_, ended := g.signIn("bob", appOrigin)
	if err := g.rt.sessions.EndAll(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	altered := *cookie
	middle := []byte(altered.Value)
	if at := len(middle) / 2; middle[at] == 'A' {
		middle[at] = 'B'
	} else {
		middle[at] = 'A'
	}
	altered.Value = string(middle)
	socket := script(appOrigin+"/", cookie)
	socket.Header.Set("Upgrade", "websocket")
	socket.Header.Set("Origin", "https://evil.example.org")
	guard, matcher := g.guard(Guard{}), g.matcher()
	for name, r := range map[string]*http.Request{
		"nobody": script(appOrigin + "/"), "another host's cookie": script(appOrigin+"/", foreign), "signed out": script(appOrigin+"/", ended),
		"altered": script(appOrigin+"/", &altered), "two cookies": script(appOrigin+"/", cookie, cookie), "unlisted host": script("https://evil.example.org/", cookie),
		"foreign socket": socket,
	} {
		if g.matches(matcher, r.Clone(t.Context())) {
			t.Errorf("%s: matches", name)
		}
		if w := g.serve(r, guard); w.Code == http.StatusOK {
			t.Errorf("%s: the guard lets it in, so this case shows nothing", name)
		}
	}
	if !g.matches(matcher, script(appOrigin+"/", g.cookie(s, appOrigin))) {
		t.Error("the session itself does not match")
	}
	g.clock.Advance(25 * time.Hour)
	if err := g.rt.sessions.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if g.matches(matcher, script(appOrigin+"/", cookie)) {
		t.Error("an expired session matches")
	}
}

// `not passwordless` must not turn "nobody can tell" into "signed out": the request fails instead.
func TestMatcherThatCannotTellFails(t *testing.T) {
	g := newGuarded(t)
	_, cookie := g.signIn("alice", appOrigin)
	g.storage.Fail(func(string, string) error { return errors.New("storage is away") })
	g.clock.Advance(2 * time.Minute)
	m := g.matcher()
	r := caddyhttp.PrepareRequest(script(appOrigin+"/", cookie), caddy.NewReplacer(), nil, nil)
	var failure caddyhttp.HandlerError
	if ok, err := m.MatchWithError(r); ok || !errors.As(err, &failure) || failure.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%v %v", ok, err)
	}
	_ = g.app.Cleanup()
	if ok, err := m.MatchWithError(r); ok || !errors.As(err, &failure) {
		t.Errorf("closed realm: %v %v", ok, err)
	}
}

func TestMatcherCaddyfile(t *testing.T) {
	for input, want := range map[string]string{
		"passwordless": `{}`,
		"passwordless {\n realm staff\n group admins ops\n claim department contains sales\n factor passkey\n}": `{"realm":"staff","allow":[{"groups":["admins","ops"]},{"claim":"department","operator":"contains","values":["sales"]},{"factors":["passkey"]}]}`,
		"passwordless staff":                                 "takes a block",
		"passwordless {\n allow group admins\n}":             "is not a rule",
		"passwordless {\n realm a\n realm b\n}":              "takes one name, once",
		"passwordless {\n claim department like x\n}":        "write `claim department equals like x`",
		"passwordless {\n claim department sales like\n}":    `{"allow":[{"claim":"department","values":["sales","like"]}]}`,
		"passwordless {\n claim department equals like x\n}": `{"allow":[{"claim":"department","operator":"equals","values":["like","x"]}]}`,
		"passwordless {\n group a {\n b\n}\n}":               "takes no block",
	} {
		m := new(Matcher)
		if err := m.UnmarshalCaddyfile(caddyfile.NewTestDispenser(input)); err != nil {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", input, err)
			}
			continue
		}
		if got, err := json.Marshal(m); err != nil || string(got) != want {
			t.Errorf("%s\ngot  %s\nwant %s", input, got, want)
		}
	}
}
