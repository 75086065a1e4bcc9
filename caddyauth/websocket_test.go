package caddyauth

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-cognito/passwordless/internal/session"
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

// connects are what net/http and quic-go make of an extended CONNECT (RFC 8441, RFC 9220). The reverse proxy sends the upstream a GET.
func connects(target string, cookies ...*http.Cookie) map[string]*http.Request {
	over := func(major int, change func(*http.Request)) *http.Request {
		r := script(target, cookies...)
		r.Method, r.ProtoMajor, r.ProtoMinor = http.MethodConnect, major, 0
		r.Header.Set("Origin", appOrigin)
		change(r)
		return r
	}
	return map[string]*http.Request{
		"HTTP/2": over(2, func(r *http.Request) { r.Proto, r.Header[":protocol"] = "HTTP/2.0", []string{"websocket"} }),
		"HTTP/3": over(3, func(r *http.Request) { r.Proto = "websocket" }),
	}
}

// Attack: what a rule asks of GET is passed by a CONNECT that the upstream gets as a GET.
func TestAttackExtendedConnectAroundMethods(t *testing.T) {
	for name, rules := range map[string][]StepUpRule{
		"step-up":     {{MaxAge: caddy.Duration(time.Minute), Factors: []string{"sms"}, Methods: []string{"GET", "HEAD"}}},
		"transaction": {{MaxAge: caddy.Duration(time.Minute), Methods: []string{"GET"}, Transaction: true}},
		"CONNECT":     {{MaxAge: caddy.Duration(time.Minute), Factors: []string{"sms"}, Methods: []string{"CONNECT"}}},
	} {
		g := newGuarded(t)
		g.withNonce()
		guard := g.guard(Guard{StepUp: rules})
		s, cookie := g.signIn("alice", appOrigin)
		for version, r := range connects(appOrigin+"/get/page", cookie) {
			w := g.serve(r, guard)
			if w.Code != http.StatusUnauthorized || g.reached != nil {
				t.Errorf("%s by %s: %d", name, version, w.Code)
				continue
			}
			var answer struct {
				StepUpURL string `json:"step_up_url"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
				t.Fatal(err)
			}
			flow := g.stepUpFlow(answer.StepUpURL)
			if name != "transaction" {
				continue
			}
			if flow.transaction().Method != http.MethodGet {
				t.Errorf("%s: people read %q", version, flow.transaction().Method)
			}
			g.approved(flow, s, session.Passkey) // and once it is approved it passes, its body, the tunnel, unread
			again := connects(appOrigin+"/get/page", cookie)[version]
			again.Body = unreadable{t}
			if w := g.serve(again, guard); w.Code != http.StatusOK {
				t.Errorf("%s: approved, %d", version, w.Code)
			}
		}
	}
}

// unreadable is a body that nobody may touch.
type unreadable struct{ *testing.T }

func (u unreadable) Read([]byte) (int, error) {
	u.Error("the tunnel was read")
	return 0, io.EOF
}

func (unreadable) Close() error { return nil }

// A bypass is for the method that the upstream gets, too.
func TestExtendedConnectIsAGetForBypass(t *testing.T) {
	g := newGuarded(t)
	for rule, status := range map[string]int{"GET /live/*": http.StatusOK, "/live/*": http.StatusOK, "POST /live/*": http.StatusUnauthorized, "CONNECT /live/*": http.StatusUnauthorized} {
		guard := g.guard(Guard{Bypass: []string{rule}})
		for version, r := range connects(appOrigin + "/live/feed") {
			if w := g.serve(r, guard); w.Code != status {
				t.Errorf("bypass %s by %s: %d", rule, version, w.Code)
			}
		}
	}
	// A CONNECT that opens no WebSocket reaches the upstream as one.
	guard := g.guard(Guard{Bypass: []string{"GET /live/*"}})
	for version, r := range connects(appOrigin + "/live/feed") {
		r.Proto, r.Header[":protocol"] = "connect-udp", []string{"connect-udp"}
		if w := g.serve(r, guard); w.Code != http.StatusUnauthorized {
			t.Errorf("another protocol by %s: %d", version, w.Code)
		}
	}
}

// A proxy that asks about a WebSocket over HTTP/2 in its client's words is answered as about the GET that it will send.
func TestAttackForwardAuthConnectAroundMethods(t *testing.T) {
	g := newGuarded(t)
	_, cookie := g.signIn("alice", appOrigin)
	rules := fiveMinutes("sms")
	rules[0].Methods = []string{"GET"}
	guard := g.forwardAuth(ForwardAuth{Proxy: proxyTraefik, Guard: Guard{StepUp: rules}})
	r := script(appOrigin+"/x", cookie)
	r.Method = http.MethodConnect
	r.Header.Set("Origin", appOrigin)
	r.Header.Set("Sec-Websocket-Version", "13")
	if w := g.answer(guard, ask(proxyTraefik, r)); w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), "step_up") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
