package caddyauth

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/internal/session/sessiontest"
	"github.com/caddy-cognito/passwordless/internal/token"
)

func TestUpstreamGetsTheChosenToken(t *testing.T) {
	g := newGuarded(t)
	s, cookie := g.signIn("alice", appOrigin)
	tokens, err := g.rt.sessions.Tokens(t.Context(), s)
	if err != nil || tokens.ID == "" || tokens.ID == tokens.Access {
		t.Fatalf("%+v %v", tokens, err)
	}
	for use, want := range map[string]string{"id": tokens.ID, "access": tokens.Access} {
		r := script(appOrigin+"/", cookie)
		r.Header["Authorization"] = []string{"Basic bWFsbG9yeTp4", "Bearer x"}
		r.Header["authorization_"] = []string{"Bearer y"}
		r.Header.Set("Connection", "close, Authorization")
		w := g.serve(r, g.guard(Guard{UpstreamBearer: use}))
		if w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", use, w.Code, w.Body)
		}
		got, folded := g.reached.Header["Authorization"], "authorization_"
		_, spelled := g.reached.Header[folded]
		if len(got) != 1 || got[0] != "Bearer "+want || spelled || g.reached.Header.Get("Connection") != "close" {
			t.Errorf("%s: upstream got %v", use, g.reached.Header)
		}
	}
	if g.serve(script(appOrigin+"/", cookie), g.guard(Guard{})); g.reached.Header.Get("Authorization") != "" {
		t.Error("a token went upstream that nobody asked for")
	}
}

func TestUpstreamGetsTheFixedCredential(t *testing.T) {
	t.Setenv("LEGACY_PASSWORD_OF_THE_TEST", "s3cret: ü")
	g := newGuarded(t)
	_, cookie := g.signIn("alice", appOrigin)
	guard := g.guard(Guard{UpstreamBasic: &BasicCredential{"legacy", "{env.LEGACY_PASSWORD_OF_THE_TEST}"}})
	g.serve(script(appOrigin+"/", cookie), guard)
	if user, password, ok := g.reached.BasicAuth(); !ok || user != "legacy" || password != "s3cret: ü" {
		t.Errorf("%q %q", user, password)
	}
	if w := g.serve(script(appOrigin+"/"), guard); w.Code != http.StatusUnauthorized || g.reached != nil {
		t.Errorf("without session: %d", w.Code)
	}
}

// The application may speak Authorization with its own clients: then it is theirs.
func TestClientsOwnAuthorizationPassesBesideACookie(t *testing.T) {
	g := newGuarded(t)
	_, cookie := g.signIn("alice", appOrigin)
	r := script(appOrigin+"/", cookie)
	r.Header.Set("Authorization", "Token of-the-application")
	if g.serve(r, g.guard(Guard{})); g.reached.Header.Get("Authorization") != "Token of-the-application" {
		t.Errorf("%v", g.reached.Header)
	}
}

func TestClientsTokenGoesUpstreamOnlyWhenAsked(t *testing.T) {
	g := newGuarded(t)
	g.acceptTokens()
	raw := g.token(token.Access, nil)
	if g.serve(client(appOrigin+"/", raw), g.guard(Guard{Bearer: "access"})); g.reached.Header.Get("Authorization") != "" {
		t.Error("the client's token went upstream")
	}
	if g.serve(client(appOrigin+"/", raw), g.guard(Guard{Bearer: "access", UpstreamBearer: "access"})); g.reached.Header.Get("Authorization") != "Bearer "+raw {
		t.Errorf("upstream got %q", g.reached.Header.Get("Authorization"))
	}
	// A second guard that wants another token than the client brought cannot have it.
	if w := g.serve(client(appOrigin+"/", raw), g.guard(Guard{Bearer: "access"}), g.guard(Guard{UpstreamBearer: "id"})); w.Code != http.StatusUnauthorized || g.reached != nil {
		t.Errorf("%d", w.Code)
	}
}

// Without the record there is no token, and without the token nothing goes upstream: not what the client sent instead of it, either.
func TestNoTokenNoRequest(t *testing.T) {
	for name, tc := range map[string]struct {
		before func(*guarded, session.Session)
		status int
	}{
		"ended on another node": {func(g *guarded, s session.Session) {
			other := sessiontest.NewManager(g.tb, g.storage, g.pool)
			other.Settings.Realm = DefaultRealm
			if err := other.End(g.tb.Context(), s); err != nil {
				g.tb.Fatal(err)
			}
		}, http.StatusUnauthorized},
		"storage cannot be read": {func(g *guarded, _ session.Session) {
			g.storage.Fail(func(string, string) error { return errors.New("down") })
		}, http.StatusServiceUnavailable},
	} {
		for _, guard := range []Guard{{UpstreamBearer: "access"}, {UpstreamBearer: "id"}} {
			t.Run(name+" "+guard.UpstreamBearer, func(t *testing.T) {
				g := newGuarded(t)
				s, cookie := g.signIn("alice", appOrigin)
				g.rt.sessions = g.open(g.rt.config, DefaultRealm).sessions // this node has not seen the session yet
				tc.before(g, s)
				r := script(appOrigin+"/", cookie)
				r.Header.Set("Authorization", "Bearer of-the-client")
				w := g.serve(r, g.guard(guard))
				if w.Code != tc.status || g.reached != nil || strings.Contains(w.Body.String(), "Bearer ") {
					t.Errorf("%d %s", w.Code, w.Body)
				}
			})
		}
	}
}

// A pool that gave no ID token: the client's own word must not take its place.
func TestAttackTokenThatTheSessionLacks(t *testing.T) {
	g := newGuarded(t)
	fresh := g.pool.SignIn("alice")
	fresh.Tokens.ID = ""
	s, err := g.rt.sessions.Start(t.Context(), fresh, session.Passkey, session.Device{})
	if err != nil {
		t.Fatal(err)
	}
	r := script(appOrigin+"/", g.cookie(s, appOrigin))
	r.Header.Set("Authorization", "Bearer of-the-client")
	if w := g.serve(r, g.guard(Guard{UpstreamBearer: "id"})); w.Code != http.StatusServiceUnavailable || g.reached != nil {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
