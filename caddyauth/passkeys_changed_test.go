package caddyauth

import (
	"net/http"
	"testing"

	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

// A password manager's update changes the passkey's backup eligibility. Its owner is told so wherever the passkey is used, and can
// remove it with nothing but a sign-in by link and the changed passkey itself.
func TestChangedPasskeyCanBeReplaced(t *testing.T) {
	const changed = passkey.CodeBackupEligibilityChanged
	p := newPortal(t)
	b := p.browser()
	b.signInByLink(anna)
	device := passkeytest.NewAuthenticator(portalOrigin)
	id := b.addPasskey(device)
	otherID := b.addPasskey(passkeytest.NewAuthenticator(portalOrigin), b.prove(device, proofAdd, ""))
	device.Flags &^= passkeytest.FlagBackupEligible | passkeytest.FlagBackupState

	c := p.browser()
	p.wantError(c.tryPasskey(device), http.StatusForbidden, changed)
	named := p.browser()
	flow := named.found(named.get("/auth/sign-in"), flowField)
	var asked askedProof
	named.decode(named.call("/auth/passkey/options", map[string]any{"flow": flow, "email": anna}), http.StatusOK, &asked)
	answer := map[string]any{"flow": flow, "state": asked.State, "answer": device.Get(t, asked.PublicKey)}
	p.wantError(named.call("/auth/passkey/sign-in", answer), http.StatusForbidden, changed)

	confirm := func(purpose, credential string) int {
		asked := b.proofOptions(purpose, credential)
		asked.PublicKey.AllowCredentials = nil
		return b.call("/auth/reauthenticate", map[string]any{"state": asked.State, "answer": device.Get(t, asked.PublicKey)}).Code
	}
	for what, got := range map[string]int{
		"adding":                   confirm(proofAdd, ""),
		"changing the phone":       confirm(proofPhone, ""),
		"removing another passkey": confirm(proofDelete, otherID),
	} {
		if got != http.StatusForbidden {
			t.Errorf("%s with a changed passkey: %d", what, got)
		}
	}
	code := b.prove(device, proofDelete, id)
	if w := b.call("/auth/fido2/authenticators/delete", map[string]string{"credentialId": id, "proof": code}); w.Code != http.StatusNoContent {
		t.Fatalf("removing the changed passkey: %d %s", w.Code, w.Body)
	}
	if own, err := p.store.List(t.Context(), annaSub, ""); err != nil || len(own) != 1 {
		t.Errorf("passkeys %+v, %v", own, err)
	}
}

// Attack: somebody who knows a passkey's ID, but does not have its key, learns nothing of it by an assertion with changed flags.
func TestAttackProbeForChangedPasskeys(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	b.signInByLink(anna)
	device := passkeytest.NewAuthenticator(portalOrigin)
	b.addPasskey(device)
	device.Flags &^= passkeytest.FlagBackupEligible | passkeytest.FlagBackupState
	forge := func(c *passkeytest.Ceremony) {
		c.Signature = func(b []byte) []byte { b[len(b)-1] ^= 1; return b }
	}
	p.wantError(p.browser().tryPasskey(device, forge), http.StatusForbidden, "invalid")
}
