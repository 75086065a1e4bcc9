package session_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/internal/session/sessiontest"
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
	if _, err := w.pool.Refresh(w.ctx, stolen.Tokens); !errors.Is(err, session.ErrRefused) {
		t.Errorf("the other client's token: %v", err)
	}
	if _, err := w.pool.Refresh(w.ctx, others.Tokens); err != nil {
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

// silentPool answers no revocation before it is given up.
type silentPool struct{ *sessiontest.Pool }

func (silentPool) Revoke(ctx context.Context, _ string) error { return silence(ctx) }

func (silentPool) RevokeAll(ctx context.Context, _ string) error { return silence(ctx) }

func silence(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 25*time.Second)
	defer cancel()
	<-ctx.Done()
	return ctx.Err()
}

// The pool does not even refuse: what it was not told is noted for later, for every session and not only until the time is up.
func TestEndAllWithASilentPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.a.Refresher = silentPool{w.pool}
		const sessions = 4
		var values []string
		for range sessions {
			values = append(values, w.seal(w.a, w.start("alice")))
		}
		began := time.Now()
		if err := w.a.EndAll(w.ctx, "alice"); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > promised {
			t.Errorf("it took %s", took)
		}
		for _, value := range values {
			w.wantError(w.a, value, session.ErrDenied)
		}
		w.a.Wait()
		w.a.Refresher = w.pool
		w.clock.Advance(time.Minute)
		session.Tick(w.a, w.ctx)
		if revoked := w.pool.Revoked(); len(revoked) != sessions {
			t.Errorf("revoked later: %v", revoked)
		}
	})
}
