package caddyauth

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/internal/session/sessiontest"
	"github.com/caddy-cognito/passwordless/templates"
)

const (
	appOrigin    = "https://app.example.com"
	otherOrigin  = "https://other.example.com"
	portalOrigin = "https://auth.example.com"
)

// guarded is a realm with two applications, and an upstream that notes what reached it.
type guarded struct {
	tb      testing.TB
	clock   *sessiontest.Clock
	storage *sessiontest.Storage
	pool    *sessiontest.Pool
	app     *App
	rt      *realm

	upstream func(http.ResponseWriter, *http.Request) // nil: 200 and "hello"
	reached  *http.Request                            // what the upstream got last
	calls    int
	nonce    *http.Cookie    // of the browser; nil: it has none
	repl     *caddy.Replacer // of the last request
}

func newGuarded(tb testing.TB, change ...func(*Realm)) *guarded {
	tb.Helper()
	clock := sessiontest.NewClock()
	g := &guarded{tb: tb, clock: clock, storage: sessiontest.NewStorage(), pool: sessiontest.NewPool(clock)}
	config := &Realm{
		Portal:       portalOrigin + "/auth/",
		Applications: []string{appOrigin, otherOrigin},
		Session:      &Session{Claims: []string{"department", "custom:tenant"}},
		MagicLink:    &MagicLink{Code: true}, SMSStepUp: true,
	}
	for _, f := range change {
		f(config)
	}
	if err := config.parseOrigins(); err != nil {
		tb.Fatal(err)
	}
	g.rt = g.open(config, DefaultRealm)
	g.app = &App{Realms: map[string]*Realm{DefaultRealm: config}, opened: map[string]*realm{DefaultRealm: g.rt}}
	return g
}

func (g *guarded) open(config *Realm, name string) *realm {
	manager := sessiontest.NewManager(g.tb, g.storage, g.pool)
	manager.Settings.Realm = name
	if err := manager.Poll(context.Background()); err != nil {
		g.tb.Fatal(err)
	}
	pages, err := templates.New(templates.Options{Base: config.portalURL.Path, Branding: templates.Branding{Name: "Example Corp"}})
	if err != nil {
		g.tb.Fatal(err)
	}
	secure := config.portalURL.Scheme == "https"
	watched := new(streams)
	manager.Changed = func() { watched.sweep(manager) }
	rt := &realm{
		streams: watched,
		name:    name, config: config, portal: config.portalURL, secure: secure,
		sessions: manager, pages: pages, logger: zap.NewNop(), now: g.clock.Now,
	}
	rt.nameCookies()
	return rt
}

// guard provisions a guard as Caddy would.
func (g *guarded) guard(config Guard) *Guard {
	g.tb.Helper()
	guard := &config
	guard.logger = zap.NewNop()
	if err := guard.bind(g.app, g.app.Realms[guard.realmName()]); err != nil {
		g.tb.Fatal(err)
	}
	g.tb.Cleanup(func() { _ = guard.Cleanup() })
	return guard
}

// signIn starts a session and returns its cookie for one origin.
func (g *guarded) signIn(subject, origin string) (session.Session, *http.Cookie) {
	g.tb.Helper()
	s, err := g.rt.sessions.Start(context.Background(), g.pool.SignIn(subject), session.Passkey, session.Device{})
	if err != nil {
		g.tb.Fatal(err)
	}
	return s, g.cookie(s, origin)
}

func (g *guarded) cookie(s session.Session, origin string) *http.Cookie {
	g.tb.Helper()
	value, err := g.rt.sessions.Seal(s, g.rt.sessionHost(strings.TrimPrefix(strings.TrimPrefix(origin, "https://"), "http://")))
	if err != nil {
		g.tb.Fatal(err)
	}
	return &http.Cookie{Name: g.rt.sessionCookie.Name, Value: value}
}

// navigation is a browser's request for a document.
func navigation(target string, cookies ...*http.Cookie) *http.Request {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Header.Set("Accept", "text/html,application/xhtml+xml")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return r
}

// script is a request by fetch().
func script(target string, cookies ...*http.Cookie) *http.Request {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Header.Set("Accept", "*/*")
	r.Header.Set("Sec-Fetch-Mode", "cors")
	r.Header.Set("Sec-Fetch-Dest", "empty")
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return r
}

// serve sends r through the guards, in order, to the upstream.
func (g *guarded) serve(r *http.Request, guards ...*Guard) *httptest.ResponseRecorder {
	g.tb.Helper()
	w := httptest.NewRecorder()
	g.serveTo(w, r, guards...)
	return w
}

func (g *guarded) serveTo(w http.ResponseWriter, r *http.Request, guards ...*Guard) {
	g.tb.Helper()
	g.reached = nil
	g.repl = caddy.NewReplacer()
	if g.nonce != nil {
		r.AddCookie(g.nonce)
	}
	r = caddyhttp.PrepareRequest(r, g.repl, w, nil)
	if err := g.chain(guards).ServeHTTP(w, r); err != nil {
		g.tb.Fatalf("the guard failed: %v", err)
	}
}

func (g *guarded) chain(guards []*Guard) caddyhttp.Handler {
	var next caddyhttp.Handler = caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		g.reached = r
		g.calls++
		if g.upstream != nil {
			g.upstream(w, r)
			return nil
		}
		_, err := w.Write([]byte("hello"))
		return err
	})
	for i := len(guards) - 1; i >= 0; i-- {
		guard, inner := guards[i], next
		next = caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error { return guard.ServeHTTP(w, r, inner) })
	}
	return next
}

// flowOf opens the sealed state in a redirect to the portal.
func (g *guarded) flowOf(w *httptest.ResponseRecorder) Flow {
	g.tb.Helper()
	location, err := url.Parse(w.Header().Get("Location"))
	if err != nil || w.Code != http.StatusFound || !strings.HasPrefix(location.String(), g.rt.portal.String()+"sign-in?") {
		g.tb.Fatalf("not a redirect to the sign-in page: %d %s %s", w.Code, w.Header().Get("Location"), w.Body)
	}
	flow, err := g.rt.openFlow(location.Query().Get("flow"))
	if err != nil {
		g.tb.Fatal(err)
	}
	return flow
}

// cookieSet returns the named cookie of a response, nil when it sets none.
func cookieSet(w *httptest.ResponseRecorder, name string) *http.Cookie {
	for _, c := range w.Result().Cookies() {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// wantUnauthenticated checks for the JSON answer that scripts get.
func wantUnauthenticated(t *testing.T, w *httptest.ResponseRecorder, reason string) {
	t.Helper()
	if w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), `"error":"unauthenticated","reason":"`+reason+`"`) {
		t.Errorf("got %d %s, want 401 with reason %s", w.Code, w.Body, reason)
	}
	if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("WWW-Authenticate") == "" || w.Header().Get("Location") != "" {
		t.Errorf("headers of the 401: %v", w.Header())
	}
}
