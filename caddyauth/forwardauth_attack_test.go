package caddyauth

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Anyone who reaches the forward-auth address directly could ask about any host; the cookie is his own, but the answer would say
// which groups a stolen one has. Only the proxy may ask.
func TestAttackForwardAuthFromAnotherPeer(t *testing.T) {
	proxies(t, func(t *testing.T, config ForwardAuth) {
		g := newGuarded(t)
		_, cookie := g.signIn("alice", appOrigin)
		f := g.forwardAuth(config)
		for _, peer := range []string{"192.0.2.1:1", "11.0.0.1:1", "[2001:db8::1]:1", "@", "", "10.1.2.3"} {
			r := ask(config.Proxy, script(appOrigin+"/", cookie))
			r.RemoteAddr = peer
			r.Header.Set("X-Forwarded-For", "10.1.2.3")
			if w := g.answer(f, r); w.Code != http.StatusForbidden || w.Header().Get(headerUser) != "" {
				t.Errorf("peer %q: %d", peer, w.Code)
			}
		}
		mapped := ask(config.Proxy, script(appOrigin+"/", cookie))
		mapped.RemoteAddr = "[::ffff:10.1.2.3]:9"
		if w := g.answer(f, mapped); w.Code != http.StatusOK {
			t.Errorf("the proxy over IPv6: %d", w.Code)
		}
	})
}

// Without ranges of its own the handler believes whom the server believes, and nobody else.
func TestForwardAuthTrustsTheServersProxies(t *testing.T) {
	g := newGuarded(t)
	_, cookie := g.signIn("alice", appOrigin)
	f := g.forwardAuth(ForwardAuth{Proxy: proxyTraefik, TrustedProxies: []string{}})
	for trusted, want := range map[bool]int{true: http.StatusOK, false: http.StatusForbidden} {
		w := httptest.NewRecorder()
		r := caddyhttp.PrepareRequest(ask(proxyTraefik, script(appOrigin+"/", cookie)), caddy.NewReplacer(), w, nil)
		caddyhttp.SetVar(r.Context(), caddyhttp.TrustedProxyVarKey, trusted)
		if err := f.ServeHTTP(w, r, nil); err != nil || w.Code != want {
			t.Errorf("trusted %v: %d, %v", trusted, w.Code, err)
		}
	}
}

// A header that comes twice has two authors; one that is missing was not set by the proxy; a list is two headers in one.
func TestAttackForwardAuthHeaders(t *testing.T) {
	for proxy, names := range map[string][]string{
		proxyTraefik: {"X-Forwarded-Method", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Uri"},
		proxyNginx:   {"X-Original-Method", "X-Original-Url"},
		proxyEnvoy:   {"X-Forwarded-Proto"},
	} {
		g := newGuarded(t)
		_, cookie := g.signIn("alice", appOrigin)
		f := g.forwardAuth(ForwardAuth{Proxy: proxy, Guard: Guard{Bypass: []string{"/health"}}})
		if proxy == proxyEnvoy {
			f.PathPrefix = "/verify"
		}
		for _, name := range names {
			for what, change := range map[string]func(h http.Header){
				"missing":          func(h http.Header) { h.Del(name) },
				"empty":            func(h http.Header) { h.Set(name, "") },
				"twice":            func(h http.Header) { h.Add(name, h.Get(name)) },
				"list":             func(h http.Header) { h.Set(name, h.Get(name)+", "+h.Get(name)) },
				"client's first":   func(h http.Header) { h[name] = []string{"/health", h.Get(name)} },
				"with white space": func(h http.Header) { h.Set(name, " "+h.Get(name)) },
			} {
				r := ask(proxy, script(appOrigin+"/admin", cookie))
				change(r.Header)
				if w := g.answer(f, r); w.Code != http.StatusForbidden || w.Header().Get(headerUser) != "" {
					t.Errorf("%s %s: %d", name, what, w.Code)
				}
			}
		}
	}
}

// The client sends the headers of another family, hoping that they are read.
func TestAttackForwardAuthOtherFamily(t *testing.T) {
	proxies(t, func(t *testing.T, config ForwardAuth) {
		g := newGuarded(t)
		config.Bypass = []string{"/health"}
		f := g.forwardAuth(config)
		client := script(appOrigin + "/admin")
		for _, other := range []string{proxyTraefik, proxyNginx} {
			if other != config.Proxy {
				for name, values := range ask(other, script(appOrigin+"/health")).Header {
					if name != "X-Forwarded-Proto" {
						client.Header[name] = values
					}
				}
			}
		}
		if w := g.answer(f, ask(config.Proxy, client)); w.Code != http.StatusUnauthorized && w.Code != http.StatusForbidden {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

// Headers by which the application would read another request than the one that was asked about, and which the proxy does not replace.
func TestAttackForwardAuthHeadersThatReplaceTheRequest(t *testing.T) {
	proxies(t, func(t *testing.T, config ForwardAuth) {
		g := newGuarded(t)
		_, cookie := g.signIn("alice", appOrigin)
		config.Bypass = []string{"GET /health"}
		f := g.forwardAuth(config)
		own := forwardFamilies[config.Proxy]
		for _, name := range []string{
			"X-Forwarded-Uri", "X_Forwarded_Prefix", "X-Original-Uri", "X-Http-Path-Override", "X-Envoy-Original-Path", "X-Method", "X-Http-Verb", "X-Original-Method",
			"X-Http-Method-Override", "x.original.uri",
		} {
			if slices.Contains(own, name) {
				continue
			}
			client := script(appOrigin+"/page", cookie)
			client.Header[name] = []string{"/admin"}
			if w := g.answer(f, ask(config.Proxy, client)); w.Code != http.StatusForbidden || w.Header().Get(headerAnswer) != "" {
				t.Errorf("%s: %d", name, w.Code)
			}
		}
		client := script(appOrigin+"/page", cookie)
		client.Header.Set("X-Forwarded-Prefix", "/wiki")
		if w := g.answer(f, ask(config.Proxy, client)); (w.Code == http.StatusOK) != (config.Proxy == proxyTraefik) {
			t.Errorf("X-Forwarded-Prefix, which Traefik alone replaces: %d", w.Code)
		}
	})
}

// Paths that the proxy, this handler and the upstream could read differently.
func TestAttackForwardAuthPaths(t *testing.T) {
	for _, target := range []string{
		"/health/../admin", "/health/%2e%2e/admin", "//health", "/health;/../admin", "/assets/..%2fadmin", "/assets/%5c..%5cadmin", "/HEALTH", "/health/",
		"https://app.example.com/health", "*", "health", "", "/health\\..\\admin", "/health\t", "/%zz", "/health%00",
	} {
		g := newGuarded(t)
		f := g.forwardAuth(ForwardAuth{Proxy: proxyTraefik, Guard: Guard{Bypass: []string{"/health", "/assets/*"}}})
		r := ask(proxyTraefik, script(appOrigin+"/"))
		r.Header.Set("X-Forwarded-Uri", target)
		if w := g.answer(f, r); w.Code < http.StatusBadRequest {
			t.Errorf("%q: %d", target, w.Code)
		}
	}
}

// The guard's own pages are answers to people. To a proxy each of them would mean "let it pass".
func TestAttackForwardAuthOverTheGuardsPages(t *testing.T) {
	proxies(t, func(t *testing.T, config ForwardAuth) {
		g := newGuarded(t)
		config.AllowAmbiguousPaths = true
		f := g.forwardAuth(config)
		for _, path := range []string{"/auth/handoff", "/auth/assets/style.css", "/auth/sign-out", "/auth/", "/auth/x"} {
			for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodOptions} {
				client := script(appOrigin + path)
				client.Method = method
				if w := g.answer(f, ask(config.Proxy, client)); w.Code < http.StatusBadRequest {
					t.Errorf("%s %s: %d", method, path, w.Code)
				}
			}
		}
	})
}

// An application may have addresses of its own below the portal's path, as Home Assistant has POST /auth/token: they are asked about like any
// other, and only the guard's own are refused.
func TestForwardAuthLeavesTheApplicationItsOwnAuthPaths(t *testing.T) {
	proxies(t, func(t *testing.T, config ForwardAuth) {
		g := newGuarded(t)
		_, cookie := g.signIn("alice", appOrigin)
		f := g.forwardAuth(config)
		for path, want := range map[string]int{
			"/auth/token": http.StatusOK, "/auth/": http.StatusOK, "/auth/login/callback": http.StatusOK, "/auth/handoffs": http.StatusOK,
			"/auth/handoff": http.StatusForbidden, "/auth/sign-out": http.StatusForbidden, "/auth/send-again": http.StatusForbidden, "/auth/assets/x": http.StatusForbidden,
		} {
			client := script(appOrigin+path, cookie)
			client.Method = http.MethodPost
			if w := g.answer(f, ask(config.Proxy, client)); w.Code != want {
				t.Errorf("%s: %d, want %d", path, w.Code, want)
			}
			client = script(appOrigin + path)
			if w := g.answer(f, ask(config.Proxy, client)); w.Code < http.StatusBadRequest {
				t.Errorf("%s without session: %d", path, w.Code)
			}
		}
	})
}

// The proxy replaces the headers it was told of, not their look-alikes, so a request with one is not let through.
func TestAttackForwardAuthSpoofedSpellings(t *testing.T) {
	g := newGuarded(t)
	_, cookie := g.signIn("alice", appOrigin)
	g.guard(Guard{Headers: map[string]string{"X-Tenant": "custom:tenant"}}) // another guard's header
	f := g.forwardAuth(ForwardAuth{Proxy: proxyTraefik})
	for _, name := range []string{"X_passwordless_user", "X.passwordless.user", "X-Passwordless_Groups", "Xpasswordlessuser", "X-Passwordless-Other", "X-Tenant", "X_tenant", "X_Original_URL", "x.rewrite.url"} {
		client := script(appOrigin+"/", cookie)
		client.Header[name] = []string{"mallory"}
		if w := g.answer(f, ask(proxyTraefik, client)); w.Code != http.StatusForbidden {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
}

// A proxy that honours the client's Connection header after it has put ours in would take ours off again: an upstream that takes a request
// without them for an internal one must not get it.
func TestAttackForwardAuthConnection(t *testing.T) {
	proxies(t, func(t *testing.T, config ForwardAuth) {
		g := newGuarded(t)
		_, cookie := g.signIn("alice", appOrigin)
		f := g.forwardAuth(config)
		for _, value := range []string{"X-Passwordless-User", "close, x_passwordless_groups"} {
			client := script(appOrigin+"/", cookie)
			client.Header.Set("Connection", value)
			if w := g.answer(f, ask(config.Proxy, client)); w.Code != http.StatusForbidden {
				t.Errorf("%s: %d", value, w.Code)
			}
		}
		client := script(appOrigin+"/", cookie)
		client.Header.Set("Connection", "keep-alive")
		if w := g.answer(f, ask(config.Proxy, client)); w.Code != http.StatusOK {
			t.Errorf("keep-alive: %d", w.Code)
		}
	})
}

// Proxies take Upgrade off before they ask, so a WebSocket of a foreign page looks like any GET but for its other headers.
func TestAttackForwardAuthForeignWebSocket(t *testing.T) {
	g := newGuarded(t)
	_, cookie := g.signIn("alice", appOrigin)
	f := g.forwardAuth(ForwardAuth{Proxy: proxyTraefik})
	socket := func(origin string, change func(http.Header)) int {
		client := script(appOrigin+"/socket", cookie)
		client.Header.Del("Sec-Fetch-Mode")
		client.Header.Set("Origin", origin)
		r := ask(proxyTraefik, client)
		change(r.Header)
		return g.answer(f, r).Code
	}
	for name, change := range map[string]func(http.Header){
		"key":            func(h http.Header) { h.Set("Sec-Websocket-Key", "dGhlIHNhbXBsZSBub25jZQ==") },
		"version":        func(h http.Header) { h.Set("Sec-Websocket-Version", "13") },
		"scheme":         func(h http.Header) { h.Set("X-Forwarded-Proto", "wss") },
		"method":         func(h http.Header) { h.Set("X-Forwarded-Method", http.MethodConnect) },
		"fetch metadata": func(h http.Header) { h.Set("Sec-Fetch-Mode", "websocket") },
	} {
		if code := socket("https://evil.com", change); code != http.StatusForbidden {
			t.Errorf("%s from a foreign page: %d", name, code)
		}
		if code := socket(appOrigin, change); code != http.StatusOK {
			t.Errorf("%s from the application: %d", name, code)
		}
	}
}

// Whatever a page of the guard answers, only its consent is a success.
func TestAttackForwardAuthAnswers(t *testing.T) {
	for proxy, want := range map[string]map[int]int{
		proxyTraefik: {200: 403, 204: 403, 302: 302, 400: 400, 401: 401, 403: 403, 503: 503},
		proxyNginx:   {200: 403, 204: 403, 302: 401, 400: 403, 401: 401, 405: 403, 503: 503},
	} {
		for status, expected := range want {
			w := httptest.NewRecorder()
			a := &forwardAnswer{ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: w}, proxy: proxy}
			a.WriteHeader(status)
			if w.Code != expected {
				t.Errorf("%s: %d becomes %d", proxy, status, w.Code)
			}
		}
	}
	w := httptest.NewRecorder()
	a := &forwardAnswer{ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: w}, proxy: proxyTraefik}
	if _, err := a.Write([]byte("page")); err != nil || w.Code != http.StatusForbidden {
		t.Errorf("a page without status: %d, %v", w.Code, err)
	}
}

func FuzzForwardedRequest(f *testing.F) {
	f.Add("GET", "https://app.example.com/a?b=c", "/a?b=c")
	f.Add("POST", "https://app.example.com//x", "//x")
	f.Add("", "https:///", "/%2e%2e/")
	f.Add("CONNECT", "ftp://app.example.com\\@evil.com/", "/\\x")
	f.Fuzz(func(t *testing.T, method, original, target string) {
		for _, handler := range []*ForwardAuth{{Proxy: proxyNginx}, {Proxy: proxyTraefik}} {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), httptest.NewRecorder(), nil)
			caddyhttp.SetVar(r.Context(), caddyhttp.TrustedProxyVarKey, true)
			r.Header.Set("X-Original-Method", method)
			r.Header.Set("X-Original-Url", original)
			r.Header.Set("X-Forwarded-Method", method)
			r.Header.Set("X-Forwarded-Proto", "https")
			r.Header.Set("X-Forwarded-Host", "app.example.com")
			r.Header.Set("X-Forwarded-Uri", target)
			asked, err := handler.asked(r)
			if err != nil {
				if asked != nil {
					t.Error("a request beside an error")
				}
				continue
			}
			// What is asked about is the path that the proxy named, and never another host.
			if !strings.HasPrefix(asked.URL.Path, "/") || asked.URL.Host != "" || asked.URL.User != nil || asked.Method != method {
				t.Errorf("%+v", asked.URL)
			}
			if again, err := url.ParseRequestURI(asked.RequestURI); err != nil || again.Path != asked.URL.Path {
				t.Errorf("%q reads as another path: %v", asked.RequestURI, err)
			}
		}
	})
}

// A realm that cannot open lets nobody through. The answer is written here: an error would go to the site's handle_errors, whose 200 would
// mean consent.
func TestAttackForwardAuthWithoutRealm(t *testing.T) {
	g := newGuarded(t)
	f := g.forwardAuth(ForwardAuth{Proxy: proxyTraefik})
	g.app.closed = true
	w := g.answer(f, ask(proxyTraefik, script(appOrigin+"/")))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || w.Header().Get(headerAnswer) != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// Proxies require the marker, so nothing but consent may have it: neither a refusal nor what somebody put there before.
func TestAttackForwardAuthMarker(t *testing.T) {
	proxies(t, func(t *testing.T, config ForwardAuth) {
		g := newGuarded(t)
		_, cookie := g.signIn("alice", appOrigin)
		f := g.forwardAuth(config)
		answer := func(client *http.Request) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			w.Header().Set("X-Passwordless-Answer", "allow") // by `header` before
			r := caddyhttp.PrepareRequest(ask(config.Proxy, client), caddy.NewReplacer(), w, nil)
			if err := f.ServeHTTP(w, r, nil); err != nil {
				t.Fatal(err)
			}
			return w
		}
		if w := answer(script(appOrigin+"/", cookie)); w.Code != http.StatusOK || w.Header().Get("X-Passwordless-Answer") != "allow" {
			t.Errorf("allowed: %d %v", w.Code, w.Header())
		}
		forged := script(appOrigin+"/", cookie)
		forged.Header.Set("X-Passwordless-Answer", "allow")
		for name, client := range map[string]*http.Request{
			"without session": script(appOrigin + "/"), "navigation": navigation(appOrigin + "/"), "foreign host": script("https://evil.example/", cookie),
			"own page": script(appOrigin+"/auth/handoff", cookie), "client's marker": forged,
		} {
			if w := answer(client); w.Code == http.StatusOK || len(w.Header().Values("X-Passwordless-Answer")) != 0 {
				t.Errorf("%s: %d %v", name, w.Code, w.Header())
			}
		}
	})
}
