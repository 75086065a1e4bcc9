package passkey_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"regexp"
	"testing"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

var base64URL = regexp.MustCompile(`^[A-Za-z0-9_-]{1,512}$`)

// FuzzChallengeOf: an error, which a caller may see, and nothing else; or a challenge that is safe as a part of a key.
func FuzzChallengeOf(f *testing.F) {
	f.Add([]byte(`{"type":"webauthn.get","challenge":"AAAA","origin":"https://app.example.com"}`))
	f.Add([]byte(`{"type":"webauthn.get","challenge":"AAAA","origin":"x","Challenge":"BBBB"}`))
	f.Add([]byte(`{"type":"webauthn.get","challenge":"AA\nAA","origin":"x"} {}`))
	f.Add([]byte(`{"challenge":{"challenge":"AAAA"}}`))
	f.Add([]byte(`[{}]`))
	f.Fuzz(func(t *testing.T, clientData []byte) {
		got, err := passkey.ChallengeOf(challenge.EncodeBase64(clientData))
		if err != nil {
			wantCode(t, err, passkey.CodeInvalid)
			if got != "" {
				t.Errorf("%q beside an error", got)
			}
			return
		}
		if !base64URL.MatchString(got) {
			t.Errorf("challenge %q", got)
		}
	})
}

// FuzzFinishRegistration: whatever is refused leaves nothing behind; whatever is stored is usable and the user's own.
func FuzzFinishRegistration(f *testing.F) {
	sc := newScene(f)
	o := sc.start(f)
	stored := encodeOptions(f, o)
	for _, forge := range []passkeytest.Forge{
		func(*passkeytest.Ceremony) {},
		func(c *passkeytest.Ceremony) { c.Format = "packed" },
		func(c *passkeytest.Ceremony) { c.Flags |= passkeytest.FlagExtensions; c.Extensions = []byte{0xa0} },
	} {
		a := passkeytest.NewAuthenticator(exampleOrigin).Create(f, o, forge)
		f.Add(decode(f, a.AttestationObjectB64), decode(f, a.ClientDataJSONB64), "name", "internal")
	}
	for _, v := range readVectors(f) {
		f.Add(decode(f, fromHex(f, v.Registration.AttestationObject)), decode(f, fromHex(f, v.Registration.ClientDataJSON)), "", "usb")
	}
	f.Fuzz(func(t *testing.T, object, clientData []byte, name, transport string) {
		ctx := context.Background()
		store := passkeytest.NewStore()
		c := passkey.Ceremonies{Settings: sc.Settings, Store: store, Now: sc.Now}
		c.Settings.Attestation = "direct"
		if err := store.PutRegistration(ctx, alice.Handle, o.Challenge, stored, sc.now.Add(1)); err != nil {
			t.Fatal(err)
		}
		cred, err := c.FinishRegistration(ctx, alice, passkey.Attestation{
			AttestationObjectB64: challenge.EncodeBase64(object), ClientDataJSONB64: challenge.EncodeBase64(clientData),
			FriendlyName: name, Transports: []string{transport},
		})
		list, listErr := store.List(ctx, alice.Handle, "")
		if listErr != nil {
			t.Fatal(listErr)
		}
		if err != nil {
			var e *passkey.Error
			if !errors.As(err, &e) || !reflect.DeepEqual(cred, passkey.Credential{}) || len(list) != 0 {
				t.Errorf("error %v with %+v and %d stored", err, cred, len(list))
			}
			return
		}
		if len(list) != 1 || cred.UserHandle != alice.Handle || cred.RelyingPartyID != exampleRP || !cred.UserVerified ||
			cred.BackupState && !cred.BackupEligible || len(cred.ID) == 0 || len(cred.ID) > 1023 || cred.PublicKey.Algorithm() == 0 {
			t.Errorf("stored %+v", cred)
		}
	})
}

// FuzzCheck: only what the authenticator signed is ever accepted.
func FuzzCheck(f *testing.F) {
	sc, auth := newScene(f), passkeytest.NewAuthenticator(exampleOrigin)
	cred, o := sc.register(f, auth), sc.request(f)
	good := auth.Get(f, o)
	f.Add(good.CredentialID, decode(f, good.AuthenticatorData), decode(f, good.ClientDataJSON), decode(f, good.Signature), good.UserHandle)
	f.Add(good.CredentialID, []byte{}, []byte("{}"), []byte{0x30, 0}, "")
	f.Fuzz(func(t *testing.T, id string, authData, clientData, signature []byte, handle string) {
		outcome, err := sc.Settings.Check(challenge.PasskeyAnswer{
			CredentialID: id, AuthenticatorData: challenge.EncodeBase64(authData), ClientDataJSON: challenge.EncodeBase64(clientData),
			Signature: challenge.EncodeBase64(signature), UserHandle: handle,
		}, o.Challenge, cred)
		if err != nil {
			var e *passkey.Error
			if !errors.As(err, &e) || outcome != (passkey.Outcome{}) {
				t.Errorf("error %v with %+v", err, outcome)
			}
			return
		}
		if string(authData) != string(decode(t, good.AuthenticatorData)) || string(clientData) != string(decode(t, good.ClientDataJSON)) {
			t.Errorf("accepted what was never signed: %x %s", authData, clientData)
		}
	})
}

// FuzzSettings: what Validate lets pass fits its relying party.
func FuzzSettings(f *testing.F) {
	f.Add("example.com", "https://app.example.com:8443/")
	f.Add("localhost", "http://localhost")
	f.Add("example.com", "https://[::1]")
	f.Fuzz(func(t *testing.T, id, origin string) {
		s := passkey.Settings{RelyingParties: []passkey.RelyingParty{{ID: id, Origins: []string{origin}}}}
		if s.Validate() != nil {
			return
		}
		if rp, ok := s.RelyingParty(id); !ok || rp.ID != id {
			t.Errorf("relying party %q is not found", id)
		}
	})
}

func encodeOptions(t testing.TB, o passkey.CreationOptions) []byte {
	t.Helper()
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
