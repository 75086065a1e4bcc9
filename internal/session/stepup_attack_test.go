package session_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/internal/session/sessiontest"
)

// A pool may answer a step-up with a newer token of the same family, or with none to refresh by. What it gave must not be revoked or denied
// along with what it replaces.
func TestStepUpWithinAFamilyKeepsIt(t *testing.T) {
	w := newWorld(t)
	fresh := w.pool.SignIn("alice")
	s, err := w.a.Start(w.ctx, fresh, session.Passkey, session.Device{})
	if err != nil {
		t.Fatal(err)
	}
	again := w.pool.SignIn("alice")
	again.Tokens.Refresh, again.Identity.OriginJTI = "", fresh.Identity.OriginJTI
	s, err = w.a.StepUp(w.ctx, s, again, session.SMS)
	if err != nil {
		t.Fatal(err)
	}
	if revoked := w.pool.Revoked(); len(revoked) != 0 {
		t.Errorf("revoked %v", revoked)
	}
	newer := w.pool.SignIn("alice")
	newer.Identity.OriginJTI = fresh.Identity.OriginJTI
	if s, err = w.a.StepUp(w.ctx, s, newer, session.SMS); err != nil {
		t.Fatal(err)
	}
	if err := w.a.CheckBearer(newer.Identity.OriginJTI, "alice", newer.Identity.AuthTime); err != nil {
		t.Errorf("the family of the new tokens: %v", err)
	}
	w.clock.Advance(time.Hour)
	if s, err = w.a.Refresh(w.ctx, s); err != nil || !s.Factors.Has(session.SMS) {
		t.Errorf("Refresh: %v", err)
	}
}

// Attack: a session past its absolute end, whose record nobody has swept yet, is to live on by a step-up.
func TestAttackStepUpOfAnExpiredSession(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	w.clock.Advance(s.Ends.Sub(w.clock.Now()) + time.Second)
	w.poll(w.a)
	if got, err := w.a.StepUp(w.ctx, s, w.pool.SignIn("alice"), session.SMS); !errors.Is(err, session.ErrExpired) || got.ID != "" {
		t.Errorf("StepUp: %v", err)
	}
}

// A code from the mail proves the mailbox as the link does.
func TestStepUpByCodeProvesTheMailbox(t *testing.T) {
	w := newWorld(t)
	other, own := w.stranger(), w.stranger()
	proved, err := w.a.StepUp(w.ctx, own, w.pool.SignIn("alice"), session.EmailCode)
	if err != nil || !proved.EmailVerified {
		t.Fatalf("StepUp: %v", err)
	}
	w.wantOpen(w.a, w.seal(w.a, proved))
	w.wantError(w.a, w.seal(w.a, other), session.ErrDenied)
}

// pickyPool refuses what it is told to, and notes by which tokens it was to end all others.
type pickyPool struct {
	*sessiontest.Pool
	refuseAll    int  // so many times
	refuseRevoke bool // whatever it is to revoke
	asked        *[]string
}

func (p pickyPool) Revoke(ctx context.Context, token string) error {
	if p.refuseRevoke {
		return session.ErrRefused
	}
	return p.Pool.Revoke(ctx, token)
}

func (p pickyPool) RevokeAll(ctx context.Context, token string) error {
	*p.asked = append(*p.asked, token)
	if len(*p.asked) <= p.refuseAll {
		return session.ErrRefused
	}
	return p.Pool.RevokeAll(ctx, token)
}

// Of a person's sessions only some have an access token that still counts: the pool is asked with those, until it takes one.
func TestEndAllFindsATokenThatCounts(t *testing.T) {
	w := newWorld(t)
	var asked []string
	w.a.Refresher = pickyPool{Pool: w.pool, refuseAll: 2, asked: &asked}
	for range 3 {
		w.start("alice")
		w.start("bob")
	}
	w.clock.Advance(2 * time.Hour)
	if err := w.a.EndAll(w.ctx, "bob"); err != nil || len(asked) != 0 {
		t.Errorf("asked with %v, which are over: %v", asked, err)
	}
	for range 4 {
		w.start("alice")
	}
	stolen := w.pool.SignIn("alice")
	if err := w.a.EndAll(w.ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	if len(asked) != 3 {
		t.Errorf("asked with %v", asked)
	}
	if _, err := w.pool.Refresh(w.ctx, stolen.Tokens); !errors.Is(err, session.ErrRefused) {
		t.Errorf("the other client's token: %v", err)
	}
}

// A token that the pool does not know any more is not asked about for ever.
func TestRefusedRevocationIsNotTriedAgain(t *testing.T) {
	w := newWorld(t)
	w.a.Refresher = pickyPool{Pool: w.pool, refuseRevoke: true}
	if err := w.a.End(w.ctx, w.start("alice")); err != nil {
		t.Fatal(err)
	}
	for _, key := range w.storage.Keys() {
		if strings.Contains(key, "/revocations/") {
			t.Errorf("%s is kept", key)
		}
	}
}
