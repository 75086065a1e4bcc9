package passkey_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

// Each assertion is right and truly signed, but for one lie.
func TestAssertionAttacks(t *testing.T) {
	set := func(member string, value any) passkeytest.Forge {
		return func(c *passkeytest.Ceremony) { c.ClientData[member] = value }
	}
	for _, c := range []struct {
		attack string
		forge  passkeytest.Forge
		code   string
	}{
		{"wrong origin", set("origin", "https://evil.test"), passkey.CodeInvalidOrigin},
		{"origin that starts like ours", set("origin", exampleOrigin+".evil.test"), passkey.CodeInvalidOrigin},
		{"origin in upper case, as no browser sends it", set("origin", strings.ToUpper(exampleOrigin)), passkey.CodeInvalidOrigin},
		{"origin with the default port, as no browser sends it", set("origin", exampleOrigin+":443"), passkey.CodeInvalidOrigin},
		{"origin of the RP ID itself, which is not listed", set("origin", "https://example.com"), passkey.CodeInvalidOrigin},
		{"cross-paired origin: another relying party's", set("origin", otherOrigin), passkey.CodeInvalidOrigin},
		{"wrong RP ID", func(c *passkeytest.Ceremony) { c.RPID = "evil.test" }, passkey.CodeInvalid},
		{"cross-paired RP ID: another relying party's", func(c *passkeytest.Ceremony) { c.RPID = otherRP }, passkey.CodeInvalid},
		{"cross-paired origin and RP ID, both of another relying party", func(c *passkeytest.Ceremony) {
			c.RPID, c.ClientData["origin"] = otherRP, otherOrigin
		}, passkey.CodeInvalidOrigin},
		{"wrong type: a registration passed off as a sign-in", set("type", "webauthn.create"), passkey.CodeInvalid},
		{"wrong challenge", set("challenge", strings.Repeat("B", 86)), passkey.CodeInvalid},
		{"challenge with padding", set("challenge", "AA=="), passkey.CodeInvalid},
		{"missing UP", without(passkeytest.FlagUserPresent), passkey.CodeInvalid},
		{"missing UV", without(passkeytest.FlagUserVerified), passkey.CodeUserNotVerified},
		{"BS without BE", without(passkeytest.FlagBackupEligible), passkey.CodeInvalid},
		{"BE changed", without(passkeytest.FlagBackupEligible | passkeytest.FlagBackupState), passkey.CodeBackupEligibilityChanged},
		{"BE changed by somebody without the key", func(c *passkeytest.Ceremony) {
			c.Flags &^= passkeytest.FlagBackupEligible | passkeytest.FlagBackupState
			c.Signature = func(b []byte) []byte { b[len(b)-1] ^= 1; return b }
		}, passkey.CodeInvalid},
		{"user handle of another", func(c *passkeytest.Ceremony) { c.UserHandle = "mallory" }, passkey.CodeInvalid},
		{"user handle that our own begins with", func(c *passkeytest.Ceremony) { c.UserHandle = alice.Handle[:35] }, passkey.CodeInvalid},
		{"oversized user handle", func(c *passkeytest.Ceremony) { c.UserHandle = strings.Repeat("x", 65) }, passkey.CodeInvalid},
		{"credential of another", func(c *passkeytest.Ceremony) { c.ID = []byte("another") }, passkey.CodeUnknownCredential},
		{"oversized credential ID", func(c *passkeytest.Ceremony) { c.ID = make([]byte, 1024) }, passkey.CodeInvalid},
		{"crossOrigin", set("crossOrigin", true), passkey.CodeInvalid},
		{"crossOrigin as text", set("crossOrigin", "true"), passkey.CodeInvalid},
		{"topOrigin of a listed origin", set("topOrigin", exampleOrigin), passkey.CodeInvalid},
		{"topOrigin of a foreign site", set("topOrigin", "https://evil.test"), passkey.CodeInvalid},
		{"null topOrigin", set("topOrigin", nil), passkey.CodeInvalid},
		{"type in a second spelling", set("TYPE", "webauthn.get"), passkey.CodeInvalid},
		{"trailing bytes after the authenticator data", func(c *passkeytest.Ceremony) { c.Trailing = []byte{0} }, passkey.CodeInvalid},
		{"trailing CBOR after the extensions", func(c *passkeytest.Ceremony) {
			c.Flags |= passkeytest.FlagExtensions
			c.Extensions, c.Trailing = []byte{0xa0}, []byte{0xa0}
		}, passkey.CodeInvalid},
		{"oversized authenticator data", func(c *passkeytest.Ceremony) {
			c.Flags |= passkeytest.FlagExtensions
			c.Extensions = append([]byte{0xa1, 0x61, 'x', 0x59, 0xff, 0xff}, make([]byte, 0xffff)...)
		}, passkey.CodeInvalid},
		{"false signature", func(c *passkeytest.Ceremony) {
			c.Signature = func(b []byte) []byte { b[len(b)-1] ^= 1; return b }
		}, passkey.CodeInvalid},
		{"no signature", func(c *passkeytest.Ceremony) { c.Signature = func([]byte) []byte { return nil } }, passkey.CodeInvalid},
		{"signature with a tail", func(c *passkeytest.Ceremony) {
			c.Signature = func(b []byte) []byte { return append(b, 0) }
		}, passkey.CodeInvalid},
		{"oversized signature", func(c *passkeytest.Ceremony) {
			c.Signature = func([]byte) []byte { return make([]byte, 4096) }
		}, passkey.CodeInvalid},
	} {
		t.Run(c.attack, func(t *testing.T) {
			sc, auth := newScene(t), passkeytest.NewAuthenticator(exampleOrigin)
			cred, o := sc.register(t, auth), sc.request(t)
			outcome, err := sc.Settings.Check(auth.Get(t, o, c.forge), o.Challenge, cred)
			wantCode(t, err, c.code)
			if outcome != (passkey.Outcome{}) {
				t.Errorf("a refused assertion gave %+v", outcome)
			}
			if _, err := sc.Settings.Check(auth.Get(t, o), o.Challenge, cred); err != nil {
				t.Errorf("the same assertion without the lie: %v", err)
			}
		})
	}
}

// What was not signed: members changed on the way.
func TestAssertionTampering(t *testing.T) {
	sc, auth := newScene(t), passkeytest.NewAuthenticator(exampleOrigin)
	cred, o := sc.register(t, auth), sc.request(t)
	good := auth.Get(t, o)
	for name, tamper := range map[string]func(*challenge.PasskeyAnswer){
		"counter raised": func(a *challenge.PasskeyAnswer) {
			a.AuthenticatorData = reencode(t, a.AuthenticatorData, func(b []byte) []byte { b[36] = 9; return b })
		},
		"UV removed": func(a *challenge.PasskeyAnswer) {
			a.AuthenticatorData = reencode(t, a.AuthenticatorData, func(b []byte) []byte { b[32] ^= 4; return b })
		},
		"client data with a space": func(a *challenge.PasskeyAnswer) {
			a.ClientDataJSON = reencode(t, a.ClientDataJSON, func(b []byte) []byte { return append(b, ' ') })
		},
		"client data followed by other client data": func(a *challenge.PasskeyAnswer) {
			a.ClientDataJSON = reencode(t, a.ClientDataJSON, func(b []byte) []byte { return append(b, b...) })
		},
		"nothing at all": func(a *challenge.PasskeyAnswer) { *a = challenge.PasskeyAnswer{} },
	} {
		bad := good
		tamper(&bad)
		if _, err := sc.Settings.Check(bad, o.Challenge, cred); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := sc.Settings.Check(good, "", cred); err == nil {
		t.Error("accepted although no challenge is expected")
	}
}

func TestAssertionReplayedChallenge(t *testing.T) {
	sc, auth := newScene(t), passkeytest.NewAuthenticator(exampleOrigin)
	cred, o := sc.register(t, auth), sc.request(t)
	answer := auth.Get(t, o)
	if _, err := sc.Settings.Check(answer, o.Challenge, cred); err != nil {
		t.Fatal(err)
	}
	_, err := sc.Settings.Check(answer, sc.request(t).Challenge, cred) // a new session offers another one
	wantCode(t, err, passkey.CodeInvalid)
}

// A cloned security key counts from where it was copied.
func TestAssertionCounterGoingBack(t *testing.T) {
	sc, auth := newScene(t), passkeytest.NewAuthenticator(exampleOrigin)
	auth.Counter = true
	cred := sc.register(t, auth)
	at := func(count uint32) passkeytest.Forge {
		return func(c *passkeytest.Ceremony) { c.SignCount = count }
	}
	cred.SignCount = 5
	for count, accepted := range map[uint32]bool{0: false, 4: false, 5: false, 6: true, 1<<32 - 1: true} {
		o := sc.request(t)
		outcome, err := sc.Settings.Check(auth.Get(t, o, at(count)), o.Challenge, cred)
		if accepted {
			if err != nil || outcome.SignCount != count {
				t.Errorf("counter %d after 5: %+v, %v", count, outcome, err)
			}
			continue
		}
		wantCode(t, err, passkey.CodeInvalid)
		if !errors.Is(err, passkey.ErrCounter) {
			t.Errorf("counter %d after 5: %v does not wrap ErrCounter", count, err)
		}
	}
}

// A trigger that is called again with the same event must answer the same, and nothing else may profit from that.
func TestAssertionRetriedAfterItWasRecorded(t *testing.T) {
	ctx := context.Background()
	sc, auth := newScene(t), passkeytest.NewAuthenticator(exampleOrigin)
	auth.Counter = true
	cred, o := sc.register(t, auth), sc.request(t)
	answer := auth.Get(t, o)
	for try := range 3 {
		outcome, err := sc.Settings.Check(answer, o.Challenge, cred)
		if err != nil {
			t.Fatalf("try %d: %v", try, err)
		}
		in := passkey.SignIn{
			UserHandle: alice.Handle, CredentialID: cred.ID, SignCount: outcome.SignCount, BackupState: outcome.BackupState,
			Challenge: o.Challenge, At: sc.now,
		}
		if err := sc.Store.RecordSignIn(ctx, in); err != nil {
			t.Fatalf("try %d: %v", try, err)
		}
		if cred, err = sc.Store.Get(ctx, alice.Handle, cred.ID); err != nil {
			t.Fatal(err)
		}
	}
	next := sc.request(t)
	_, err := sc.Settings.Check(auth.Get(t, next, func(c *passkeytest.Ceremony) { c.SignCount = 1 }), next.Challenge, cred)
	wantCode(t, err, passkey.CodeInvalid)
}

func TestAssertionOfARemovedRelyingParty(t *testing.T) {
	sc, auth := newScene(t), passkeytest.NewAuthenticator(exampleOrigin)
	cred, o := sc.register(t, auth), sc.request(t)
	for _, id := range []string{"", "evil.test"} {
		moved := cred
		moved.RelyingPartyID = id
		_, err := sc.Settings.Check(auth.Get(t, o), o.Challenge, moved)
		wantCode(t, err, passkey.CodeUnrecognizedRPID)
	}
}

func TestAssertionWithoutUserHandle(t *testing.T) {
	sc, auth := newScene(t), passkeytest.NewAuthenticator(exampleOrigin)
	cred, o := sc.register(t, auth), sc.request(t)
	answer := auth.Get(t, o, func(c *passkeytest.Ceremony) { c.UserHandle = "" })
	if _, err := sc.Settings.Check(answer, o.Challenge, cred); err != nil {
		t.Error(err)
	}
}

func TestUserVerificationByOption(t *testing.T) {
	for option, needed := range map[string]bool{"": true, "required": true, "preferred": false, "discouraged": false} {
		sc := newScene(t, func(s *passkey.Settings) { s.UserVerification = option })
		auth := passkeytest.NewAuthenticator(exampleOrigin)
		cred, o := sc.register(t, auth), sc.request(t)
		outcome, err := sc.Settings.Check(auth.Get(t, o, without(passkeytest.FlagUserVerified)), o.Challenge, cred)
		if needed {
			wantCode(t, err, passkey.CodeUserNotVerified)
		} else if err != nil || outcome.UserVerified {
			t.Errorf("%q: %+v, %v", option, outcome, err)
		}
	}
}

// A damaged record is our fault, not the caller's: an internal error, never a sign-in.
func TestAssertionWithADamagedKey(t *testing.T) {
	sc, auth := newScene(t), passkeytest.NewAuthenticator(exampleOrigin)
	cred, o := sc.register(t, auth), sc.request(t)
	for name, damage := range map[string]func(*passkey.PublicKey){
		"empty":             func(k *passkey.PublicKey) { *k = passkey.PublicKey{} },
		"no base64url":      func(k *passkey.PublicKey) { k.X = "!" },
		"unknown algorithm": func(k *passkey.PublicKey) { k.Alg = "none" },
		"other curve":       func(k *passkey.PublicKey) { k.Crv = "P-384" },
		"HMAC":              func(k *passkey.PublicKey) { *k = passkey.PublicKey{Kty: "oct", Alg: "HS256"} },
		"short RSA modulus": func(k *passkey.PublicKey) { *k = passkey.PublicKey{Kty: "RSA", Alg: "RS256", N: "sXch", E: "AQAB"} },
	} {
		broken := cred
		damage(&broken.PublicKey)
		_, err := sc.Settings.Check(auth.Get(t, o), o.Challenge, broken)
		var shown *passkey.Error
		if err == nil || errors.As(err, &shown) {
			t.Errorf("%s: error %v, want an internal one", name, err)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	for name, alg := range map[string]int{"ES256": passkeytest.ES256, "RS256": passkeytest.RS256} {
		b.Run(name, func(b *testing.B) {
			sc, auth := newScene(b), passkeytest.NewAuthenticator(exampleOrigin)
			auth.Algorithm = alg
			cred, o := sc.register(b, auth), sc.request(b)
			answer := auth.Get(b, o)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := sc.Settings.Check(answer, o.Challenge, cred); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
