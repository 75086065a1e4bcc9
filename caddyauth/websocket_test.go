package caddyauth

import (
	"net/http"
	"testing"
)

// Any page may open a WebSocket to the application, and the browser sends our cookie along.
func TestAttackWebSocketFromForeignOrigin(t *testing.T) {
	g := newGuarded(t)
	_, cookie := g.signIn("alice", appOrigin)
	guard := g.guard(Guard{})
	upgrade := func(origins ...string) *http.Request {
		r := script(appOrigin+"/socket", cookie)
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "WebSocket")
		r.Header["Origin"] = origins
		return r
	}
	connect := upgrade("https://evil.com")
	connect.Method = http.MethodConnect
	connect.Header.Del("Upgrade")
	connect.Header.Set(":protocol", "websocket")
	for name, r := range map[string]*http.Request{
		"foreign": upgrade("https://evil.com"), "none": upgrade(), "null": upgrade("null"), "two": upgrade(appOrigin, "https://evil.com"), "http": upgrade("http://app.example.com"),
		"port": upgrade(appOrigin + ":444"), "suffix": upgrade(appOrigin + ".evil.com"), "wildcard": upgrade("https://*.example.com"), "extended CONNECT": connect,
	} {
		if w := g.serve(r, guard); w.Code != http.StatusForbidden || g.calls != 0 {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	for _, origin := range []string{appOrigin, otherOrigin} {
		if w := g.serve(upgrade(origin), guard); w.Code != http.StatusOK {
			t.Errorf("%s: %d", origin, w.Code)
		}
	}
}

// On a shared host a service worker of the application could read and answer the sign-in pages.
func TestAttackServiceWorkerOverThePortal(t *testing.T) {
	shared := func(r *Realm) {
		r.Applications, r.SharedHost = []string{portalOrigin}, true
	}
	g := newGuarded(t, shared)
	_, cookie := g.signIn("alice", portalOrigin)
	guard := g.guard(Guard{})
	worker := func(path string) *http.Request {
		r := script(portalOrigin+path, cookie)
		r.Header.Set("Service-Worker", "script")
		r.Header.Set("Sec-Fetch-Dest", "serviceworker")
		return r
	}
	for _, path := range []string{"/sw.js", "/auth/x/sw.js"} {
		if w := g.serve(worker(path), guard); w.Code == http.StatusOK && g.reached.URL.Path == "/sw.js" {
			t.Errorf("%s was served", path)
		}
	}
	g.upstream = func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Service-Worker-Allowed", "/") }
	if w := g.serve(worker("/app/sw.js"), guard); w.Code != http.StatusOK || w.Header().Get("Service-Worker-Allowed") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// On a shared host the portal's own cookie counts, and its pages are not guarded; look-alikes of its path are.
func TestSharedHost(t *testing.T) {
	g := newGuarded(t, func(r *Realm) { r.Applications, r.SharedHost = []string{portalOrigin}, true })
	_, cookie := g.signIn("alice", portalOrigin)
	guard := g.guard(Guard{})
	if w := g.serve(script(portalOrigin+"/", cookie), guard); w.Code != http.StatusOK || g.reached.Header.Get(headerUser) != "alice" {
		t.Errorf("%d", w.Code)
	}
	w := g.serve(navigation(portalOrigin+"/page"), guard)
	if flow := g.flowOf(w); flow.Host != "" || flow.Return != portalOrigin+"/page" || cookieSet(w, g.rt.nonceCookie.Name) != nil {
		t.Errorf("%+v", flow)
	}
	spoof := script(portalOrigin + "/auth/account")
	spoof.Header.Set(headerUser, "mallory")
	if w := g.serve(spoof, guard); w.Code != http.StatusOK || g.reached.Header.Get(headerUser) != "" {
		t.Errorf("portal path: %d", w.Code)
	}
	for _, path := range []string{"/auth/../admin", "/auth/%2e%2e/admin", "/auth/..;/admin", "/AUTH/x", "/authx", "/auth/..%2fadmin"} {
		r := script(portalOrigin + "/")
		r.URL = rawPath(t, path)
		wantUnauthenticated(t, g.serve(r, guard), "no_session")
	}
}

// An upstream that agrees to "Upgrade: h2c" gives the client a connection of its own, behind every guard: for any path and with any identity
// header. Neither an open path nor one that a session opens, nor one that no guard asks about, may lead to it.
func TestAttackTunnelByUpgrade(t *testing.T) {
	for name, guards := range map[string]func(*guarded) []*Guard{
		"open path":     func(g *guarded) []*Guard { return []*Guard{g.guard(Guard{Bypass: []string{"/public"}})} },
		"signed in":     func(g *guarded) []*Guard { return []*Guard{g.guard(Guard{})} },
		"beside guards": func(g *guarded) []*Guard { return []*Guard{g.guard(Guard{EndpointsOnly: true})} },
	} {
		for _, upgrade := range []string{"h2c", "H2C", "websocket-h2c", "h2c, foo", "TLS/1.2", "HTTP/2.0"} {
			t.Run(name+" "+upgrade, func(t *testing.T) {
				g := newGuarded(t)
				_, cookie := g.signIn("alice", appOrigin)
				send := g.front(func(w http.ResponseWriter, r *http.Request) {
					if protocol := r.Header.Get("Upgrade"); protocol != "" {
						w.Header().Set("Connection", "Upgrade")
						w.Header().Set("Upgrade", protocol)
						w.WriteHeader(http.StatusSwitchingProtocols)
					}
					if r.Header.Get("Http2-Settings") != "" {
						t.Error("the settings of a tunnel went upstream")
					}
				}, guards(g)...)
				r := script(appOrigin+"/public", cookie)
				r.Header.Set("Connection", "Upgrade")
				r.Header.Set("Upgrade", upgrade)
				r.Header.Set("Http2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")
				if answer := send(r); answer.StatusCode != http.StatusOK {
					t.Errorf("%d", answer.StatusCode)
				}
			})
		}
	}
	h := http.Header{"Upgrade": {"h2c, WebSocket", "foo"}, "Http2-Settings": {"x"}}
	if scrubUpgrade(h); len(h) != 1 || len(h["Upgrade"]) != 1 || h.Get("Upgrade") != "websocket" {
		t.Errorf("of several protocols remain %v", h)
	}
}
