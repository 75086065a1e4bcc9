package localpool

import (
	"errors"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/token"
)

// states of the keys in the JWKS, oldest first.
func states(t *testing.T, p *Pool) []string {
	t.Helper()
	keys, err := p.SigningKeys()
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, k := range keys {
		list = append(list, k.State)
	}
	if published := len(p.keys.public().Keys); published != len(list) {
		t.Errorf("%d keys are published, %d are listed", published, len(list))
	}
	return list
}

func wantStates(t *testing.T, p *Pool, want ...string) {
	t.Helper()
	got := states(t, p)
	if len(got) != len(want) {
		t.Fatalf("keys %q, want %q", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("keys %q, want %q", got, want)
		}
	}
}

// A new key is published before it signs, and an old one until its last token has expired. A verifier that fetched the JWKS before the
// rotation meets no token that it cannot check, and one that fetches it later checks the old tokens, too.
func TestRotationOfSigningKeys(t *testing.T) {
	c := newClock()
	config := testConfig(t, c)
	p := openPool(t, config)
	signUp(t, p, alice)
	before := *signInByLink(t, p, alice).IdToken
	early := verifier(t, p)
	if _, err := early.Verify(t.Context(), before, token.ID); err != nil {
		t.Fatal(err)
	}
	c.advance(2 * time.Minute) // a user gets one mail a minute
	link, _ := askLink(t, p, alice)
	if err := p.RotateKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantStates(t, p, "signing", "next")
	if err := p.RotateKeys(t.Context()); !errors.Is(err, ErrAccountInput) {
		t.Errorf("a rotation while another is under way: %v", err)
	}
	// A link of the old key works after the rotation; the token it brings is still the old key's.
	between := *useLink(t, p, alice, link).IdToken
	if _, err := early.Verify(t.Context(), between, token.ID); err != nil {
		t.Errorf("a token of the time of announcement: %v", err)
	}
	c.advance(announceKeys)
	wantStates(t, p, "retired", "signing")
	after := *signInByLink(t, p, alice).IdToken
	for name, v := range map[string]*token.Verifier{"fetched before": early, "fetched after": verifier(t, p)} {
		for which, raw := range map[string]string{"old": between, "new": after} {
			if _, err := v.Verify(t.Context(), raw, token.ID); err != nil {
				t.Errorf("keys %s, %s token: %v", name, which, err)
			}
		}
	}
	// All of it survives a restart.
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p = openPool(t, config)
	wantStates(t, p, "retired", "signing")
	if _, err := p.keys.verifyToken(between); err != nil {
		t.Errorf("an old token after a restart: %v", err)
	}
	c.advance(longestAccessToken + time.Second)
	wantStates(t, p, "signing")
	if _, err := p.keys.verifyToken(between); err == nil {
		t.Error("a key that is over still verifies")
	}
	if err := p.RotateKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	stored, err := p.storedKeys()
	if err != nil {
		t.Fatal(err)
	}
	if len(stored) != 4 { // two for tokens, two for links
		t.Errorf("%d keys are in the file, want the old ones gone", len(stored))
	}
}

// Keys that are old enough are replaced by the first sign-in that meets them, once.
func TestKeysRotateByThemselves(t *testing.T) {
	c := newClock()
	config := testConfig(t, c)
	config.KeyRotation = shortestRotation
	p := openPool(t, config)
	signUp(t, p, alice)
	signInByLink(t, p, alice)
	wantStates(t, p, "signing")
	c.advance(shortestRotation)
	signInByLink(t, p, alice)
	wantStates(t, p, "signing", "next")
	c.advance(2 * time.Minute)
	signInByLink(t, p, alice)
	wantStates(t, p, "signing", "next")
	c.advance(announceKeys)
	signInByLink(t, p, alice)
	wantStates(t, p, "retired", "signing")
	config.KeyRotation = time.Hour
	if err := p.Reconfigure(config); err == nil {
		t.Error("keys may be rotated more often than their tokens expire")
	}
}

// A clock that was set back leaves a key to sign with.
func TestSigningBeforeTheFirstKey(t *testing.T) {
	c := newClock()
	p := openPool(t, testConfig(t, c))
	c.advance(-time.Hour)
	if _, err := p.keys.signToken(map[string]any{"sub": "x"}); err != nil {
		t.Error(err)
	}
}
