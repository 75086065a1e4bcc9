package caddyauth

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

const proxyAddress = "10.1.2.3:4567"

// forwardAuth provisions a handler as Caddy would.
func (g *guarded) forwardAuth(config ForwardAuth) *ForwardAuth {
	g.tb.Helper()
	f := &config
	f.logger = zap.NewNop()
	if f.TrustedProxies == nil {
		f.TrustedProxies = []string{"10.0.0.0/8"}
	}
	if err := f.prepare(); err != nil {
		g.tb.Fatal(err)
	}
	if err := f.bind(g.app, g.app.Realms[f.realmName()]); err != nil {
		g.tb.Fatal(err)
	}
	g.tb.Cleanup(func() { _ = f.Cleanup() })
	return f
}

// ask is what each kind of proxy sends about a client's request.
func ask(proxy string, client *http.Request) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://10.9.9.9/forward-auth", nil)
	r.Header = client.Header.Clone()
	r.RemoteAddr = proxyAddress
	scheme := client.URL.Scheme
	uri := strings.TrimPrefix(client.URL.String(), scheme+"://"+client.URL.Host)
	switch proxy {
	case proxyTraefik:
		r.Header.Set("X-Forwarded-Method", client.Method)
		r.Header.Set("X-Forwarded-Proto", scheme)
		r.Header.Set("X-Forwarded-Host", client.Host)
		r.Header.Set("X-Forwarded-Uri", uri)
	case proxyNginx:
		r.Header.Set("X-Original-Method", client.Method)
		r.Header.Set("X-Original-Url", scheme+"://"+client.Host+uri)
	case proxyEnvoy:
		r.Method, r.Host, r.RequestURI = client.Method, client.Host, "/verify"+uri
		r.Header.Set("X-Forwarded-Proto", scheme)
	}
	return r
}

func (g *guarded) answer(f *ForwardAuth, r *http.Request) *httptest.ResponseRecorder {
	g.tb.Helper()
	w := httptest.NewRecorder()
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil)
	if err := f.ServeHTTP(w, r, nil); err != nil {
		g.tb.Fatalf("forward auth failed: %v", err)
	}
	return w
}

// answerAgain asks with the request that came through guards before.
func (g *guarded) answerAgain(f *ForwardAuth) *httptest.ResponseRecorder {
	g.tb.Helper()
	w := httptest.NewRecorder()
	if err := f.ServeHTTP(w, g.reached, nil); err != nil {
		g.tb.Fatalf("forward auth failed: %v", err)
	}
	return w
}

func proxies(t *testing.T, test func(*testing.T, ForwardAuth)) {
	for _, proxy := range []string{proxyTraefik, proxyNginx, proxyEnvoy} {
		config := ForwardAuth{Proxy: proxy}
		if proxy == proxyEnvoy {
			config.PathPrefix = "/verify"
		}
		t.Run(proxy, func(t *testing.T) { test(t, config) })
	}
}

func TestForwardAuthAllows(t *testing.T) {
	proxies(t, func(t *testing.T, config ForwardAuth) {
		g := newGuarded(t)
		g.pool.Groups = []string{"staff", "a,b"}
		_, cookie := g.signIn("alice", appOrigin)
		config.Headers = map[string]string{"x-department": "department"}
		f := g.forwardAuth(config)
		client := navigation(appOrigin+"/reports?year=2026&q=a%2Fb", cookie, &http.Cookie{Name: "theme", Value: "dark"})
		client.Header.Set("Authorization", "Basic YTpi")
		w := g.answer(f, ask(config.Proxy, client))
		if w.Code != http.StatusOK || w.Body.Len() != 0 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		for name, want := range map[string]string{
			headerUser: "alice", headerEmail: "alice@example.com", headerGroups: "staff,a%2Cb", "X-Department": "", "Cookie": "theme=dark",
			"Authorization": "Basic YTpi", "X-Original-Url": "", "X-Rewrite-Url": "",
		} {
			if got := w.Header()[name]; len(got) != 1 || got[0] != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
	})
}

// An identity header that is absent from the answer would leave the client's in place.
func TestForwardAuthAnswersEveryHeader(t *testing.T) {
	proxies(t, func(t *testing.T, config ForwardAuth) {
		g := newGuarded(t)
		config.Bypass, config.Headers = []string{"/health"}, map[string]string{"X-Department": "department"}
		f := g.forwardAuth(config)
		client := script(appOrigin + "/health")
		client.Header.Set(headerUser, "mallory")
		client.Header.Set("X-Department", "board")
		client.Header.Set("X-Original-Url", "https://app.example.com/admin")
		if config.Proxy == proxyNginx {
			client.Header.Del("X-Original-Url") // which nginx sets itself
		}
		w := g.answer(f, ask(config.Proxy, client))
		if w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		for _, name := range f.answered {
			if got := w.Header()[name]; len(got) != 1 || got[0] != "" {
				t.Errorf("%s: %q", name, got)
			}
		}
	})
}

// Without a session a navigation goes to sign in and comes back to the very address; nginx gets a 401 that says where.
func TestForwardAuthSendsToSignIn(t *testing.T) {
	proxies(t, func(t *testing.T, config ForwardAuth) {
		g := newGuarded(t)
		f := g.forwardAuth(config)
		w := g.answer(f, ask(config.Proxy, navigation(appOrigin+"/reports?year=2026")))
		want := http.StatusFound
		if config.Proxy == proxyNginx {
			want = http.StatusUnauthorized
		}
		if w.Code != want || cookieSet(w, g.rt.nonceCookie.Name) == nil {
			t.Fatalf("%d %v", w.Code, w.Header())
		}
		w.Code = http.StatusFound
		if flow := g.flowOf(w); flow.Return != appOrigin+"/reports?year=2026" || flow.Host != appOrigin {
			t.Errorf("%+v", flow)
		}
		w = g.answer(f, ask(config.Proxy, script(appOrigin+"/api")))
		wantUnauthenticated(t, w, "no_session")
	})
}

// The cookie that a refresh brings comes with the answer.
func TestForwardAuthRefreshes(t *testing.T) {
	proxies(t, func(t *testing.T, config ForwardAuth) {
		g := newGuarded(t)
		_, cookie := g.signIn("alice", appOrigin)
		f := g.forwardAuth(config)
		g.clock.Advance(time.Hour)
		w := g.answer(f, ask(config.Proxy, script(appOrigin+"/", cookie)))
		if w.Code != http.StatusOK || cookieSet(w, g.rt.sessionCookie.Name) == nil || g.pool.Refreshes() != 1 {
			t.Errorf("%d %v, %d refreshes", w.Code, w.Header(), g.pool.Refreshes())
		}
	})
}

func TestForwardAuthRefuses(t *testing.T) {
	proxies(t, func(t *testing.T, config ForwardAuth) {
		g := newGuarded(t)
		s, cookie := g.signIn("alice", appOrigin)
		_, portalCookie := g.signIn("alice", portalOrigin)
		config.Allow = []Rule{{Groups: []string{"admins"}}}
		f := g.forwardAuth(config)
		if w := g.answer(f, ask(config.Proxy, script(appOrigin+"/", cookie))); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "forbidden") {
			t.Errorf("without the group: %d %s", w.Code, w.Body)
		}
		open := ForwardAuth{Proxy: config.Proxy, PathPrefix: config.PathPrefix}
		f = g.forwardAuth(open)
		for name, target := range map[string]string{
			"other host's cookie": otherOrigin + "/", "unlisted host": "https://evil.com/", "plain http": "http://app.example.com/",
			"port": appOrigin + ":8443/",
		} {
			if w := g.answer(f, ask(config.Proxy, script(target, cookie))); w.Code < http.StatusBadRequest {
				t.Errorf("%s: %d", name, w.Code)
			}
		}
		if w := g.answer(f, ask(config.Proxy, script(appOrigin+"/", portalCookie))); w.Code < http.StatusBadRequest {
			t.Errorf("portal's cookie: %d", w.Code)
		}
		if err := g.rt.sessions.End(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		wantUnauthenticated(t, g.answer(f, ask(config.Proxy, script(appOrigin+"/", cookie))), "signed_out")
		g.storage.Fail(func(string, string) error { return http.ErrServerClosed })
		g.clock.Advance(2 * time.Minute)
		if w := g.answer(f, ask(config.Proxy, script(appOrigin+"/", cookie))); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("storage down: %d %v", w.Code, w.Header())
		}
	})
}

func TestForwardAuthSyntax(t *testing.T) {
	for input, want := range map[string]string{
		`passwordless_forward_auth`:                                                 "takes the kind of proxy",
		`passwordless_forward_auth haproxy`:                                         "haproxy",
		`passwordless_forward_auth traefik nginx`:                                   "takes the kind of proxy",
		"passwordless_forward_auth traefik {\n trusted_proxies\n}":                  "trusted_proxies takes",
		"passwordless_forward_auth traefik {\n trusted_proxies proxy\n}":            "neither an address nor a range",
		"passwordless_forward_auth traefik {\n path_prefix /x\n}":                   "path_prefix",
		"passwordless_forward_auth envoy {\n path_prefix x\n}":                      "path_prefix",
		"passwordless_forward_auth nginx {\n allow everyone\n}":                     "everyone",
		"passwordless_forward_auth nginx {\n trusted\n}":                            `unknown option "trusted" for passwordless_forward_auth: use trusted_proxies, path_prefix, realm`,
		"passwordless_forward_auth nginx {\n path_prefix /x\n}":                     "path_prefix is for envoy alone",
		"passwordless_forward_auth nginx {\n keep_body 1MiB\n}":                     "the proxy has their bodies",
		"passwordless_forward_auth nginx {\n step_up upstream\n}":                   "leave it out, or put passwordless_guard before the application",
		"passwordless_forward_auth nginx {\n trusted_proxies 10.0.0.5 {\n x\n }\n}": "trusted_proxies takes no block",
	} {
		err := new(ForwardAuth).UnmarshalCaddyfile(caddyfile.NewTestDispenser(input))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", input, err)
		}
	}
	f := new(ForwardAuth)
	if err := f.UnmarshalCaddyfile(caddyfile.NewTestDispenser("passwordless_forward_auth envoy {\n path_prefix /verify\n trusted_proxies private_ranges 192.0.2.1\n allow group staff\n}")); err != nil {
		t.Fatal(err)
	}
	if f.Proxy != "envoy" || f.PathPrefix != "/verify" || len(f.TrustedProxies) != len(privateRanges)+1 || len(f.Allow) != 1 {
		t.Errorf("%+v", f)
	}
}
