package caddyauth

import (
	"net/http"
	"testing"
)

// `passwordless_guard /admin/*` leaves the rest of the application open. The application believes its identity headers there as well, so a
// client that sends them without any session must not be believed, and our cookies are none of its business.
func TestAttackForgedIdentityBesideTheGuardedPaths(t *testing.T) {
	g := newGuarded(t)
	_, cookie := g.signIn("alice", appOrigin)
	g.guard(Guard{PathRule: true, Headers: map[string]string{"X-Department": "department"}}) // of /admin/*, which this request is not for
	beside := g.guard(Guard{EndpointsOnly: true})
	r := script(appOrigin+"/profile", cookie, &http.Cookie{Name: "theirs", Value: "1"})
	for _, name := range []string{"X-Passwordless-User", "x_passwordless_groups", "X-Department", "X-Original-Url"} {
		r.Header[name] = []string{"admin"}
	}
	r.Header.Set("Connection", "close, X-Passwordless-User")
	if w := g.serve(r, beside); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	for name, values := range g.reached.Header {
		if values[0] == "admin" {
			t.Errorf("%s reached the upstream", name)
		}
	}
	if got := g.reached.Header.Get("Cookie"); got != "theirs=1" {
		t.Errorf("cookies of the upstream: %q", got)
	}
	if got := g.reached.Header.Get("Connection"); got != "close" {
		t.Errorf("Connection: %q", got)
	}
	if g.reached.Header.Get(headerUser) != "" {
		t.Error("an identity that nobody asked for")
	}
}

// What one guard takes off a request the next one, of another realm, still has to know; so do a matcher and a question of another proxy.
func TestSessionIsKnownAfterItsCookieWasTakenOff(t *testing.T) {
	g := newGuarded(t)
	_, cookie := g.signIn("alice", appOrigin)
	g.app.Realms["second"] = g.app.Realms[DefaultRealm]
	g.app.opened["second"] = g.open(g.app.Realms["second"], "second")
	for name, first := range map[string]Guard{
		"endpoints": {EndpointsOnly: true}, "endpoints of another realm": {EndpointsOnly: true, Realm: "second"},
		"bypass of another realm": {Realm: "second", Bypass: []string{"/a"}},
	} {
		if w := g.serve(script(appOrigin+"/a", cookie), g.guard(first), g.guard(Guard{})); w.Code != http.StatusOK || g.reached.Header.Get(headerUser) != "alice" {
			t.Errorf("%s, then a guard: %d %v", name, w.Code, w.Header())
		}
		if g.reached.Header.Get("Cookie") != "" {
			t.Errorf("%s, then a guard: the cookie went upstream", name)
		}
		before, m := g.guard(first), g.matcher()
		g.serve(script(appOrigin+"/a", cookie), before)
		if matched, err := m.MatchWithError(g.reached); err != nil || !matched {
			t.Errorf("%s, then a matcher: %v %v", name, matched, err)
		}
		f := g.forwardAuth(ForwardAuth{Proxy: proxyEnvoy, PathPrefix: "/verify"})
		question := ask(proxyEnvoy, script(appOrigin+"/x", cookie))
		question.URL.Path = "/a"
		g.serve(question, before)
		w := g.answerAgain(f)
		if w.Code != http.StatusOK || w.Header().Get(headerUser) != "alice" || w.Header().Get("Cookie") != "" {
			t.Errorf("%s, then forward auth: %d %v", name, w.Code, w.Header())
		}
	}
}
