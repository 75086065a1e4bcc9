package session_test

import (
	"errors"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
)

// Attack: whoever has stolen a refresh token, or signed in with another client, outlives the owner's "Sign out everywhere".
func TestAttackTokensOfOtherClientsAfterEndAll(t *testing.T) {
	w := newWorld(t)
	idle := w.start("alice")
	w.clock.Advance(2 * time.Hour) // the access token of this session is over
	value := w.seal(w.a, w.start("alice"))
	stolen, others := w.pool.SignIn("alice"), w.pool.SignIn("bob")
	if err := w.a.EndAll(w.ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	w.wantError(w.a, value, session.ErrDenied)
	w.wantError(w.a, w.seal(w.a, idle), session.ErrDenied)
	if _, err := w.pool.Refresh(w.ctx, stolen.Tokens.Refresh); !errors.Is(err, session.ErrRefused) {
		t.Errorf("the other client's token: %v", err)
	}
	if _, err := w.pool.Refresh(w.ctx, others.Tokens.Refresh); err != nil {
		t.Errorf("another person's token: %v", err)
	}
}

// The pool is down just when somebody wants to be signed out everywhere.
func TestEndAllWithoutThePool(t *testing.T) {
	w := newWorld(t)
	one, two := w.seal(w.a, w.start("alice")), w.seal(w.a, w.start("alice"))
	w.pool.Break(errUnreachable)
	if err := w.a.EndAll(w.ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	w.wantError(w.a, one, session.ErrDenied)
	w.wantError(w.a, two, session.ErrDenied)
	w.pool.Break(nil)
	w.clock.Advance(time.Minute)
	session.Tick(w.a, w.ctx)
	if revoked := w.pool.Revoked(); len(revoked) != 2 {
		t.Errorf("revoked later: %v", revoked)
	}
}
