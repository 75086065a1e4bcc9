package caddyauth

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func preflight(target string, cookies ...*http.Cookie) *http.Request {
	r := httptest.NewRequest(http.MethodOptions, target, nil)
	r.Header.Set("Origin", otherOrigin)
	r.Header.Set("Access-Control-Request-Method", "PUT")
	r.Header.Set("Access-Control-Request-Headers", "content-type")
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return r
}

// carelessPage is a page that never looks at the method, as PHP scripts and CGI programs are.
func carelessPage(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html")
	h.Set("X-Salary", "120000")
	h.Set("Location", "/salary?of=alice")
	h.Add("Set-Cookie", "php=1")
	h.Set("Access-Control-Allow-Origin", otherOrigin)
	h.Set("Access-Control-Allow-Methods", "PUT")
	h.Set("Vary", "Origin")
	w.WriteHeader(http.StatusOK)
	_, _ = io.WriteString(w, "salary: 120000")
	_ = http.NewResponseController(w).Flush()
	_, _ = w.(io.ReaderFrom).ReadFrom(strings.NewReader("salary: 130000"))
}

// Nobody can tell a browser's preflight from `curl -X OPTIONS` with two headers. An upstream that answers OPTIONS as it answers GET must not
// show its pages to somebody without a session.
func TestAttackForgedPreflightReadsAPage(t *testing.T) {
	for name, upstream := range map[string]func(http.ResponseWriter, *http.Request){
		"page": carelessPage,
		"page without a status": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Access-Control-Allow-Methods", "PUT")
			_, _ = io.WriteString(w, "salary: 120000")
		},
		"page with hints": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "</salary/120000>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Del("Link")
			carelessPage(w, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuarded(t)
			g.upstream = upstream
			w := g.serve(preflight(appOrigin+"/salary"), g.guard(Guard{}), g.guard(Guard{}))
			if w.Code != http.StatusOK || w.Header().Get("Access-Control-Allow-Methods") != "PUT" {
				t.Errorf("the question is not answered: %d %v", w.Code, w.Header())
			}
			all := w.Body.String()
			for header, values := range w.Header() {
				all += header + strings.Join(values, " ")
			}
			for _, secret := range []string{"salary", "120000", "130000", "php"} {
				if strings.Contains(all, secret) {
					t.Errorf("%q is told: %s", secret, all)
				}
			}
		})
	}
}

// Headers that Caddy itself set before stay, and the upstream changes none of them.
func TestPreflightKeepsCaddysOwnHeaders(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{})
	g.upstream = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Server", "salary 120000")
		w.WriteHeader(http.StatusNoContent)
	}
	w := httptest.NewRecorder()
	w.Header().Set("Server", "Caddy")
	w.Header().Set("Strict-Transport-Security", "max-age=31536000")
	g.serveTo(w, preflight(appOrigin+"/"), guard)
	if w.Code != http.StatusNoContent || w.Header().Get("Server") != "Caddy" || w.Header().Get("Strict-Transport-Security") == "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// What only a careless page would act on does not reach it, nor anything by which the upstream would know the client.
func TestAttackForgedPreflightWithQueryAndCredentials(t *testing.T) {
	g := newGuarded(t)
	_, cookie := g.signIn("alice", appOrigin)
	r := preflight(appOrigin+"/delete.php?id=5", cookie, &http.Cookie{Name: "PHPSESSID", Value: "1"})
	r.Header.Set("Authorization", "Basic YTpi")
	r.Header["authorization_"], r.Header["cookie_"] = []string{"Basic YTpi"}, []string{"PHPSESSID=1"}
	r.Header["X_HTTP_Method_Override"] = []string{"DELETE"}
	r.Header.Set("Proxy-Authorization", "Basic YTpi")
	if w := g.serve(r, g.guard(Guard{})); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if g.reached.URL.RawQuery != "" || g.reached.RequestURI != "/delete.php" || g.reached.URL.Path != "/delete.php" {
		t.Errorf("upstream got %s %s", g.reached.URL, g.reached.RequestURI)
	}
	for name := range g.reached.Header {
		if name != "Origin" && !strings.HasPrefix(name, "Access-Control-Request-") {
			t.Errorf("upstream got %s", name)
		}
	}
}

// An upgrade that looks like a preflight would be a socket without a session.
func TestAttackSocketAsPreflight(t *testing.T) {
	g := newGuarded(t)
	r := preflight(appOrigin + "/socket")
	r.Header["Connection"], r.Header["Upgrade"] = []string{"Upgrade"}, []string{"h2c, websocket"}
	wantUnauthenticated(t, g.serve(r, g.guard(Guard{})), "no_session")
	r = preflight(appOrigin + "/socket")
	r.Header["Connection"], r.Header["Upgrade"] = []string{"Upgrade"}, []string{"h2c"}
	if g.serve(r, g.guard(Guard{})); g.reached != nil && len(g.reached.Header["Upgrade"]) != 0 {
		t.Errorf("the upstream is asked to upgrade: %v", g.reached.Header)
	}
}

// Where another proxy fetches the page nobody can hold it back, so there a preflight passes only where the operator says so.
func TestAttackForgedPreflightByForwardAuth(t *testing.T) {
	proxies(t, func(t *testing.T, config ForwardAuth) {
		g := newGuarded(t)
		if w := g.answer(g.forwardAuth(config), ask(config.Proxy, preflight(appOrigin+"/api/salary"))); w.Code != http.StatusUnauthorized {
			t.Errorf("a preflight: %d", w.Code)
		}
		config.Bypass = []string{"OPTIONS /api/*"}
		open := g.forwardAuth(config)
		if w := g.answer(open, ask(config.Proxy, preflight(appOrigin+"/api/salary"))); w.Code != http.StatusOK || w.Header().Get(headerUser) != "" {
			t.Errorf("with a bypass: %d %v", w.Code, w.Header())
		}
		for _, name := range []string{"X-Http-Method-Override", "X_HTTP_METHOD_OVERRIDE", "x-http-method", "X.Method.Override"} {
			r := preflight(appOrigin + "/api/salary")
			r.Header[name] = []string{"GET"}
			if w := g.answer(open, ask(config.Proxy, r)); w.Code != http.StatusForbidden {
				t.Errorf("with a bypass and %s: %d", name, w.Code)
			}
		}
	})
}
