package passkey_test

import (
	"testing"

	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

// A relying party with shops under other top-level domains. Attack: an origin that is on nobody's list, on the list of another relying
// party, or almost the same as a listed one, registers and signs in.
func TestRelatedOriginsAreAcceptedAndOnlyThose(t *testing.T) {
	related := func(s *passkey.Settings) {
		s.RelyingParties[0].Related = []string{"https://example.de", "https://Shop.Example.fr:443/"}
		s.RelyingParties[1].Related = []string{"https://example.nl"}
	}
	for origin, accepted := range map[string]bool{
		exampleOrigin:               true,
		"https://example.de":        true,
		"https://shop.example.fr":   true,
		"https://www.example.de":    false, // below a listed one
		"https://example.de:8443":   false,
		"http://example.de":         false,
		"https://example.de.evil":   false,
		"https://evilexample.de":    false,
		"https://example.fr":        false, // above a listed one
		"https://example.nl":        false, // of the other relying party
		"https://EXAMPLE.de":        false, // no browser writes it so
		"https://example.de/":       false,
		"android:apk-key-hash:evil": false,
	} {
		sc := newScene(t, related)
		_, err := sc.finish(passkeytest.NewAuthenticator(origin).Create(t, sc.start(t)))
		if accepted && err != nil {
			t.Errorf("registration at %s: %v", origin, err)
		}
		if !accepted {
			wantCode(t, err, passkey.CodeInvalidOrigin)
		}

		auth := passkeytest.NewAuthenticator(exampleOrigin)
		cred, o := sc.register(t, auth), sc.request(t)
		auth.Origin = origin
		_, err = sc.Settings.Check(auth.Get(t, o), o.Challenge, cred)
		if accepted && err != nil {
			t.Errorf("sign-in at %s: %v", origin, err)
		}
		if !accepted {
			wantCode(t, err, passkey.CodeInvalidOrigin)
		}
	}
}

// Another relying party's ID at a related origin is as foreign as anywhere.
func TestRelatedOriginWithAnotherRelyingPartyID(t *testing.T) {
	sc := newScene(t, func(s *passkey.Settings) { s.RelyingParties[0].Related = []string{"https://example.de"} })
	auth := passkeytest.NewAuthenticator("https://example.de")
	cred, o := sc.register(t, auth), sc.request(t)
	_, err := sc.Settings.Check(auth.Get(t, o, func(c *passkeytest.Ceremony) { c.RPID = "example.de" }), o.Challenge, cred)
	wantCode(t, err, passkey.CodeInvalid)
}

func TestExtensionsAskedFor(t *testing.T) {
	for name, tc := range map[string]struct {
		chosen []string
		want   passkey.Extensions
	}{
		"default":    {nil, passkey.Extensions{CredProps: true}},
		"none":       {[]string{"none"}, passkey.Extensions{}},
		"protection": {[]string{"credProtect"}, passkey.Extensions{CredentialProtectionPolicy: "userVerificationRequired"}},
		"both":       {[]string{"credProtect", "credProps"}, passkey.Extensions{CredProps: true, CredentialProtectionPolicy: "userVerificationRequired"}},
	} {
		sc := newScene(t, func(s *passkey.Settings) { s.Extensions = tc.chosen })
		if o := sc.start(t); o.Extensions != tc.want {
			t.Errorf("%s: %+v", name, o.Extensions)
		}
		sc.register(t, passkeytest.NewAuthenticator(exampleOrigin))
	}
}
