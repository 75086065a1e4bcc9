package caddyauth

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

// Attack: make the account page's call fail on something else, and keep its proof for a registration or a deletion of one's own.
func TestAttackProofSurvivesARefusedCall(t *testing.T) {
	for name, spoil := range map[string]func(b *browser, code, id string) *httptest.ResponseRecorder{
		"another relying party": func(b *browser, code, _ string) *httptest.ResponseRecorder {
			return b.call("/auth/fido2/register-authenticator/start?rpId=wrong", map[string]string{"proof": code})
		},
		"no relying party": func(b *browser, code, _ string) *httptest.ResponseRecorder {
			return b.call("/auth/fido2/register-authenticator/start", map[string]string{"proof": code})
		},
		"a damaged credential ID": func(b *browser, code, _ string) *httptest.ResponseRecorder {
			return b.call("/auth/fido2/authenticators/delete", map[string]string{"credentialId": "%", "proof": code})
		},
		"a deletion": func(b *browser, code, id string) *httptest.ResponseRecorder {
			return b.call("/auth/fido2/authenticators/delete", map[string]string{"credentialId": id, "proof": code})
		},
		"no phone number": func(b *browser, code, _ string) *httptest.ResponseRecorder {
			return b.call("/auth/phone", map[string]string{"phone": "none", "proof": code})
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPortal(t)
			b, device := p.browser(), passkeytest.NewAuthenticator(portalOrigin)
			b.signInByLink(anna)
			id := b.addPasskey(device)
			code := b.prove(device, proofAdd, "")
			if w := spoil(b, code, id); w.Code < 400 || w.Code >= 500 {
				t.Fatalf("the spoiled call got %d %s", w.Code, w.Body)
			}
			if w := b.call("/auth/fido2/register-authenticator/start?rpId=auth.example.com", map[string]string{"proof": code}); w.Code != http.StatusForbidden {
				t.Errorf("the proof is still good: %d %s", w.Code, w.Body)
			}
		})
	}
}

// A header is in access logs: a proof that comes in one is none.
func TestProofInAHeaderIsIgnored(t *testing.T) {
	p := newPortal(t)
	b, device := p.browser(), passkeytest.NewAuthenticator(portalOrigin)
	b.signInByLink(anna)
	b.addPasskey(device)
	w := b.call("/auth/fido2/register-authenticator/start?rpId=auth.example.com", nil, "Passwordless-Proof", b.prove(device, proofAdd, ""))
	if w.Code != http.StatusForbidden {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}
