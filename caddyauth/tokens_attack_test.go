package caddyauth

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
	"github.com/caddy-cognito/passwordless/userpool"
)

// Attack: a pool, or who stands in its place, answers with the ID token of one user and the access token of another. The session would show
// anna, and act for bob.
func TestAttackTokensOfTwoUsers(t *testing.T) {
	p := newPortal(t)
	ofAnna, ofBob := p.tokens(poolUser{annaSub, anna}, p.clock.Now()), p.tokens(poolUser{bobSub, bob}, p.clock.Now())
	for name, pair := range map[string]userpool.Tokens{
		"anna's ID token": {ID: ofAnna.ID, Access: ofBob.Access, Refresh: ofAnna.Refresh},
		"bob's ID token":  {ID: ofBob.ID, Access: ofAnna.Access, Refresh: ofBob.Refresh},
	} {
		if fresh, err := p.rt.freshFrom(t.Context(), pair); err == nil || fresh.Identity.Subject != "" || fresh.Tokens.Access != "" {
			t.Errorf("%s: %v with %+v", name, err, fresh.Identity)
		}
	}
	if fresh, err := p.rt.freshFrom(t.Context(), ofAnna); err != nil || fresh.Identity.Subject != annaSub {
		t.Errorf("anna's own tokens: %v, %+v", err, fresh.Identity)
	}

	// The same at the end of a sign-in: nobody is signed in.
	b := p.browser()
	_, mailed := b.askForLink(anna, appOrigin+"/")
	p.pool.respond = func(userpool.Response) (userpool.Result, error) {
		return userpool.Result{Tokens: &userpool.Tokens{ID: ofAnna.ID, Access: ofBob.Access, Refresh: ofAnna.Refresh}}, nil
	}
	if w := b.useLink(mailed, p.pool.lastLink); w.Code < http.StatusBadRequest {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if s, ok := b.session(); ok {
		t.Errorf("signed in as %s", s.Email)
	}
}

// Attack: anna's passkey, given without a name, for which the pool answers with bob's tokens, as when a username is another one's alias. The
// tokens must be the passkey's owner's.
func TestAttackPasskeyForTokensOfAnotherUser(t *testing.T) {
	p := newPortal(t)
	device := passkeytest.NewAuthenticator(portalOrigin)
	owner := p.browser()
	owner.signInByLink(anna)
	owner.addPasskey(device)

	b := p.browser()
	ofBob := p.tokens(poolUser{bobSub, bob}, p.clock.Now())
	p.pool.respond = func(userpool.Response) (userpool.Result, error) { return userpool.Result{Tokens: &ofBob}, nil }
	if w := b.tryPasskey(device); w.Code < http.StatusBadRequest {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if s, ok := b.session(); ok {
		t.Errorf("signed in as %s", s.Email)
	}
	p.pool.respond = nil
	b.signInByPasskey(device)
	if s, ok := b.session(); !ok || s.Email != anna {
		t.Errorf("anna's tokens: %v as %s", ok, s.Email)
	}
}

// Attack: a token that was fresh when the registration began is used up to its end, long after. What ends a registration needs a fresh
// authentication just as what begins it.
func TestAttackStaleBearerCompletesARegistration(t *testing.T) {
	p := newPortal(t, shareWithSPA)
	b := p.browser()
	bearer := p.tokens(poolUser{annaSub, anna}, p.clock.Now()).ID
	p.clock.Advance(freshSignIn - time.Minute)
	var options passkey.CreationOptions
	p.decode(b.fromSPA(http.MethodPost, "register-authenticator/start?rpId=auth.example.com", "", bearer), http.StatusOK, &options)
	attestation := passkeytest.NewAuthenticator(portalOrigin).Create(t, options)
	complete := `{"attestationObjectB64":"` + attestation.AttestationObjectB64 + `","clientDataJSON_B64":"` + attestation.ClientDataJSONB64 +
		`","friendlyName":"My key","transports":["internal"]}`
	p.clock.Advance(2 * time.Minute)
	p.wantMessage(b.fromSPA(http.MethodPost, "register-authenticator/complete", complete, bearer), http.StatusUnauthorized, messageAgain)
	if own, err := p.store.List(t.Context(), annaSub, ""); err != nil || len(own) != 0 {
		t.Errorf("anna's passkeys: %v, %v", own, err)
	}

	// A fresh token ends it: the challenge is still good.
	again := p.tokens(poolUser{annaSub, anna}, p.clock.Now()).ID
	if w := b.fromSPA(http.MethodPost, "register-authenticator/complete", complete, again); w.Code != http.StatusOK {
		t.Errorf("with a fresh token: %d %s", w.Code, w.Body)
	}
}
