package session_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
)

// stranger is somebody who registered alice's address before her, with a passkey, and is signed in.
func (w *world) stranger() session.Session {
	w.Helper()
	w.pool.Unverified = true
	s := w.start("alice")
	w.pool.Unverified = false
	return s
}

func (w *world) startWith(factor session.Factor) session.Session {
	w.Helper()
	s, err := w.b.Start(w.ctx, w.pool.SignIn("alice"), factor, session.Device{})
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// Attack: the stranger waits until the owner of the address verifies it, and shares the account from then on.
func TestAttackPreRegisteredAccount(t *testing.T) {
	w := newWorld(t)
	stranger := w.seal(w.a, w.stranger())
	w.wantOpen(w.a, stranger)
	owner := w.seal(w.b, w.startWith(session.MagicLink)) // which verifies the address
	w.wantOpen(w.b, owner)
	w.poll(w.a)
	w.wantError(w.a, stranger, session.ErrDenied)
	w.wantOpen(w.a, owner)
	if revoked := w.pool.Revoked(); len(revoked) != 1 || revoked[0] != "refresh-1" {
		t.Errorf("revoked %v", revoked)
	}
	second := w.seal(w.a, w.startWith(session.Passkey))
	w.wantOpen(w.a, owner)
	w.wantOpen(w.a, second)
}

// The owner verified the address somewhere else, past this portal: the stranger's session finds out at its next refresh.
func TestAttackPreRegisteredAccountVerifiedElsewhere(t *testing.T) {
	w := newWorld(t)
	s := w.stranger()
	value := w.seal(w.a, s)
	w.clock.Advance(time.Hour)
	if got, err := w.a.Refresh(w.ctx, s); !errors.Is(err, session.ErrRefused) || got.ID != "" {
		t.Errorf("Refresh: %v", err)
	}
	w.wantError(w.a, value, session.ErrDenied)
	if revoked := strings.Join(w.pool.Revoked(), " "); !strings.Contains(revoked, "refresh-2") {
		t.Errorf("revoked %q, not the newest token", revoked)
	}
}

// A stranger who steps up with what he has does not become the owner; who proves the mailbox does, alone.
func TestAttackPreRegisteredAccountStepsUp(t *testing.T) {
	w := newWorld(t)
	first, second := w.stranger(), w.stranger()
	if got, err := w.a.StepUp(w.ctx, first, w.pool.SignIn("alice"), session.SMS); !errors.Is(err, session.ErrRefused) || got.ID != "" {
		t.Errorf("StepUp: %v", err)
	}
	third := w.stranger()
	proved, err := w.a.StepUp(w.ctx, third, w.pool.SignIn("alice"), session.MagicLink)
	if err != nil || !proved.EmailVerified {
		t.Fatalf("StepUp: %v", err)
	}
	w.wantError(w.a, w.seal(w.a, first), session.ErrDenied)
	w.wantError(w.a, w.seal(w.a, second), session.ErrDenied)
	w.wantOpen(w.a, w.seal(w.a, proved))
}

// Who came by mail has proved the mailbox, whatever the tokens said then; who never had an address has taken nobody's.
func TestUnverifiedSessionsThatStay(t *testing.T) {
	w := newWorld(t)
	w.pool.Unverified = true
	byMail, byCode := w.startWith(session.MagicLink), w.startWith(session.EmailCode)
	none := w.pool.SignIn("alice")
	none.Identity.Email = ""
	without, err := w.a.Start(w.ctx, none, session.Passkey, session.Device{})
	if err != nil {
		t.Fatal(err)
	}
	w.pool.Unverified = false
	w.startWith(session.Passkey)
	w.clock.Advance(time.Hour)
	for name, s := range map[string]session.Session{"link": byMail, "code": byCode, "no address": without} {
		if got, err := w.a.Refresh(w.ctx, s); err != nil || got.Generation != 2 {
			t.Errorf("%s: generation %d, %v", name, got.Generation, err)
		}
	}
}

// If the stranger's session cannot be found, nobody is told that all is well.
func TestVerifiedSessionWaitsForTheEndOfOthers(t *testing.T) {
	w := newWorld(t)
	w.stranger()
	w.storage.Fail(func(op, key string) error {
		if op == "load" && strings.Contains(key, "/records/") {
			return errors.New("i/o timeout")
		}
		return nil
	})
	if s, err := w.b.Start(w.ctx, w.pool.SignIn("alice"), session.MagicLink, session.Device{}); !errors.Is(err, session.ErrUnavailable) || s.ID != "" {
		t.Errorf("Start: %v", err)
	}
}
