package caddyauth

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	httpauth "github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/token"
)

func TestBearerToken(t *testing.T) {
	for _, tc := range []struct {
		values []string
		want   string
	}{
		{nil, ""},
		{[]string{"Bearer abc.def.ghi"}, "abc.def.ghi"},
		{[]string{"bearer   abc"}, "abc"},
		{[]string{"Bearer"}, ""},
		{[]string{"Bearer "}, ""},
		{[]string{"Basic abc"}, ""},
		{[]string{"Bearer abc", "Bearer def"}, ""},
		{[]string{"Bearer abc, Bearer def"}, ""},
		{[]string{"Bearer abc def"}, ""},
		{[]string{"BearerX abc"}, ""},
	} {
		got, ok := bearerToken(http.Header{"Authorization": tc.values})
		if got != tc.want || ok != (tc.want != "") {
			t.Errorf("%q: %q %v", tc.values, got, ok)
		}
	}
}

func FuzzBearerToken(f *testing.F) {
	for _, seed := range []string{"Bearer a", "bearer  b", "Basic x", "Bearer a,b", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if got, ok := bearerToken(http.Header{"Authorization": {value}}); (got == "") == ok {
			t.Errorf("%q: %q %v", value, got, ok)
		}
	})
}

// Whoever brings no token, or a forged one, gets a challenge; whatever identity headers came with it are gone.
func TestAttackBearerWithoutValidToken(t *testing.T) {
	g := newGuarded(t)
	verifier, err := token.NewVerifier(token.Options{Issuer: "https://pool.example.com", JWKSURL: "https://pool.example.com/jwks.json", ClientIDs: []string{"client"}, Now: g.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	g.rt.verifier = verifier
	bearer := &Bearer{Realm: DefaultRealm, Use: "access", app: g.app, logger: zap.NewNop()}
	for authorization, challenge := range map[string]string{
		"":                   `Bearer realm="default"`,
		"Basic YTpi":         `Bearer realm="default"`,
		"Bearer not.a.token": `Bearer realm="default", error="invalid_token"`,
		"Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.": `Bearer realm="default", error="invalid_token"`,
	} {
		w := httptest.NewRecorder()
		r := caddyhttp.PrepareRequest(script(appOrigin+"/api"), caddy.NewReplacer(), w, nil)
		r.Header.Set("X-Passwordless-User", "mallory")
		r.Header.Set("Cookie", "theirs=1; "+g.rt.sessionCookie.Name+"=ours")
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		user, ok, err := bearer.Authenticate(w, r)
		if ok || err != nil || user.ID != "" || w.Header().Get("WWW-Authenticate") != challenge || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%q: %v %v %v", authorization, ok, err, w.Header())
		}
		if r.Header.Get("X-Passwordless-User") != "" {
			t.Error("a forged identity header stays")
		}
		if got := r.Header.Get("Cookie"); got != "theirs=1" {
			t.Errorf("cookies for the upstream: %q", got)
		}
	}
	_ = g.app.Cleanup()
	r := caddyhttp.PrepareRequest(script(appOrigin+"/api"), caddy.NewReplacer(), nil, nil)
	r.Header.Set("Authorization", "Bearer a.b.c")
	if _, ok, err := bearer.Authenticate(httptest.NewRecorder(), r); ok || err == nil {
		t.Error("a closed realm let somebody in")
	}
}

// A site's own word on caching stays with the answers to a good token, and never with a refusal, which a cache would give to others.
func TestBearerLeavesCachingToTheSite(t *testing.T) {
	g := newGuarded(t)
	g.acceptTokens()
	bearer := &Bearer{Realm: DefaultRealm, Use: "access", app: g.app, logger: zap.NewNop()}
	for raw, want := range map[string]string{g.token(token.Access, nil): "max-age=60", "not.a.token": "no-store"} {
		w := httptest.NewRecorder()
		w.Header().Set("Cache-Control", "max-age=60")
		r := caddyhttp.PrepareRequest(client(appOrigin+"/api", raw), caddy.NewReplacer(), w, nil)
		if _, ok, err := bearer.Authenticate(w, r); err != nil || ok != (want == "max-age=60") || w.Header().Get("Cache-Control") != want {
			t.Errorf("%q: %v, %v, %v", raw, ok, err, w.Header())
		}
	}
}

// Attack: a recorded request in TLS early data is sent again, with the token in it, where there is no guard.
func TestAttackReplayedEarlyDataWithAToken(t *testing.T) {
	g := newGuarded(t)
	g.acceptTokens()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	bearer := Bearer{Realm: DefaultRealm, Use: "access", app: g.app, logger: zap.NewNop()}
	handler := new(BearerHandler)
	if err := handler.authentication.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	handler.authentication.Providers = map[string]httpauth.Authenticator{"passwordless": &bearer}
	for _, c := range []struct {
		name, method, header string
		early                bool
		want                 int
	}{
		{"a look", http.MethodGet, "", true, http.StatusOK},
		{"an order", http.MethodPost, "", true, http.StatusTooEarly},
		{"an order by a proxy that says so", http.MethodPost, "1", false, http.StatusTooEarly},
		{"an order after the handshake", http.MethodPost, "", false, http.StatusOK},
	} {
		t.Run(c.name, func(t *testing.T) {
			request := func() *http.Request {
				r := client(appOrigin+"/orders", g.token(token.Access, nil))
				r.Method, r.TLS = c.method, &tls.ConnectionState{HandshakeComplete: !c.early}
				if c.header != "" {
					r.Header.Set("Early-Data", c.header)
				}
				return caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, nil)
			}
			w := httptest.NewRecorder()
			err := handler.ServeHTTP(w, request(), caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
				w.WriteHeader(http.StatusOK)
				return nil
			}))
			got := http.StatusOK
			if refused := (caddyhttp.HandlerError{}); errors.As(err, &refused) {
				got = refused.StatusCode
			}
			if got != c.want || got != http.StatusOK && w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%d %v %v", got, err, w.Header())
			}
			// A provider alone, which JSON allows, lets it in as little.
			if user, ok, err := bearer.Authenticate(httptest.NewRecorder(), request()); ok != (c.want == http.StatusOK) || err != nil {
				t.Errorf("the provider: %v %v %v", user, ok, err)
			}
		})
	}
}

// A site may take tokens or a session, in this order. The provider keeps our cookie from the upstream, but not from a guard behind it.
func TestGuardBehindABearerProviderKnowsTheSession(t *testing.T) {
	g := newGuarded(t)
	_, cookie := g.signIn("alice", appOrigin)
	guard := g.guard(Guard{})
	bearer := &Bearer{Realm: DefaultRealm, Use: "access", app: g.app, logger: zap.NewNop()}
	w := httptest.NewRecorder()
	r := caddyhttp.PrepareRequest(script(appOrigin+"/api", cookie, &http.Cookie{Name: "theirs", Value: "1"}), caddy.NewReplacer(), w, nil)
	if _, ok, err := bearer.Authenticate(w, r); ok || err != nil {
		t.Fatalf("without a token: %v, %v", ok, err)
	}
	w = httptest.NewRecorder()
	if err := g.chain([]*Guard{guard}).ServeHTTP(w, r); err != nil || w.Code != http.StatusOK || g.reached.Header.Get(headerUser) != "alice" {
		t.Fatalf("%d %s, %v", w.Code, w.Body, err)
	}
	if got := g.reached.Header.Get("Cookie"); got != "theirs=1" {
		t.Errorf("the upstream gets %q", got)
	}
}
