package caddyauth

import (
	"net/http"
	"strings"
	"testing"

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

// Without the record there is no token, and without the token nothing goes upstream.
func TestNoTokenNoRequest(t *testing.T) {
	g := newGuarded(t)
	s, cookie := g.signIn("alice", appOrigin)
	if err := g.rt.sessions.End(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	w := g.serve(script(appOrigin+"/", cookie), g.guard(Guard{UpstreamBearer: "access"}))
	if w.Code != http.StatusUnauthorized || g.reached != nil || strings.Contains(w.Body.String(), "Bearer ") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
