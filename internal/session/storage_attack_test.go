package session_test

import (
	"errors"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
)

// Each time in a cookie is checked by itself: one ahead of our clock would keep a session from ever being idle, or old, or its factor stale.
func TestAttackEveryTimeInTheFuture(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	ahead := w.clock.Now().Add(6 * time.Minute)
	for name, change := range map[string]func(*session.Session){
		"seen":          func(s *session.Session) { s.Seen = ahead },
		"started":       func(s *session.Session) { s.Started = ahead },
		"authenticated": func(s *session.Session) { s.AuthTime = ahead },
		"factor":        func(s *session.Session) { s.Factors = s.Factors.With(session.SMS, ahead) },
	} {
		t.Run(name, func(t *testing.T) {
			changed := s
			change(&changed)
			w.wantError(w.a, w.seal(w.a, changed), session.ErrFuture)
		})
	}
}

// A session with something behind it: what one reader passes over the next may take for more groups.
func TestAttackSessionWithATail(t *testing.T) {
	w := newWorld(t)
	binding := session.Binding{Purpose: "session", Realm: "default", Host: host}
	plain, err := w.a.Keys.Open(binding, w.seal(w.a, w.start("alice")))
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := w.a.Keys.Seal(binding, append(plain, 1, 6, 'a', 'd', 'm', 'i', 'n', 's'))
	if err != nil {
		t.Fatal(err)
	}
	w.wantError(w.a, sealed, session.ErrInvalid)
}

// The sign-out could not remove the record. Whoever still holds the session, as an open stream does, gets no new tokens by it.
func TestAttackRefreshOfAnEndedSessionWhoseRecordStays(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	w.storage.Fail(func(op, key string) error {
		if op == "delete" || op == "lock" {
			return errors.New("down")
		}
		return nil
	})
	if err := w.a.End(w.ctx, s); err != nil {
		t.Fatal(err)
	}
	w.storage.Fail(nil)
	w.poll(w.b)
	w.clock.Advance(59 * time.Minute)
	for name, m := range map[string]*session.Manager{"here": w.a, "on another node": w.b} {
		if got, err := m.Refresh(w.ctx, s); !errors.Is(err, session.ErrDenied) || got.ID != "" {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := m.StepUp(w.ctx, s, w.pool.SignIn("alice"), session.SMS); !errors.Is(err, session.ErrDenied) {
			t.Errorf("a step-up %s: %v", name, err)
		}
	}
	if n := w.pool.Refreshes(); n != 0 {
		t.Errorf("the pool gave new tokens %d times", n)
	}
}

// A folder that is there and lost its entries, say restored from an old copy, revives nobody, although listing it succeeds.
func TestEmptyFolderIsNoDenyList(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	value := w.seal(w.a, s)
	if err := w.a.End(w.ctx, s); err != nil {
		t.Fatal(err)
	}
	w.poll(w.a, w.b)
	const folder = "passwordless/default/sessions/denied"
	keys, err := w.storage.List(w.ctx, folder, false)
	if err != nil || len(keys) < 2 {
		t.Fatalf("%v, %v", keys, err)
	}
	for _, key := range keys {
		if err := w.storage.Delete(w.ctx, key); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.storage.Store(w.ctx, folder+"/README", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := w.b.Poll(w.ctx); err == nil {
		t.Error("the list is believed")
	}
	w.wantError(w.b, value, session.ErrDenied)
}

// Who can write to the storage, but has no key, puts somebody else's session into his own list: he ends it no more than before.
func TestAttackEndingASessionByAForgedIndex(t *testing.T) {
	w := newWorld(t)
	alice := w.start("alice")
	entries := func() (found []string) {
		for _, key := range w.storage.Keys() {
			if strings.Contains(key, "/sessions/users/") {
				found = append(found, key)
			}
		}
		return found
	}
	hers := entries()
	w.start("mallory")
	if len(hers) != 1 || len(entries()) != 2 {
		t.Fatalf("entries: %v", entries())
	}
	for _, key := range entries() {
		if key != hers[0] {
			if err := w.storage.Store(w.ctx, path.Dir(key)+"/"+path.Base(hers[0]), []byte{1}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.b.EndByID(w.ctx, "mallory", session.PublicID(alice)); !errors.Is(err, session.ErrInvalid) {
		t.Errorf("EndByID: %v", err)
	}
	if err := w.b.EndAll(w.ctx, "mallory"); err != nil {
		t.Errorf("EndAll: %v", err)
	}
	if revoked := w.pool.Revoked(); len(revoked) != 1 || revoked[0] != "refresh-2" {
		t.Errorf("revoked %v", revoked)
	}
	w.poll(w.a)
	w.wantOpen(w.a, w.seal(w.a, alice))
}
