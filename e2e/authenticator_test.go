package e2e

import (
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// authenticator is a virtual platform authenticator that is attached to a tab: it verifies its user and answers at once. With a
// passkey inside, a conditional request (autofill) is answered as soon as the page makes it.
type authenticator struct {
	tab *tab
	id  webauthn.AuthenticatorID
}

// attach puts an authenticator with these passkeys to a tab.
func attach(b *tab, passkeys ...*webauthn.Credential) *authenticator {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, webauthn.Enable, webauthn.EnableParams{}); err != nil {
		b.t.Fatal(err)
	}
	added, err := chromedp.Call(b.ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{
		Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol:                    webauthn.AuthenticatorProtocolCtap2,
			Ctap2version:                webauthn.Ctap2versionCtap21,
			Transport:                   webauthn.AuthenticatorTransportInternal,
			HasResidentKey:              true,
			HasCmtgKey:                  true,
			HasUserVerification:         true,
			IsUserVerified:              true,
			AutomaticPresenceSimulation: true,
		},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	a := &authenticator{b, added.AuthenticatorID}
	for _, passkey := range passkeys {
		// What GetCredentials reports of these keys, AddCredential does not take back.
		passkey.CmtgKeys, passkey.ActiveCmtgKeyIndex = nil, nil
		_, err := chromedp.Call(b.ctx, webauthn.AddCredential, webauthn.AddCredentialParams{AuthenticatorID: a.id, Credential: passkey})
		if err != nil {
			b.t.Fatal(err)
		}
	}
	return a
}

// passkeys are those inside, private keys and counters included.
func (a *authenticator) passkeys() []*webauthn.Credential {
	a.tab.t.Helper()
	held, err := chromedp.Call(a.tab.ctx, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: a.id})
	if err != nil {
		a.tab.t.Fatal(err)
	}
	return held.Credentials
}

// detach removes the authenticator and returns the passkeys it held.
func (a *authenticator) detach() []*webauthn.Credential {
	a.tab.t.Helper()
	held := a.passkeys()
	_, err := chromedp.Call(a.tab.ctx, webauthn.RemoveVirtualAuthenticator, webauthn.RemoveVirtualAuthenticatorParams{AuthenticatorID: a.id})
	if err != nil {
		a.tab.t.Fatal(err)
	}
	return held
}

// verifies says whether the person in front of the authenticator is its user.
func (a *authenticator) verifies(yes bool) {
	a.tab.t.Helper()
	_, err := chromedp.Call(a.tab.ctx, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: a.id, IsUserVerified: yes})
	if err != nil {
		a.tab.t.Fatal(err)
	}
}
