package caddyauth

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-cognito/passwordless/internal/session/sessiontest"
)

// Caddy closes what a configuration had while its last requests are on their way. They pass, if a look at the deny list just then allows it.
func TestRequestOutlivesItsConfiguration(t *testing.T) {
	g := newGuarded(t)
	g.app.late = time.Hour
	guard := g.guard(Guard{})
	s, cookie := g.signIn("alice", appOrigin)
	if err := g.app.Cleanup(); err != nil {
		t.Fatal(err)
	}
	if w := g.serve(script(appOrigin+"/", cookie), guard); w.Code != http.StatusOK {
		t.Errorf("on its way: %d %s", w.Code, w.Body)
	}
	// Signed out by the configuration that took over, or by another node.
	other := sessiontest.NewManager(t, g.storage, g.pool)
	other.Settings.Realm = DefaultRealm
	if err := other.End(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	calls := g.calls
	if w := g.serve(script(appOrigin+"/", cookie), guard); w.Code != http.StatusUnauthorized {
		t.Errorf("signed out elsewhere: %d", w.Code)
	}
	g.storage.Fail(func(string, string) error { return errors.New("storage is away") })
	w := httptest.NewRecorder()
	err := guard.ServeHTTP(w, caddyhttp.PrepareRequest(script(appOrigin+"/", cookie), caddy.NewReplacer(), w, nil), nil)
	var failure caddyhttp.HandlerError
	if !errors.As(err, &failure) || failure.StatusCode != http.StatusServiceUnavailable || g.calls != calls {
		t.Errorf("without deny list: %v, %d requests came through", err, g.calls-calls)
	}
}
