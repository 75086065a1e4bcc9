package caddyauth

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// In `handle_path /auth/*` the portal sees /sign-in and serves nothing: people get an empty page, and the operator reads why, once.
func TestPortalBehindHandlePathSaysWhyNothingIsServed(t *testing.T) {
	core, logs := observer.New(zapcore.WarnLevel)
	p := newPortal(t)
	p.portal.logger = zap.New(core)
	visit := func(came, path string) bool {
		w := httptest.NewRecorder()
		r := caddyhttp.PrepareRequest(navigation(portalOrigin+came), caddy.NewReplacer(), w, nil)
		r.URL.Path = path
		passed := false
		if err := p.portal.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
			passed = true
			return nil
		})); err != nil {
			t.Fatal(err)
		}
		return passed
	}
	if !visit("/robots.txt", "/robots.txt") || logs.Len() != 0 {
		t.Errorf("of other pages of the site: %v", logs.All())
	}
	if !visit("/auth/sign-in", "/sign-in") || !visit("/auth/account", "/account") {
		t.Error("a path that is not the portal's was served")
	}
	if entries := logs.All(); len(entries) != 1 || !strings.Contains(entries[0].Message, "handle instead of handle_path") {
		t.Errorf("%v", entries)
	}
}

// A proxy in front ends TLS, and nobody told Caddy to trust it: requests come over http to what is at https. The page and the log say so.
func TestPortalOverAnotherSchemeSaysWhatIsWrong(t *testing.T) {
	core, logs := observer.New(zapcore.WarnLevel)
	p := newPortal(t)
	p.portal.logger = zap.New(core)
	visit := func(address string, trusted, answered bool) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, address, nil)
		r.Header.Set("X-Forwarded-Proto", "https")
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil)
		caddyhttp.SetVar(r.Context(), caddyhttp.TrustedProxyVarKey, trusted)
		if err := p.portal.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
			if answered {
				w.WriteHeader(http.StatusTeapot)
			}
			return nil
		})); err != nil {
			t.Fatal(err)
		}
		return w
	}
	for range 2 {
		w := visit("http://auth.example.com/auth/sign-in", false, false)
		for _, want := range []string{"came over http", "https://auth.example.com/auth/", "`trusted_proxies`"} {
			if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), want) {
				t.Errorf("no %q: %d %s", want, w.Code, w.Body)
			}
		}
	}
	if entries := logs.All(); len(entries) != 1 || !strings.Contains(entries[0].Message, "set trusted_proxies") || entries[0].ContextMap()["scheme"] != "http" {
		t.Errorf("the log says %v", entries)
	}
	if w := visit("http://auth.example.com/auth/sign-in", false, true); w.Code != http.StatusTeapot {
		t.Errorf("the site's own answer over http is replaced: %d", w.Code)
	}
	if w := visit("http://other.example.com/auth/sign-in", false, false); w.Code != http.StatusOK || w.Body.Len() != 0 {
		t.Errorf("another host: %d %s", w.Code, w.Body)
	}
	if w := visit("http://auth.example.com/auth/sign-in", true, false); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "<form") {
		t.Errorf("from a trusted proxy: %d %.200s", w.Code, w.Body)
	}
}

// The same for an application, before the guard; a host that is not listed at all is another matter.
func TestGuardOverAnotherSchemeSaysWhatIsWrong(t *testing.T) {
	core, logs := observer.New(zapcore.ErrorLevel)
	g := newGuarded(t)
	guard := g.guard(Guard{})
	guard.logger = zap.New(core)
	w := g.serve(navigation("http://app.example.com/page"), guard)
	for _, want := range []string{"came over http", appOrigin, "`trusted_proxies`"} {
		if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %q: %d %s", want, w.Code, w.Body)
		}
	}
	if entries := logs.TakeAll(); len(entries) != 1 || !strings.Contains(entries[0].Message, "trusted_proxies") || entries[0].ContextMap()["host"] != "app.example.com" {
		t.Errorf("the log says %v", entries)
	}
	if w := g.serve(script("http://app.example.com/page"), guard); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), `"unlisted_scheme"`) {
		t.Errorf("a script gets %d %s", w.Code, w.Body)
	}
	logs.TakeAll()
	w = g.serve(navigation("http://evil.example.com/page"), guard)
	if entries := logs.All(); w.Code != http.StatusForbidden || strings.Contains(w.Body.String(), "trusted_proxies") || len(entries) != 1 || strings.Contains(entries[0].Message, "trusted_proxies") {
		t.Errorf("an unlisted host: %d %s %v", w.Code, w.Body, entries)
	}
	if g.calls != 0 {
		t.Errorf("%d requests reached the upstream", g.calls)
	}
}
