package session_test

import (
	"errors"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/internal/session/sessiontest"
)

// An operator rotates by hand: the new key waits until every process knows it, and cannot be pushed on by rotating again and again.
func TestRotateByHand(t *testing.T) {
	storage, clock := sessiontest.NewStorage(), sessiontest.NewClock()
	k := openRing(t, storage, clock)
	first := k.Keys()
	if len(first) != 1 || !first[0].Sealing {
		t.Fatalf("%+v", first)
	}
	before := sealText(t, k, "before")
	if err := k.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	waiting := k.Keys()
	if len(waiting) != 2 || !waiting[0].Sealing || waiting[1].Sealing || sealText(t, k, "x")[:12] != before[:12] {
		t.Fatalf("%+v", waiting)
	}
	if err := k.Rotate(t.Context()); !errors.Is(err, session.ErrKeyWaits) || len(k.Keys()) != 2 {
		t.Errorf("rotated twice: %v", err)
	}
	clock.Advance(5 * time.Minute)
	if now := k.Keys(); now[0].Sealing || !now[1].Sealing || sealText(t, k, "x")[:12] == before[:12] {
		t.Errorf("%+v", now)
	}
	if other := openRing(t, storage, clock).Keys(); len(other) != 2 || other[1].ID != waiting[1].ID {
		t.Errorf("another process sees %+v", other)
	}
}
