package caddyauth

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/token"
)

// machineToken is what Cognito issues by the client credentials grant: it names no user and descends from no sign-in.
func (g *guarded) machineToken(client string, changes map[string]any) string {
	g.tb.Helper()
	claims := map[string]any{"sub": client, "client_id": client, "username": nil, "origin_jti": nil, "cognito:groups": nil, "jti": "j", "scope": "api/read api/list"}
	for name, value := range changes {
		claims[name] = value
	}
	return g.token(token.Access, claims)
}

func machines() BearerClients {
	return BearerClients{Clients: []string{"mobile"}, Machines: map[string]string{"m1": "backup", "m2": ""}}
}

// One table for the guard, for forward auth (which is a guard) and for passwordless_bearer.
func TestTokensOfOtherClientsAndMachines(t *testing.T) {
	g := newGuarded(t)
	g.acceptTokens()
	plain, listed := g.guard(Guard{Bearer: "access"}), g.guard(Guard{Bearer: "access", BearerClients: machines()})
	for name, c := range map[string]struct {
		raw          string
		plain, other string // the user that passes without and with the lists, "" for a 401
	}{
		"own client":                           {g.token(token.Access, nil), "alice", "alice"},
		"listed client":                        {g.token(token.Access, map[string]any{"client_id": "mobile"}), "", "alice"},
		"unlisted client":                      {g.token(token.Access, map[string]any{"client_id": "other"}), "", ""},
		"machine with a name":                  {g.machineToken("m1", nil), "", "client:backup"},
		"machine without a name":               {g.machineToken("m2", nil), "", "client:m2"},
		"unlisted machine":                     {g.machineToken("m3", nil), "", ""},
		"own client as a machine":              {g.machineToken("client", nil), "", ""},
		"listed user client as a machine":      {g.machineToken("mobile", nil), "", ""},
		"machine that speaks for a user":       {g.machineToken("m1", map[string]any{"sub": "alice"}), "", ""},
		"user's token by a machine's client":   {g.machineToken("m1", map[string]any{"username": "alice", "sub": "alice"}), "", ""},
		"machine with an empty user name":      {g.machineToken("m1", map[string]any{"username": ""}), "", "client:backup"},
		"machine of another pool":              {g.machineToken("m1", map[string]any{"iss": "https://evil.test"}), "", ""},
		"machine's token as an ID token":       {g.machineToken("m1", map[string]any{"token_use": "id", "aud": "m1"}), "", ""},
		"user named like a machine":            {g.token(token.Access, map[string]any{"username": "client:backup"}), "", ""},
		"user named like one, of more clients": {g.token(token.Access, map[string]any{"username": "client:backup", "client_id": "mobile"}), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for guard, want := range map[*Guard]string{plain: c.plain, listed: c.other} {
				g.reached = nil
				w := g.serve(client(appOrigin+"/api", c.raw), guard)
				if want == "" {
					if w.Code != http.StatusUnauthorized || g.reached != nil {
						t.Errorf("guard: got %d, want 401", w.Code)
					}
				} else if w.Code != http.StatusOK || g.reached.Header.Get(headerUser) != want {
					t.Errorf("guard: got %d for %q, want %q", w.Code, g.reached.Header.Get(headerUser), want)
				}
				b := &Bearer{Realm: DefaultRealm, Use: "access", BearerClients: guard.BearerClients, app: g.app, logger: zap.NewNop()}
				recorder := httptest.NewRecorder()
				r := caddyhttp.PrepareRequest(client(appOrigin+"/api", c.raw), caddy.NewReplacer(), recorder, nil)
				if user, ok, err := b.Authenticate(recorder, r); err != nil || user.ID != want || ok != (want != "") {
					t.Errorf("passwordless_bearer: got %q %v %v, want %q", user.ID, ok, err, want)
				}
			}
		})
	}
}

// Attack: the pool's trigger, or a changed pool, puts a person's address into a machine's token.
func TestAttackMachineWithAnAddress(t *testing.T) {
	g := newGuarded(t)
	g.acceptTokens()
	guard := g.guard(Guard{
		Bearer: "access", BearerClients: machines(),
		Headers: map[string]string{"X-Webauth-User": "verified_email", "Remote-User": "email_local_part@example.com"},
	})
	r := client(appOrigin+"/api", g.machineToken("m1", map[string]any{"email": "alice@example.com", "email_verified": true}))
	r.Header["X_Webauth_User"] = []string{"alice@example.com"}
	if w := g.serve(r, guard); w.Code != http.StatusOK {
		t.Fatalf("got %d", w.Code)
	}
	for _, name := range []string{headerEmail, "X-Webauth-User", "X_Webauth_User", "Remote-User", "Authorization"} {
		if got := g.reached.Header[name]; len(got) != 0 {
			t.Errorf("%s is %q", name, got)
		}
	}
}

// A guard lets nobody in by a token that only another guard accepts, in either order.
func TestAttackMachineOfAnotherGuard(t *testing.T) {
	g := newGuarded(t)
	g.acceptTokens()
	all, fewer := g.guard(Guard{Bearer: "access", BearerClients: machines()}), g.guard(Guard{Bearer: "access"})
	renamed := g.guard(Guard{Bearer: "access", BearerClients: BearerClients{Machines: map[string]string{"m1": "root"}}})
	for _, raw := range []string{g.machineToken("m1", nil), g.token(token.Access, map[string]any{"client_id": "mobile"})} {
		for _, guards := range [][]*Guard{{all, fewer}, {fewer, all}, {all, renamed}} {
			if w := g.serve(client(appOrigin+"/", raw), guards...); w.Code != http.StatusUnauthorized {
				t.Errorf("got %d", w.Code)
			}
		}
		if w := g.serve(client(appOrigin+"/", raw), all, all); w.Code != http.StatusOK {
			t.Errorf("accepted by both: got %d", w.Code)
		}
	}
}

// Attack: somebody signs up, or is imported, under a machine's user name.
func TestAttackSessionNamedLikeAMachine(t *testing.T) {
	g := newGuarded(t)
	s, _ := g.signIn("mallory", appOrigin)
	s.Username = "client:backup"
	guard := g.guard(Guard{Bearer: "access", BearerClients: machines(), Allow: []Rule{{Clients: []string{"backup"}}}})
	if w := g.serve(script(appOrigin+"/", g.cookie(s, appOrigin)), guard); w.Code != http.StatusForbidden || g.reached != nil {
		t.Errorf("got %d", w.Code)
	}
}

func TestRulesForMachinesAndScopes(t *testing.T) {
	g := newGuarded(t)
	g.acceptTokens()
	alice := g.token(token.Access, map[string]any{"scope": "api/read"})
	for name, c := range map[string]struct {
		guard       Guard
		m1, m2, who int
	}{
		"client":      {Guard{Allow: []Rule{{Clients: []string{"backup"}}}}, 200, 403, 403},
		"client ID":   {Guard{Allow: []Rule{{Clients: []string{"m1"}}}}, 403, 403, 403}, // its name counts
		"denied":      {Guard{Deny: []Rule{{Clients: []string{"m2"}}}}, 200, 403, 200},
		"scope":       {Guard{Allow: []Rule{{Scopes: []string{"api/read"}}}}, 200, 200, 200},
		"part of one": {Guard{Allow: []Rule{{Scopes: []string{"api", "read", "api/read api/list"}}}}, 403, 403, 403},
		"claim":       {Guard{Allow: []Rule{{Claim: "username", Values: []string{"alice"}}}}, 403, 403, 200},
	} {
		c.guard.Bearer, c.guard.BearerClients = "access", machines()
		guard := g.guard(c.guard)
		for raw, want := range map[string]int{g.machineToken("m1", nil): c.m1, g.machineToken("m2", nil): c.m2, alice: c.who} {
			if w := g.serve(client(appOrigin+"/", raw), guard); w.Code != want {
				t.Errorf("%s: got %d, want %d", name, w.Code, want)
			}
		}
	}
	_, cookie := g.signIn("alice", appOrigin)
	if w := g.serve(script(appOrigin+"/", cookie), g.guard(Guard{Allow: []Rule{{Scopes: []string{"api/read"}}}})); w.Code != http.StatusForbidden {
		t.Errorf("a session by cookie has scopes: %d", w.Code)
	}
}

func TestBearerClientsSayWhatIsWrong(t *testing.T) {
	for want, c := range map[string]struct {
		clients BearerClients
		use     string
	}{
		"machines have no ID tokens": {BearerClients{Machines: map[string]string{"m": ""}}, "id"},
		"need `bearer access`":       {BearerClients{Clients: []string{"c"}}, ""},
		"have the same name":         {BearerClients{Machines: map[string]string{"m1": "x", "m2": "x"}}, "access"},
		"cannot be a name":           {BearerClients{Machines: map[string]string{"m1": "a b"}}, "access"},
		"is not the ID":              {BearerClients{Clients: []string{"a,b"}}, "access"},
	} {
		if err := c.clients.prepareClients(c.use); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", c.clients, err, want)
		}
	}
	if err := new(BearerClients).prepareClients(""); err != nil {
		t.Error(err)
	}
	if _, err := new(BearerClients).caller(nil, token.Claims{Use: token.Access, ClientID: "m", Subject: "m"}); !errors.Is(err, token.ErrInvalid) {
		t.Errorf("a token without a user: %v", err)
	}
}
