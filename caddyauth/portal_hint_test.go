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
