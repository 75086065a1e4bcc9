package caddyauth

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/internal/session/sessiontest"
	"github.com/caddy-cognito/passwordless/internal/token"
)

var signingKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// jwksTransport answers for the pool's JWKS.
type jwksTransport struct{ tb testing.TB }

func (j jwksTransport) RoundTrip(*http.Request) (*http.Response, error) {
	public := signingKey().PublicKey
	set := map[string]any{"keys": []any{map[string]string{
		"kid": "k", "kty": "RSA", "alg": "RS256", "use": "sig",
		"n": base64.RawURLEncoding.EncodeToString(public.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(public.E)).Bytes()),
	}}}
	body, err := json.Marshal(set)
	if err != nil {
		j.tb.Error(err)
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body))}, nil
}

const poolIssuer = "https://pool.example.com"

// acceptTokens gives the realm a verifier for tokens that sign makes.
func (g *guarded) acceptTokens() {
	g.tb.Helper()
	verifier, err := token.NewVerifier(token.Options{
		Issuer: poolIssuer, JWKSURL: poolIssuer + "/jwks.json", ClientIDs: []string{"client"}, Now: g.clock.Now,
		HTTPClient: &http.Client{Transport: jwksTransport{g.tb}},
	})
	if err != nil {
		g.tb.Fatal(err)
	}
	g.rt.verifier = verifier
}

// token is one of the realm's pool for alice, with changed claims.
func (g *guarded) token(use token.Use, changes map[string]any) string {
	g.tb.Helper()
	now := g.clock.Now().Unix()
	claims := map[string]any{
		"sub": "alice", "iss": poolIssuer, "token_use": string(use), "auth_time": now, "iat": now, "exp": now + 3600, "origin_jti": "family",
		"cognito:groups": []string{"staff"},
	}
	if use == token.ID {
		claims["aud"], claims["cognito:username"], claims["email"], claims["email_verified"] = "client", "alice", "alice@example.com", true
		claims["department"] = "sales"
	} else {
		claims["client_id"], claims["username"] = "client", "alice"
	}
	for name, value := range changes {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	encode := func(v any) string {
		raw, err := json.Marshal(v)
		if err != nil {
			g.tb.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	input := encode(map[string]string{"alg": "RS256", "kid": "k"}) + "." + encode(claims)
	sum := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(nil, signingKey(), crypto.SHA256, sum[:])
	if err != nil {
		g.tb.Fatal(err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// client is an API client's request.
func client(target, raw string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Authorization", "Bearer "+raw)
	return r
}

func TestBearerAtTheGuard(t *testing.T) {
	g := newGuarded(t)
	g.acceptTokens()
	guard := g.guard(Guard{Bearer: "id", Allow: []Rule{{Claim: "department", Values: []string{"sales"}}}, Headers: map[string]string{"X-Department": "department"}})
	w := g.serve(client(appOrigin+"/api", g.token(token.ID, nil)), guard)
	if w.Code != http.StatusOK || w.Header().Get("Cache-Control") != "private" {
		t.Fatalf("%d %s %v", w.Code, w.Body, w.Header())
	}
	for name, want := range map[string]string{
		headerUser: "alice", headerEmail: "alice@example.com", headerGroups: "staff", "X-Department": "sales", "Authorization": "",
	} {
		if got := g.reached.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if w := g.serve(client(appOrigin+"/api", g.token(token.ID, map[string]any{"department": "legal"})), guard); w.Code != http.StatusForbidden ||
		w.Header().Get("WWW-Authenticate") != `Bearer realm="default", error="insufficient_scope"` {
		t.Errorf("denied by rule: %d %v", w.Code, w.Header())
	}
	// The cookie goes on working beside it.
	_, cookie := g.signIn("alice", appOrigin)
	if w := g.serve(script(appOrigin+"/", cookie), g.guard(Guard{Bearer: "access"})); w.Code != http.StatusOK {
		t.Errorf("cookie: %d", w.Code)
	}
	if w := g.serve(script(appOrigin+"/"), guard); !slices.Contains(w.Header().Values("WWW-Authenticate"), `Bearer realm="default"`) || len(w.Header().Values("WWW-Authenticate")) != 2 {
		t.Errorf("challenges: %q", w.Header().Values("WWW-Authenticate"))
	}
	g.flowOf(g.serve(navigation(appOrigin+"/"), guard))
}

// Every guard that matches must accept the token itself: one that takes only sessions does not open because another takes tokens.
func TestAttackTokenThatAnotherGuardAccepts(t *testing.T) {
	g := newGuarded(t)
	g.acceptTokens()
	ids, accesses, sessions := g.guard(Guard{Bearer: "id"}), g.guard(Guard{Bearer: "access"}), g.guard(Guard{})
	for name, guards := range map[string][]*Guard{
		"sessions last": {ids, sessions}, "sessions first": {sessions, ids}, "another kind last": {ids, accesses}, "another kind first": {accesses, ids},
	} {
		if w := g.serve(client(appOrigin+"/", g.token(token.ID, nil)), guards...); w.Code != http.StatusUnauthorized || g.reached != nil {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	if w := g.serve(client(appOrigin+"/", g.token(token.ID, nil)), ids, ids); w.Code != http.StatusOK {
		t.Errorf("both accept it: %d", w.Code)
	}
}

func TestAttackBearerAtTheGuard(t *testing.T) {
	g := newGuarded(t)
	g.acceptTokens()
	guard := g.guard(Guard{Bearer: "access"})
	good := g.token(token.Access, nil)
	parts := strings.Split(good, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"k"}`))
	past := g.clock.Now().Add(-time.Hour).Unix()
	for name, r := range map[string]*http.Request{
		"ID for access":  client(appOrigin+"/", g.token(token.ID, nil)),
		"another client": client(appOrigin+"/", g.token(token.Access, map[string]any{"client_id": "other"})),
		"another pool":   client(appOrigin+"/", g.token(token.Access, map[string]any{"iss": "https://other.example.com"})),
		"expired":        client(appOrigin+"/", g.token(token.Access, map[string]any{"exp": past})),
		"alg none":       client(appOrigin+"/", none+"."+parts[1]+"."+parts[2]),
		"cut":            client(appOrigin+"/", good[:len(good)-4]),
		"nonsense":       client(appOrigin+"/", "x"),
		"huge":           client(appOrigin+"/", strings.Repeat("a", 1<<20)),
		"two":            client(appOrigin+"/", good+", Bearer "+good),
	} {
		r.Header.Set(headerUser, "mallory")
		r.Header.Set("Accept", "text/html") // no redirect for a client with a token, whatever it accepts
		w := g.serve(r, guard)
		if w.Code == http.StatusFound && (name == "two" || name == "huge") {
			continue // that is no token at all, so it may be a browser
		}
		if w.Code != http.StatusUnauthorized || g.reached != nil || !strings.Contains(strings.Join(w.Header().Values("WWW-Authenticate"), " "), "Bearer") {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
	}
	// A cookie that is no longer good is not made good by a token, and the other way round.
	r := client(appOrigin+"/", good)
	r.AddCookie(&http.Cookie{Name: g.rt.sessionCookie.Name, Value: "x"})
	wantUnauthenticated(t, g.serve(r, guard), "invalid_session")
	r = client(appOrigin+"/", good)
	r.Header.Set("Cookie", g.rt.sessionCookie.Name+"=a; "+g.rt.sessionCookie.Name+"=b")
	if w := g.serve(r, guard); w.Code != http.StatusBadRequest || g.reached != nil {
		t.Errorf("two cookies and a token: %d", w.Code)
	}
	if w := g.serve(client("https://evil.example.org/", good), guard); w.Code != http.StatusForbidden {
		t.Errorf("unlisted host: %d", w.Code)
	}
	if w := g.serve(client(appOrigin+"/", good), guard); w.Code != http.StatusOK {
		t.Errorf("good: %d", w.Code)
	}
}

// Sign-out ends the tokens of the session's family and, everywhere, all that were issued before, also those already verified.
func TestAttackTokenAfterSignOut(t *testing.T) {
	for name, end := range map[string]func(*guarded) error{
		"this session": func(g *guarded) error {
			s, err := g.rt.sessions.Start(g.tb.Context(), g.pool.SignIn("alice"), "passkey", session.Device{})
			if err != nil {
				return err
			}
			return g.rt.sessions.End(g.tb.Context(), s)
		},
		"everywhere": func(g *guarded) error { return g.rt.sessions.EndAll(g.tb.Context(), "alice") },
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuarded(t)
			g.acceptTokens()
			guard := g.guard(Guard{Bearer: "access"})
			provider := &Bearer{Realm: DefaultRealm, Use: "access", app: g.app, logger: zap.NewNop()}
			raw := g.token(token.Access, map[string]any{"origin_jti": "origin-1"})
			authenticate := func() bool {
				w := httptest.NewRecorder()
				user, ok, err := provider.Authenticate(w, caddyhttp.PrepareRequest(client(appOrigin+"/", raw), caddy.NewReplacer(), w, nil))
				if err != nil || ok != (user.ID == "alice") {
					t.Fatalf("%v %v", user, err)
				}
				return ok
			}
			if w := g.serve(client(appOrigin+"/", raw), guard); w.Code != http.StatusOK || !authenticate() {
				t.Fatalf("before: %d", w.Code)
			}
			g.clock.Advance(time.Second)
			if err := end(g); err != nil {
				t.Fatal(err)
			}
			w := g.serve(client(appOrigin+"/", raw), guard)
			if w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), "signed_out") || authenticate() {
				t.Errorf("after: %d %s", w.Code, w.Body)
			}
		})
	}
}

// A stream that a token opened ends with the token.
func TestBearerStreamEndsWithItsToken(t *testing.T) {
	g := newGuarded(t)
	g.acceptTokens()
	guard := g.guard(Guard{Bearer: "access"})
	g.upstream = func(w http.ResponseWriter, _ *http.Request) {
		if _, err := w.Write([]byte("a")); err != nil {
			t.Errorf("before the end: %v", err)
		}
		g.rt.streams.sweep(g.rt.sessions)
		if _, err := w.Write([]byte("b")); err != nil {
			t.Errorf("still before the end: %v", err)
		}
		g.clock.Advance(2 * time.Hour)
		g.rt.streams.sweep(g.rt.sessions)
		if _, err := w.Write([]byte("c")); err == nil {
			t.Error("the stream outlives its token")
		}
	}
	if w := g.serve(client(appOrigin+"/events", g.token(token.Access, nil)), guard); w.Body.String() != "ab" {
		t.Errorf("%q", w.Body)
	}
}

// A token steps up where it came from: the challenge names no page, and a fresher token with the factor passes.
func TestBearerStepUp(t *testing.T) {
	g := newGuarded(t)
	g.acceptTokens()
	guard := g.guard(Guard{Bearer: "access", StepUp: fiveMinutes("sms")})
	w := g.serve(client(appOrigin+"/", g.token(token.Access, map[string]any{"auth_methods": "passkey magic_link"})), guard)
	if w.Code != http.StatusUnauthorized || strings.Contains(w.Body.String(), "step_up_url") || !strings.Contains(w.Header().Get("WWW-Authenticate"), insufficientAuthentication) {
		t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
	}
	fresh := g.token(token.Access, map[string]any{"auth_methods": "passkey sms"})
	if w := g.serve(client(appOrigin+"/", fresh), guard); w.Code != http.StatusOK {
		t.Errorf("with the factor: %d", w.Code)
	}
	undated := g.token(token.Access, map[string]any{"auth_methods": "passkey sms", "auth_time": nil})
	if w := g.serve(client(appOrigin+"/", undated), g.guard(Guard{Bearer: "access", Allow: []Rule{{Factors: []string{"sms"}}}})); w.Code != http.StatusForbidden {
		t.Errorf("a factor that passed at no time: %d", w.Code)
	}
	g.clock.Advance(6 * time.Minute)
	if w := g.serve(client(appOrigin+"/", fresh), guard); w.Code != http.StatusUnauthorized {
		t.Errorf("later: %d", w.Code)
	}
}

// A WebSocket that a token opens needs no Origin, for no browser sends the token by itself; by cookie it does, also where tokens count.
func TestWebSocketByToken(t *testing.T) {
	g := newGuarded(t)
	g.acceptTokens()
	guard := g.guard(Guard{Bearer: "access"})
	r := client(appOrigin+"/socket", g.token(token.Access, nil))
	r.Header.Set("Upgrade", "websocket")
	if w := g.serve(r, guard); w.Code != http.StatusOK {
		t.Errorf("token: %d", w.Code)
	}
	_, cookie := g.signIn("alice", appOrigin)
	r.AddCookie(cookie)
	r.Header.Set("Origin", "https://evil.example.org")
	if w := g.serve(r, guard); w.Code != http.StatusForbidden || g.reached != nil {
		t.Errorf("cookie from a foreign origin, with a token beside it: %d", w.Code)
	}
}

// gRPC clients read the status in the trailers alone.
func TestGRPCClientsGetTheirStatus(t *testing.T) {
	g := newGuarded(t)
	g.acceptTokens()
	_, cookie := g.signIn("alice", appOrigin)
	rules := Guard{Bearer: "access", Deny: []Rule{{Groups: []string{"staff"}}}}
	for name, tc := range map[string]struct {
		guard  Guard
		change func(*http.Request)
		status string
	}{
		"nobody":  {Guard{}, func(*http.Request) {}, "16"},
		"denied":  {rules, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+g.token(token.Access, nil)) }, "7"},
		"step-up": {Guard{StepUp: fiveMinutes("sms")}, func(r *http.Request) { r.AddCookie(cookie) }, "16"},
		"no keys": {Guard{Bearer: "access"}, func(r *http.Request) {
			g.rt.verifier = mustVerifier(t, g.clock, roundTripper(func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }))
			r.Header.Set("Authorization", "Bearer "+g.token(token.Access, nil))
		}, "14"},
	} {
		g.acceptTokens()
		r := httptest.NewRequest(http.MethodPost, appOrigin+"/pkg.Service/Method", nil)
		r.Header.Set("Content-Type", "application/grpc+proto")
		r.Header.Set("Te", "trailers")
		tc.change(r)
		w := g.serve(r, g.guard(tc.guard))
		h := w.Header()
		if w.Code != http.StatusOK || h.Get("Grpc-Status") != tc.status || h.Get("Content-Type") != "application/grpc" || w.Body.Len() != 0 || g.reached != nil {
			t.Errorf("%s: %d %v", name, w.Code, h)
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func mustVerifier(t *testing.T, clock *sessiontest.Clock, transport http.RoundTripper) *token.Verifier {
	t.Helper()
	v, err := token.NewVerifier(token.Options{
		Issuer: poolIssuer, JWKSURL: poolIssuer + "/jwks.json", ClientIDs: []string{"client"}, Now: clock.Now, HTTPClient: &http.Client{Transport: transport},
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// A script of another listed application may read why it was refused; one of a foreign site is told nothing.
func TestRefusalsAreReadableForListedApplications(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{})
	for origin, allowed := range map[string]bool{otherOrigin: true, portalOrigin: true, "https://evil.example.org": false, "null": false} {
		r := script(appOrigin + "/api")
		r.Header.Set("Origin", origin)
		w := g.serve(r, guard)
		if got := w.Header().Get("Access-Control-Allow-Origin"); (got == origin) != allowed || got != "" && !allowed || w.Header().Get("Vary") != "Origin" {
			t.Errorf("%s: %v", origin, w.Header())
		}
	}
}
