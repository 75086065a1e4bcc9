package passkey_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

// Each registration is right but for one lie, and the lie must be what refuses it.
func TestRegistrationAttacks(t *testing.T) {
	set := func(member string, value any) passkeytest.Forge {
		return func(c *passkeytest.Ceremony) { c.ClientData[member] = value }
	}
	for _, c := range []struct {
		attack string
		forge  passkeytest.Forge
		code   string
	}{
		{"wrong origin", set("origin", "https://app.example.com.evil.test"), passkey.CodeInvalidOrigin},
		{"origin with another port", set("origin", exampleOrigin+":8443"), passkey.CodeInvalidOrigin},
		{"origin over http", set("origin", "http://app.example.com"), passkey.CodeInvalidOrigin},
		{"origin with user information", set("origin", "https://app.example.com@evil.test"), passkey.CodeInvalidOrigin},
		{"origin with a path", set("origin", exampleOrigin+"/evil"), passkey.CodeInvalidOrigin},
		{"sibling subdomain", set("origin", "https://evil.example.com"), passkey.CodeInvalidOrigin},
		{"opaque origin", set("origin", "null"), passkey.CodeInvalidOrigin},
		{"another application's key hash", set("origin", appOrigin+"x"), passkey.CodeInvalidOrigin},
		{"cross-paired origin: another relying party's", set("origin", otherOrigin), passkey.CodeInvalidOrigin},
		{"wrong RP ID", func(c *passkeytest.Ceremony) { c.RPID = "evil.test" }, passkey.CodeInvalid},
		{"cross-paired RP ID: another relying party's", func(c *passkeytest.Ceremony) { c.RPID = otherRP }, passkey.CodeInvalid},
		{"assertion passed off as a registration", set("type", "webauthn.get"), passkey.CodeInvalid},
		{"unknown type", set("type", "payment.get"), passkey.CodeInvalid},
		{"wrong challenge", set("challenge", strings.Repeat("A", 86)), passkey.CodeChallengeNotFound},
		{"no challenge", set("challenge", ""), passkey.CodeInvalid},
		{"challenge that is no string", set("challenge", 1), passkey.CodeInvalid},
		{"crossOrigin: a frame on a foreign site", set("crossOrigin", true), passkey.CodeInvalid},
		{"topOrigin without crossOrigin", set("topOrigin", exampleOrigin), passkey.CodeInvalid},
		{"empty topOrigin", set("topOrigin", ""), passkey.CodeInvalid},
		{"second origin in another spelling", set("Origin", "https://evil.test"), passkey.CodeInvalid},
		{"crossOrigin hidden behind another spelling", set("crossorigin", false), passkey.CodeInvalid},
		{"missing UP", without(passkeytest.FlagUserPresent), passkey.CodeInvalid},
		{"missing UV", without(passkeytest.FlagUserVerified), passkey.CodeUserNotVerified},
		{"BS without BE", without(passkeytest.FlagBackupEligible), passkey.CodeInvalid},
		{"no credential data", without(passkeytest.FlagAttested), passkey.CodeInvalid},
		{"trailing CBOR after the attestation object", func(c *passkeytest.Ceremony) { c.Trailing = []byte{0xa0} }, passkey.CodeInvalid},
		{"trailing CBOR after the credential data", func(c *passkeytest.Ceremony) { c.Extensions = []byte{0xa0} }, passkey.CodeInvalid},
		{"extensions announced but missing", func(c *passkeytest.Ceremony) { c.Flags |= passkeytest.FlagExtensions }, passkey.CodeInvalid},
		{"oversized CBOR", func(c *passkeytest.Ceremony) { c.Trailing = make([]byte, 64<<10) }, passkey.CodeInvalid},
		{"oversized credential ID", func(c *passkeytest.Ceremony) { c.ID = make([]byte, 1024) }, passkey.CodeInvalid},
		{"credential ID that fits WebAuthn and no table", func(c *passkeytest.Ceremony) { c.ID = make([]byte, passkey.MaxCredentialID+1) }, passkey.CodeInvalid},
		{"empty credential ID", func(c *passkeytest.Ceremony) { c.ID = nil }, passkey.CodeInvalid},
		{"CBOR map that claims 2^32-1 members", func(c *passkeytest.Ceremony) { c.COSEKey = []byte{0xba, 0xff, 0xff, 0xff, 0xff} }, passkey.CodeInvalid},
		{"key that is no key", func(c *passkeytest.Ceremony) { c.COSEKey = []byte{0xa0} }, passkey.CodeInvalid},
		{"point off the curve", func(c *passkeytest.Ceremony) { c.COSEKey[len(c.COSEKey)-1] ^= 1 }, passkey.CodeInvalid},
		{"no format", func(c *passkeytest.Ceremony) { c.Format = "" }, passkey.CodeInvalid},
	} {
		t.Run(c.attack, func(t *testing.T) {
			sc := newScene(t)
			cred, err := sc.finish(passkeytest.NewAuthenticator(exampleOrigin).Create(t, sc.start(t), c.forge))
			wantCode(t, err, c.code)
			if len(cred.ID) != 0 {
				t.Error("a refused registration gave a credential")
			}
			if list, _ := sc.store.List(context.Background(), alice.Handle, ""); len(list) != 0 {
				t.Error("a refused registration was stored")
			}
		})
	}
}

func without(flag byte) passkeytest.Forge {
	return func(c *passkeytest.Ceremony) { c.Flags &^= flag }
}

func TestRegistrationReplayedChallenge(t *testing.T) {
	sc, auth := newScene(t), passkeytest.NewAuthenticator(exampleOrigin)
	o := sc.start(t)
	if _, err := sc.finish(auth.Create(t, o)); err != nil {
		t.Fatal(err)
	}
	_, err := sc.finish(auth.Create(t, o))
	wantCode(t, err, passkey.CodeChallengeNotFound)

	// A refused attempt uses the challenge up as well: no second guess.
	o = sc.start(t)
	_, err = sc.finish(auth.Create(t, o, without(passkeytest.FlagUserVerified)))
	wantCode(t, err, passkey.CodeUserNotVerified)
	_, err = sc.finish(auth.Create(t, o))
	wantCode(t, err, passkey.CodeChallengeNotFound)
}

func TestRegistrationWithAnotherUsersChallenge(t *testing.T) {
	sc := newScene(t)
	a := passkeytest.NewAuthenticator(exampleOrigin).Create(t, sc.start(t))
	_, err := sc.FinishRegistration(context.Background(), passkey.User{Handle: "mallory"}, a)
	wantCode(t, err, passkey.CodeChallengeNotFound)
}

func TestRegistrationExpires(t *testing.T) {
	sc := newScene(t)
	a := passkeytest.NewAuthenticator(exampleOrigin).Create(t, sc.start(t))
	sc.now = sc.now.Add(5 * time.Minute)
	_, err := sc.finish(a)
	wantCode(t, err, passkey.CodeChallengeNotFound)
}

// An attacker who learns a credential ID registers it for himself, with a key of his own.
func TestRegistrationOfAnotherUsersCredentialID(t *testing.T) {
	sc := newScene(t)
	victim := sc.register(t, passkeytest.NewAuthenticator(exampleOrigin))
	mallory := passkey.User{Handle: "mallory", Name: "mallory@example.com"}
	o, err := sc.StartRegistration(context.Background(), mallory, exampleRP)
	if err != nil {
		t.Fatal(err)
	}
	a := passkeytest.NewAuthenticator(exampleOrigin).Create(t, o, func(c *passkeytest.Ceremony) { c.ID = victim.ID })
	_, err = sc.FinishRegistration(context.Background(), mallory, a)
	wantCode(t, err, passkey.CodeAlreadyRegistered)
}

func TestRegistrationOversizedInput(t *testing.T) {
	for name, spoil := range map[string]func(*passkey.Attestation){
		"attestation object":   func(a *passkey.Attestation) { a.AttestationObjectB64 = strings.Repeat("A", 64<<10*4/3+8) },
		"client data":          func(a *passkey.Attestation) { a.ClientDataJSONB64 = strings.Repeat("A", 1<<20) },
		"friendly name":        func(a *passkey.Attestation) { a.FriendlyName = strings.Repeat("é", 257) },
		"control characters":   func(a *passkey.Attestation) { a.FriendlyName = "key\r\nBcc: victim@example.com" },
		"name of broken UTF-8": func(a *passkey.Attestation) { a.FriendlyName = "\xff" },
		"no base64url":         func(a *passkey.Attestation) { a.AttestationObjectB64 = "!" },
	} {
		t.Run(name, func(t *testing.T) {
			sc := newScene(t)
			a := passkeytest.NewAuthenticator(exampleOrigin).Create(t, sc.start(t))
			spoiled := a
			spoil(&spoiled)
			_, err := sc.finish(spoiled)
			wantCode(t, err, passkey.CodeInvalid)
			if _, err := sc.finish(a); err != nil {
				t.Errorf("what could not be read has used up the challenge: %v", err)
			}
		})
	}
}

func TestRegistrationAccepts(t *testing.T) {
	everything := func(s *passkey.Settings) { s.Algorithms = []int{-7, -257, -8, -35} }
	for name, c := range map[string]struct {
		change func(*passkeytest.Authenticator)
		alg    string
	}{
		"ES256":                  {func(*passkeytest.Authenticator) {}, "ES256"},
		"RS256":                  {func(a *passkeytest.Authenticator) { a.Algorithm = passkeytest.RS256 }, "RS256"},
		"EdDSA":                  {func(a *passkeytest.Authenticator) { a.Algorithm = passkeytest.EdDSA }, "EdDSA"},
		"ES384":                  {func(a *passkeytest.Authenticator) { a.Algorithm = passkeytest.ES384 }, "ES384"},
		"an Android application": {func(a *passkeytest.Authenticator) { a.Origin = appOrigin }, "ES256"},
		"longest credential ID":  {func(a *passkeytest.Authenticator) { a.IDLength = passkey.MaxCredentialID }, "ES256"},
		"device-bound":           {func(a *passkeytest.Authenticator) { a.Flags, a.Counter = 0x05, true }, "ES256"},
	} {
		t.Run(name, func(t *testing.T) {
			sc, auth := newScene(t, everything), passkeytest.NewAuthenticator(exampleOrigin)
			c.change(auth)
			cred := sc.register(t, auth)
			if cred.PublicKey.Alg != c.alg || cred.FriendlyName != "Passkey" || !cred.CreatedAt.Equal(sc.now.Truncate(time.Millisecond)) {
				t.Errorf("credential is %+v", cred)
			}
			request := sc.RequestOptions("", "AAAA", []passkey.Credential{cred})
			if request.RPID != exampleRP || request.Timeout != 120000 || len(request.AllowCredentials) != 1 {
				t.Errorf("request options are %+v", request)
			}
			outcome, err := sc.Settings.Check(auth.Get(t, request), "AAAA", cred)
			if err != nil {
				t.Fatal(err)
			}
			if auth.Counter && outcome.SignCount != 1 {
				t.Errorf("counter is %d, want 1", outcome.SignCount)
			}
		})
	}
}

// ES384 and EdDSA are known but were not offered: a client that picks its own algorithm is refused.
func TestRegistrationAlgorithmNotOffered(t *testing.T) {
	sc, auth := newScene(t), passkeytest.NewAuthenticator(exampleOrigin)
	auth.Algorithm = passkeytest.EdDSA
	_, err := sc.finish(auth.Create(t, sc.start(t)))
	wantCode(t, err, passkey.CodeInvalid)
}

// Password managers send a statement although none was asked for, and front ends can ask for one themselves.
func TestRegistrationIgnoresAnUnrequestedStatement(t *testing.T) {
	windows := [16]byte{0x08, 0x98, 0x70, 0x58, 0xca, 0xdc, 0x4b, 0x81, 0xb6, 0xe1, 0x30, 0xde, 0x50, 0xdc, 0xbe, 0x96}
	forgeries := map[string]struct {
		forge  passkeytest.Forge
		direct bool // also right where a statement was asked for
	}{
		"self attestation": {func(c *passkeytest.Ceremony) { c.Format = "packed" }, true},
		"false signature": {func(c *passkeytest.Ceremony) {
			c.Format = "packed"
			c.Signature = func(b []byte) []byte { b[len(b)-1] ^= 1; return b }
		}, false},
		"unknown format": {func(c *passkeytest.Ceremony) { c.Format = "enterprise-only" }, false},
		"empty TPM":      {func(c *passkeytest.Ceremony) { c.Format = "tpm" }, false},
	}
	for name, c := range forgeries {
		t.Run(name, func(t *testing.T) {
			sc, auth := newScene(t), passkeytest.NewAuthenticator(exampleOrigin)
			auth.AAGUID = windows
			cred, err := sc.finish(auth.Create(t, sc.start(t), c.forge))
			if err != nil {
				t.Fatalf("attestation none: %v", err)
			}
			if cred.FriendlyName != "Windows Hello" || cred.AAGUID != windows {
				t.Errorf("credential is %+v, want the claimed provider as its name", cred)
			}
			request := sc.request(t)
			if _, err := sc.Settings.Check(auth.Get(t, request), request.Challenge, cred); err != nil {
				t.Errorf("sign-in: %v", err)
			}
			direct := newScene(t, func(s *passkey.Settings) { s.Attestation = "direct" })
			_, err = direct.finish(auth.Create(t, direct.start(t), c.forge))
			if !c.direct {
				wantCode(t, err, passkey.CodeInvalid)
			} else if err != nil {
				t.Errorf("attestation direct: %v", err)
			}
		})
	}
}

// Transports are hints, so odd ones are dropped and the passkey is stored.
func TestRegistrationCleansTransports(t *testing.T) {
	long := strings.Repeat("x", 33)
	many := make([]string, 40)
	for i := range many {
		many[i] = "way-" + strconv.Itoa(i)
	}
	for name, c := range map[string]struct {
		body string
		want []string
	}{
		"known":              {`["internal","hybrid"]`, []string{"internal", "hybrid"}},
		"of a later browser": {`["smart-card","ble2"]`, []string{"smart-card", "ble2"}},
		"empty":              {`[""]`, nil},
		"repeated":           {`["usb","usb","nfc"]`, []string{"usb", "nfc"}},
		"very long":          {`["usb","` + long + `"]`, []string{"usb"}},
		"control characters": {`["usb\u0000","in ternal","USB","é"]`, nil},
		"too many":           {`["` + strings.Join(many, `","`) + `"]`, many[:16]},
		"other values":       {`[null,1,{},["usb"],"nfc"]`, []string{"nfc"}},
		"text":               {`"usb"`, nil},
		"object":             {`{"0":"usb"}`, nil},
		"null":               {`null`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			sc := newScene(t)
			a := passkeytest.NewAuthenticator(exampleOrigin).Create(t, sc.start(t))
			var sent passkey.Attestation
			body := `{"attestationObjectB64":"` + a.AttestationObjectB64 + `","clientDataJSON_B64":"` + a.ClientDataJSONB64 + `","transports":` + c.body + `}`
			if err := json.Unmarshal([]byte(body), &sent); err != nil {
				t.Fatal(err)
			}
			cred, err := sc.finish(sent)
			if err != nil || !slices.Equal(cred.Transports, c.want) {
				t.Errorf("transports are %q, error %v, want %q", cred.Transports, err, c.want)
			}
		})
	}
}

func TestFriendlyNameFromProvider(t *testing.T) {
	sc, auth := newScene(t), passkeytest.NewAuthenticator(exampleOrigin)
	auth.AAGUID = [16]byte{0x08, 0x98, 0x70, 0x58, 0xca, 0xdc, 0x4b, 0x81, 0xb6, 0xe1, 0x30, 0xde, 0x50, 0xdc, 0xbe, 0x96}
	if cred := sc.register(t, auth); cred.FriendlyName != "Windows Hello" {
		t.Errorf("name is %q", cred.FriendlyName)
	}
	if name := passkey.ProviderName([16]byte{}); name != "" {
		t.Errorf("a withheld AAGUID is called %q", name)
	}
}

func TestStartRegistration(t *testing.T) {
	sc := newScene(t)
	ctx := context.Background()
	_, err := sc.StartRegistration(ctx, alice, "")
	wantCode(t, err, passkey.CodeMissingRPID)
	_, err = sc.StartRegistration(ctx, alice, "evil.test")
	wantCode(t, err, passkey.CodeUnrecognizedRPID)
	for _, handle := range []string{"", strings.Repeat("x", 65)} {
		_, err := sc.StartRegistration(ctx, passkey.User{Handle: handle}, exampleRP)
		var shown *passkey.Error
		if err == nil || errors.As(err, &shown) {
			t.Errorf("user handle of %d bytes: error %v, want an internal one", len(handle), err)
		}
	}

	// A user with only a phone number has no name to show, and must get options all the same.
	o, err := sc.StartRegistration(ctx, passkey.User{Handle: "u|phone"}, exampleRP)
	if err != nil || o.User.Name == "" || o.User.DisplayName == "" {
		t.Errorf("options %+v, error %v", o.User, err)
	}

	cred := sc.register(t, passkeytest.NewAuthenticator(exampleOrigin))
	if o = sc.start(t); len(o.ExcludeCredentials) != 1 || string(decode(t, o.ExcludeCredentials[0].ID)) != string(cred.ID) {
		t.Errorf("excluded are %+v", o.ExcludeCredentials)
	}
	sc.Rand = strings.NewReader("too short")
	if _, err := sc.StartRegistration(ctx, alice, exampleRP); err == nil {
		t.Error("a registration started without randomness")
	}
}

// Options that another deployment wrote carry the RP ID that was agreed on; a changed configuration may not know it any more.
func TestRegistrationForARemovedRelyingParty(t *testing.T) {
	sc := newScene(t)
	a := passkeytest.NewAuthenticator(exampleOrigin).Create(t, sc.start(t))
	sc.Settings.RelyingParties = sc.Settings.RelyingParties[1:]
	_, err := sc.finish(a)
	wantCode(t, err, passkey.CodeUnrecognizedRPID)
}

func TestErrorTextIsTheContracts(t *testing.T) {
	sc := newScene(t)
	a := passkeytest.NewAuthenticator("https://evil.test\x00").Create(t, sc.start(t))
	_, err := sc.finish(a)
	var e *passkey.Error
	if !errors.As(err, &e) || e.Message != "Invalid clientData origin: https://evil.test?" {
		t.Errorf("error is %v", err)
	}
	if !errors.Is(err, &passkey.Error{Code: passkey.CodeInvalidOrigin}) || errors.Is(err, &passkey.Error{Code: passkey.CodeInvalid}) {
		t.Errorf("error %v is not matched by its code alone", err)
	}
	b, err := json.Marshal(passkey.Attestation{AttestationObjectB64: "a", ClientDataJSONB64: "c", FriendlyName: "f"})
	if err != nil || string(b) != `{"attestationObjectB64":"a","clientDataJSON_B64":"c","friendlyName":"f"}` {
		t.Errorf("attestation is %s, %v", b, err)
	}
}
