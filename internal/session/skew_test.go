package session_test

import (
	"sync"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
)

// Node b's clock is five minutes off, whichever way; people move between the nodes all day.
func TestNodesWithSkewedClocks(t *testing.T) {
	for _, skew := range []time.Duration{-5 * time.Minute, 5 * time.Minute} {
		for _, lifetime := range []time.Duration{time.Hour, 5 * time.Minute} { // the latter is the shortest Cognito has
			t.Run((skew + lifetime).String(), func(t *testing.T) {
				w := newWorld(t)
				w.pool.AccessLifetime = lifetime
				w.b.Now = func() time.Time { return w.clock.Now().Add(skew) }
				s := w.start("alice")
				for range 30 {
					w.clock.Advance(7 * time.Minute)
					for _, m := range []*session.Manager{w.a, w.b} {
						w.poll(m)
						s = w.wantOpen(m, w.seal(m, s))
						if m.NeedsRefresh(s) {
							var err error
							if s, err = m.Refresh(w.ctx, s); err != nil {
								t.Fatal(err)
							}
						}
						s, _ = m.Touch(s)
					}
				}
			})
		}
	}
}

// 50 parallel requests over both nodes at expiry: with rotation, a token that was traded twice would be refused.
func TestParallelRefreshWithSkewedClocks(t *testing.T) {
	for _, skew := range []time.Duration{-5 * time.Minute, 5 * time.Minute} {
		w := newWorld(t)
		w.b.Now = func() time.Time { return w.clock.Now().Add(skew) }
		s := w.start("alice")
		w.clock.Advance(time.Hour)
		var wg sync.WaitGroup
		for i := range 50 {
			m := []*session.Manager{w.a, w.b}[i%2]
			wg.Go(func() {
				if got, err := m.Refresh(w.ctx, s); err != nil || m.NeedsRefresh(got) {
					t.Errorf("skew %s: generation %d, %v", skew, got.Generation, err)
				}
			})
		}
		wg.Wait()
		if n := w.pool.Refreshes(); n != 1 {
			t.Errorf("skew %s: the pool was asked %d times", skew, n)
		}
	}
}

// A sign-out on a node whose clock is behind ends what began on one that is ahead.
func TestSignOutEverywhereWithSkewedClocks(t *testing.T) {
	w := newWorld(t)
	w.b.Now = func() time.Time { return w.clock.Now().Add(-5 * time.Minute) }
	s := w.start("alice") // on a, which is ahead
	value := w.seal(w.a, s)
	if err := w.b.EndAll(w.ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	w.poll(w.a)
	w.wantError(w.a, value, session.ErrDenied)
}
