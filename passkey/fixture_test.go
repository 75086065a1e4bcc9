package passkey_test

import (
	"context"
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

const (
	exampleRP     = "example.com"
	exampleOrigin = "https://app.example.com"
	otherRP       = "example.net"
	otherOrigin   = "https://example.net"
	appOrigin     = "android:apk-key-hash:Ju-9y7pHY2pTqTGIm1UbUmoM8z4V6ZZrMXRQK7VmTzA"
)

var alice = passkey.User{Handle: "6a0f2f5e-1111-4222-8333-444455556666", Name: "alice@example.com"}

// scene is a relying party, a store and a clock.
type scene struct {
	*passkey.Ceremonies
	store *passkeytest.Store
	now   time.Time
}

func newScene(t testing.TB, change ...func(*passkey.Settings)) *scene {
	t.Helper()
	s := passkey.Settings{RelyingParties: []passkey.RelyingParty{
		{ID: exampleRP, Name: "Example Corp", Origins: []string{exampleOrigin, appOrigin}},
		{ID: otherRP, Origins: []string{otherOrigin}},
	}}
	for _, f := range change {
		f(&s)
	}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	sc := &scene{store: passkeytest.NewStore(), now: time.Date(2026, 11, 22, 11, 26, 9, 170_900_000, time.UTC)}
	sc.Ceremonies = &passkey.Ceremonies{Settings: s, Store: sc.store, Now: func() time.Time { return sc.now }}
	return sc
}

func (sc *scene) start(t testing.TB) passkey.CreationOptions {
	t.Helper()
	o, err := sc.StartRegistration(context.Background(), alice, exampleRP)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func (sc *scene) finish(a passkey.Attestation) (passkey.Credential, error) {
	return sc.FinishRegistration(context.Background(), alice, a)
}

func (sc *scene) register(t testing.TB, auth *passkeytest.Authenticator) passkey.Credential {
	t.Helper()
	c, err := sc.finish(auth.Create(t, sc.start(t)))
	if err != nil {
		t.Fatalf("registration: %v", err)
	}
	return c
}

func (sc *scene) request(t testing.TB) passkey.RequestOptions {
	t.Helper()
	chall, err := passkey.NewChallenge(nil)
	if err != nil {
		t.Fatal(err)
	}
	return sc.RequestOptions(exampleRP, chall, nil)
}

// wantCode demands a *passkey.Error of that code, and nothing but an error.
func wantCode(t testing.TB, err error, code string) {
	t.Helper()
	var e *passkey.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("error is %v, want code %q", err, code)
	}
}

func decode(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// reencode changes the bytes behind a base64url member.
func reencode(t testing.TB, s string, change func([]byte) []byte) string {
	t.Helper()
	return challenge.EncodeBase64(change(decode(t, s)))
}
