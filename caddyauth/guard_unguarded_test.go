package caddyauth

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
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

// While the realm is closed the guard answers with an error, and a site's handle_errors may ask the application for the page: not as whoever
// the client says it is.
func TestAttackForgedIdentityOnTheErrorRoute(t *testing.T) {
	g := newGuarded(t)
	_, cookie := g.signIn("alice", appOrigin)
	guard := g.guard(Guard{Headers: map[string]string{"X-Department": "department"}})
	_ = g.app.Cleanup()
	w := httptest.NewRecorder()
	r := caddyhttp.PrepareRequest(navigation(appOrigin+"/", cookie, &http.Cookie{Name: "theirs", Value: "1"}), caddy.NewReplacer(), w, nil)
	r.Header.Set(headerUser, "root")
	r.Header.Set("X-Department", "root")
	if err := guard.ServeHTTP(w, r, nil); err == nil {
		t.Fatal("no error")
	}
	if r.Header.Get(headerUser) != "" || r.Header.Get("X-Department") != "" || r.Header.Get("Cookie") != "theirs=1" {
		t.Errorf("the error route gets %v", r.Header)
	}
}

// `passwordless_guard /admin/*` does not match "/admin;/users", but to Tomcat that is "/admin/users". So it is for a backslash (IIS), a
// null byte, an encoded slash, and whatever is decoded twice: the matcher lets them by, and the guard beside it must not.
func TestAttackPathThatOnlyTheUpstreamTakesForGuarded(t *testing.T) {
	for _, allow := range []bool{false, true} {
		g := newGuarded(t)
		g.guard(Guard{PathRule: true})
		beside := g.guard(Guard{EndpointsOnly: true, AllowAmbiguousPaths: allow})
		for _, path := range []string{
			"/admin;/users", "/admin;x=y/users", "/admin%3b/users", "/admin\\users", "/admin%5cusers", "/admin%00/users", "/admin%2fusers", "/%2561dmin/users",
			"/x/..;/admin/users", "/admin%c0%afusers", "/admin%e0%80%afusers", "//admin/users",
		} {
			r := script(appOrigin + "/")
			r.URL, r.RequestURI = rawPath(t, path), path
			w := g.serve(r, beside)
			if allow && w.Code != http.StatusOK || !allow && (w.Code != http.StatusBadRequest || g.reached != nil) {
				t.Errorf("%s, ambiguous_paths allow %v: %d", path, allow, w.Code)
			}
		}
		if w := g.serve(script(appOrigin+"/profile"), beside); w.Code != http.StatusOK {
			t.Errorf("a plain path: %d", w.Code)
		}
	}
}

// The application that shares the portal's host has paths that no guard sees. A service worker from there must not reach the portal either.
func TestAttackServiceWorkerBesideTheGuardedPaths(t *testing.T) {
	g := newGuarded(t, func(config *Realm) {
		config.Applications, config.SharedHost = append(config.Applications, portalOrigin), true
	})
	beside := g.guard(Guard{EndpointsOnly: true})
	r := script(portalOrigin + "/sw.js")
	r.Header.Set("Service-Worker", "script")
	if w := g.serve(r, beside); w.Code != http.StatusForbidden || g.reached != nil {
		t.Errorf("a script that covers the portal: %d", w.Code)
	}
	g.upstream = func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Service-Worker-Allowed", "/") }
	r = script(portalOrigin + "/app/sw.js")
	r.Header.Set("Service-Worker", "script")
	if w := g.serve(r, beside); w.Code != http.StatusOK || w.Header().Get("Service-Worker-Allowed") != "" {
		t.Errorf("a script that widens its scope: %d %v", w.Code, w.Header())
	}
}

// One site both answers another proxy's questions and serves the guard's own addresses.
func TestForwardAuthBehindTheGuardsAddresses(t *testing.T) {
	g := newGuarded(t)
	_, cookie := g.signIn("alice", appOrigin)
	f := g.forwardAuth(ForwardAuth{Proxy: proxyEnvoy, PathPrefix: "/verify"})
	question := ask(proxyEnvoy, script(appOrigin+"/x", cookie))
	question.URL.Path = "/verify/x"
	g.serve(question, g.guard(Guard{EndpointsOnly: true}))
	if w := g.answerAgain(f); w.Code != http.StatusOK || w.Header().Get(headerUser) != "alice" || w.Header().Get("Cookie") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
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
