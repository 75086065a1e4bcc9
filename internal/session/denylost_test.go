package session_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/internal/session/sessiontest"
)

// lose deletes the folder of the deny list.
func (w *world) lose() {
	w.Helper()
	for _, key := range w.storage.Keys() {
		if strings.Contains(key, "/denied/") {
			if err := w.storage.Delete(w.ctx, key); err != nil {
				w.Fatal(err)
			}
		}
	}
}

// Attack, or a tidy administrator: the deny list is deleted, and the process restarted. It must not come up with an empty list, by
// which a session that was signed out would live again; the operator reads what to do, and does it.
func TestAttackDeletedDenyListAtARestart(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	value := w.seal(w.a, s)
	w.poll(w.a)
	if err := w.a.End(w.ctx, s); err != nil {
		t.Fatal(err)
	}
	w.lose()
	restarted := sessiontest.NewManager(t, w.storage, w.pool)
	for range 3 {
		w.wantError(restarted, value, session.ErrUnavailable)
		w.clock.Advance(10 * time.Second)
	}
	err := restarted.Poll(w.ctx)
	if !errors.Is(err, session.ErrListLost) {
		t.Fatalf("Poll: %v", err)
	}
	const note = "passwordless/default/keys/denied-default"
	if !strings.Contains(err.Error(), note) || !strings.Contains(err.Error(), "passwordless/default/sessions/denied") {
		t.Errorf("it does not say what to do: %v", err)
	}
	if err := w.storage.Delete(w.ctx, note); err != nil {
		t.Fatal(err)
	}
	w.poll(restarted)
	w.wantOpen(restarted, w.seal(restarted, w.start("bob")))
	if !w.storage.Exists(w.ctx, note) {
		t.Error("the new list is not noted")
	}
}

// The same while processes run: they go on for a minute by what they know, then nobody gets in, and the log says why.
func TestAttackDeletedDenyListWhileRunning(t *testing.T) {
	w := newWorld(t)
	value := w.seal(w.a, w.start("alice"))
	w.poll(w.a)
	w.lose()
	if err := w.storage.Delete(w.ctx, "passwordless/default/keys/denied-default"); err != nil { // the note goes with it
		t.Fatal(err)
	}
	if err := w.a.Poll(w.ctx); !errors.Is(err, session.ErrListLost) {
		t.Errorf("Poll: %v", err)
	}
	w.wantOpen(w.a, value)
	w.clock.Advance(2 * time.Minute)
	w.wantError(w.a, value, session.ErrUnavailable)
	if err := w.storage.Store(w.ctx, "passwordless/default/sessions/denied/marker", []byte{1}); err != nil { // restored from a backup
		t.Fatal(err)
	}
	w.poll(w.a)
	w.wantOpen(w.a, value)
}

// A first start, an upgrade from a version that made no note, and a note that cannot be read.
func TestNoteOfTheDenyList(t *testing.T) {
	w := newWorld(t)
	const note = "passwordless/default/keys/denied-default"
	w.poll(w.a)
	if !w.storage.Exists(w.ctx, note) {
		t.Error("a first start makes no note")
	}
	if err := w.storage.Delete(w.ctx, note); err != nil {
		t.Fatal(err)
	}
	w.poll(w.b)
	if !w.storage.Exists(w.ctx, note) {
		t.Error("an upgrade makes no note")
	}
	w.lose()
	w.storage.Fail(func(op, key string) error {
		if op == "load" && key == note {
			return errors.New("i/o timeout")
		}
		return nil
	})
	restarted := sessiontest.NewManager(t, w.storage, w.pool)
	if err := restarted.Poll(w.ctx); err == nil || w.storage.Exists(w.ctx, "passwordless/default/sessions/denied") {
		t.Errorf("an empty list was made without a look at the note: %v", err)
	}
}
