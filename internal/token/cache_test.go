package token_test

import (
	"crypto/rsa"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/token"
)

func TestTokenThatComesAgainIsNotVerifiedAgain(t *testing.T) {
	p := newPool(t)
	v := p.verifier()
	raw := sign(header, p.accessToken(), poolKey)
	first, err := v.VerifyCached(t.Context(), raw, token.Access)
	if err != nil {
		t.Fatal(err)
	}
	p.set(serveKeys(nil))
	p.server.Close()
	again, err := v.VerifyCached(t.Context(), raw, token.Access)
	if err != nil || !reflect.DeepEqual(first, again) {
		t.Errorf("%+v, %v", again, err)
	}
	if entries, size := v.Cached(); entries != 1 || size < len(raw) {
		t.Errorf("%d entries of %d bytes", entries, size)
	}
}

func TestCachedTokenDiesAtItsEnd(t *testing.T) {
	p := newPool(t)
	v := p.verifier()
	raw := sign(header, with(p.accessToken(), fields{"exp": p.clock().Unix() + 60}), poolKey)
	if _, err := v.VerifyCached(t.Context(), raw, token.Access); err != nil {
		t.Fatal(err)
	}
	p.advance(91 * time.Second) // and the leeway
	if _, err := v.VerifyCached(t.Context(), raw, token.Access); !errors.Is(err, token.ErrExpired) {
		t.Errorf("%v", err)
	}
}

// A pool that withdraws a key means it: its tokens stop counting although they were cached.
func TestWithdrawnKeyStopsCountingInTheCache(t *testing.T) {
	p := newPool(t)
	v := p.verifier()
	raw := sign(header, p.accessToken(), poolKey)
	if _, err := v.VerifyCached(t.Context(), raw, token.Access); err != nil {
		t.Fatal(err)
	}
	p.set(serveKeys(map[string]*rsa.PrivateKey{"kid-2": otherKey}))
	p.advance(16 * time.Minute)
	p.accepted(v, "kid-2", otherKey)
	if _, err := v.VerifyCached(t.Context(), raw, token.Access); !errors.Is(err, token.ErrInvalid) {
		t.Errorf("%v", err)
	}
}

// A token that is cached as what it is must not be found as what it is not, nor under another signature.
func TestAttackCachedTokenForAnotherUse(t *testing.T) {
	p := newPool(t)
	v := p.verifier()
	raw := sign(header, p.idToken(), poolKey)
	if _, err := v.VerifyCached(t.Context(), raw, token.ID); err != nil {
		t.Fatal(err)
	}
	forged := sign(header, p.idToken(), otherKey)
	for use, text := range map[token.Use]string{token.Access: raw, token.ID: forged, "": raw, token.ID + " ": raw} {
		if c, err := v.VerifyCached(t.Context(), text, use); !errors.Is(err, token.ErrInvalid) || c.Subject != "" {
			t.Errorf("%q: %v", use, err)
		}
	}
	if entries, _ := v.Cached(); entries != 1 {
		t.Errorf("%d entries: something refused was cached", entries)
	}
}

func TestCacheIsBounded(t *testing.T) {
	p := newPool(t)
	v := p.verifier()
	for i := range 64 {
		v.FillCache(byte(i), token.MaxCachedBytes/16, p.clock().Add(time.Minute))
		if _, size := v.Cached(); size > token.MaxCachedBytes {
			t.Fatalf("%d bytes", size)
		}
	}
	if entries, _ := v.Cached(); entries != 16 {
		t.Errorf("%d entries", entries)
	}
	v.FillCache(63, 10, p.clock().Add(time.Minute)) // in place of itself
	if entries, size := v.Cached(); entries > 16 || size > token.MaxCachedBytes {
		t.Errorf("%d entries of %d bytes", entries, size)
	}
}

func BenchmarkVerifyCached(b *testing.B) {
	p := newPool(b)
	v := p.verifier()
	raw := sign(header, p.accessToken(), poolKey)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.VerifyCached(b.Context(), raw, token.Access); err != nil {
			b.Fatal(err)
		}
	}
}

// Attack: a token that is remembered where more clients are accepted is presented where they are not.
func TestAttackRememberedTokenOfAnotherClient(t *testing.T) {
	p := newPool(t)
	v := p.verifier()
	raw := sign(header, with(p.accessToken(), fields{"client_id": "machine"}), poolKey)
	for range 2 {
		if _, err := v.VerifyCached(t.Context(), raw, token.Access, "machine"); err != nil {
			t.Fatal(err)
		}
		for _, also := range [][]string{nil, {"machin"}, {""}} {
			if c, err := v.VerifyCached(t.Context(), raw, token.Access, also...); !errors.Is(err, token.ErrInvalid) || c.Subject != "" {
				t.Errorf("also %q: %+v %v", also, c, err)
			}
		}
	}
}
