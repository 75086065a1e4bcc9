package session_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/internal/session/sessiontest"
)

const ringPath = "ring/ring.json"

var binding = session.Binding{Purpose: "test", Realm: "default", Host: host}

func openRing(t testing.TB, s *sessiontest.Storage, c *sessiontest.Clock) *session.KeyRing {
	t.Helper()
	k, err := session.OpenKeyRing(context.Background(), s, "ring", session.KeyRingOptions{Now: c.Now, Keep: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sealText(t *testing.T, k *session.KeyRing, text string) string {
	t.Helper()
	sealed, err := k.Seal(binding, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestProcessesThatStartTogetherShareOneRing(t *testing.T) {
	storage, clock := sessiontest.NewStorage(), sessiontest.NewClock()
	rings := make([]*session.KeyRing, 20)
	var wg sync.WaitGroup
	for i := range rings {
		wg.Go(func() { rings[i] = openRing(t, storage, clock) })
	}
	wg.Wait()
	sealed := sealText(t, rings[0], "hello")
	mac := rings[0].MAC("limit", []byte("a"), []byte("b"))
	for _, k := range rings {
		if plain, err := k.Open(binding, sealed); err != nil || string(plain) != "hello" {
			t.Errorf("Open = %q, %v", plain, err)
		}
		if !bytes.Equal(mac, k.MAC("limit", []byte("a"), []byte("b"))) || bytes.Equal(mac, k.MAC("limit", []byte("ab"), nil)) {
			t.Error("MACs")
		}
	}
}

func TestRotationPublishesBeforeUseAndKeepsOldKeys(t *testing.T) {
	storage, clock := sessiontest.NewStorage(), sessiontest.NewClock()
	a, b := openRing(t, storage, clock), openRing(t, storage, clock)
	maintain := func(rings ...*session.KeyRing) {
		t.Helper()
		for _, k := range rings {
			if err := k.Maintain(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := sealText(t, a, "before")
	mac := a.MAC("p")
	clock.Advance(30 * 24 * time.Hour)
	maintain(a)
	if sealText(t, a, "x")[:12] != before[:12] {
		t.Error("the new key seals before others can know it")
	}
	clock.Advance(5 * time.Minute)
	after := sealText(t, a, "after")
	if after[:12] == before[:12] {
		t.Error("the key was not rotated")
	}
	if plain, err := b.Open(binding, after); err != nil || string(plain) != "after" { // b never re-read
		t.Errorf("unknown key: %q, %v", plain, err)
	}
	if plain, err := a.Open(binding, before); err != nil || string(plain) != "before" {
		t.Errorf("old key: %q, %v", plain, err)
	}
	if !bytes.Equal(mac, a.MAC("p")) {
		t.Error("MACs changed with the key")
	}
	for range 3 {
		clock.Advance(31 * 24 * time.Hour)
		maintain(a, b)
	}
	if _, err := a.Open(binding, before); !errors.Is(err, session.ErrInvalid) {
		t.Errorf("a key outlives its use: %v", err)
	}
}

// With a new key each day and cookies that are good for a month, each cookie opens for that month, and no key outlives its use by long.
func TestKeysAreKeptAsLongAsCookiesAreGood(t *testing.T) {
	const day = 24 * time.Hour
	storage, clock := sessiontest.NewStorage(), sessiontest.NewClock()
	k, err := session.OpenKeyRing(t.Context(), storage, "ring", session.KeyRingOptions{Now: clock.Now, Rotate: day, Keep: 30 * day})
	if err != nil {
		t.Fatal(err)
	}
	var sealed []string
	for today := range 70 {
		sealed = append(sealed, sealText(t, k, "good"))
		for age := range sealed {
			_, err := k.Open(binding, sealed[today-age])
			switch {
			case age <= 30 && err != nil:
				t.Fatalf("day %d: a cookie of %d days does not open: %v", today, age, err)
			case age > 33 && !errors.Is(err, session.ErrInvalid):
				t.Fatalf("day %d: a cookie of %d days opens: %v", today, age, err)
			}
		}
		clock.Advance(day)
		if err := k.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// A flood of cookies with made-up key IDs must not become a flood on the storage.
func TestAttackUnknownKeyIDsCauseFewReads(t *testing.T) {
	storage, clock := sessiontest.NewStorage(), sessiontest.NewClock()
	k := openRing(t, storage, clock)
	sealed := sealText(t, k, "x")
	clock.Advance(time.Minute)
	loads := storage.Calls("load")
	for i := range 1000 {
		forged := sealed[:3] + string("ABCDEFGHIJ"[i%10]) + string("KLMNOPQRST"[i/10%10]) + string("UVWXYZabcd"[i/100]) + sealed[6:]
		if forged == sealed {
			continue
		}
		if _, err := k.Open(binding, forged); !errors.Is(err, session.ErrInvalid) {
			t.Fatalf("Open: %v", err)
		}
	}
	if n := storage.Calls("load") - loads; n != 1 {
		t.Errorf("%d reads", n)
	}
}

// Replacing a damaged ring would sign everybody out and hide that something is wrong with the storage.
func TestDamagedRingIsAnErrorAndLeftAlone(t *testing.T) {
	for name, damage := range map[string]func(string) string{
		"empty":           func(string) string { return "" },
		"truncated":       func(s string) string { return s[:len(s)/2] },
		"unknown version": func(s string) string { return strings.Replace(s, `"version":1`, `"version":2`, 1) },
		"no keys":         func(string) string { return `{"version":1,"mac":"AAAA","keys":[]}` },
		"short key":       func(s string) string { return strings.Replace(s, `"secret":"`, `"secret":"AAAA`, 1) },
		"null":            func(string) string { return "null" },
	} {
		t.Run(name, func(t *testing.T) {
			storage, clock := sessiontest.NewStorage(), sessiontest.NewClock()
			k := openRing(t, storage, clock)
			sealed := sealText(t, k, "x")
			data, err := storage.Load(t.Context(), ringPath)
			if err != nil {
				t.Fatal(err)
			}
			damaged := damage(string(data))
			if err := storage.Store(t.Context(), ringPath, []byte(damaged)); err != nil {
				t.Fatal(err)
			}
			broken, err := session.OpenKeyRing(t.Context(), storage, "ring", session.KeyRingOptions{Now: clock.Now})
			if err == nil || broken != nil {
				t.Fatalf("OpenKeyRing: %v", err)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error quotes the file: %v", err)
			}
			if left, _ := storage.Load(t.Context(), ringPath); string(left) != damaged {
				t.Error("the file was touched")
			}
			clock.Advance(time.Hour)
			if err := k.Maintain(t.Context()); err == nil {
				t.Error("Maintain saw nothing")
			}
			if _, err := k.Open(binding, sealed); err != nil {
				t.Errorf("a running process lost its keys: %v", err)
			}
		})
	}
}

func TestUnreadableRingIsNotReplaced(t *testing.T) {
	storage, clock := sessiontest.NewStorage(), sessiontest.NewClock()
	openRing(t, storage, clock)
	storage.Fail(func(op, _ string) error {
		if op == "load" {
			return errors.New("i/o timeout")
		}
		return nil
	})
	stores := storage.Calls("store")
	if _, err := session.OpenKeyRing(t.Context(), storage, "ring", session.KeyRingOptions{}); err == nil || storage.Calls("store") != stores {
		t.Errorf("OpenKeyRing: %v", err)
	}
}

func FuzzKeyRingOpen(f *testing.F) {
	k := openRing(f, sessiontest.NewStorage(), sessiontest.NewClock())
	sealed, err := k.Seal(binding, []byte("hello"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add("")
	f.Fuzz(func(t *testing.T, value string) {
		plain, err := k.Open(binding, value)
		if err != nil && plain != nil {
			t.Error("a plaintext beside an error")
		}
		if err == nil && value != sealed {
			t.Error("a second text opens")
		}
	})
}
