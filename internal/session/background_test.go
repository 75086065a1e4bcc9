package session_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
)

// The pool takes the question and does not answer, while the access token is still good for 50 seconds: no request waits, and the
// pool is asked once.
func TestNobodyWaitsForTheRefreshOfAValidToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.start("alice")
		answer := make(chan struct{})
		w.pool.During = func() { <-answer }
		w.clock.Advance(59*time.Minute + 10*time.Second)
		began := time.Now()
		for range 50 {
			if got, err := w.a.Refresh(t.Context(), s); err != nil || got.Generation != 1 {
				t.Fatalf("generation %d, %v", got.Generation, err)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("they waited %s", took)
		}
		close(answer)
		w.a.Wait()
		loads := w.storage.Calls("load")
		if got, err := w.a.Refresh(t.Context(), s); err != nil || got.Generation != 2 {
			t.Errorf("afterwards: generation %d, %v", got.Generation, err)
		}
		if n := w.storage.Calls("load") - loads; n != 0 {
			t.Errorf("it took %d reads to hear of it", n)
		}
		if n := w.pool.Refreshes(); n != 1 {
			t.Errorf("the pool was asked %d times", n)
		}
	})
}

// Once the token is over there is nothing to serve: requests wait, those that lead no longer than those that follow.
func TestWaitForARefreshIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.start("alice")
		answer := make(chan struct{})
		w.pool.During = func() { <-answer }
		w.clock.Advance(time.Hour)
		for range 3 {
			within(t, "a request", func() {
				if _, err := w.a.Refresh(t.Context(), s); !errors.Is(err, session.ErrUnavailable) {
					t.Errorf("Refresh: %v", err)
				}
			})
		}
		close(answer) // late, and not lost
		w.a.Wait()
		if got, err := w.a.Refresh(t.Context(), s); err != nil || got.Generation != 2 || w.pool.Refreshes() != 1 {
			t.Errorf("generation %d after %d refreshes, %v", got.Generation, w.pool.Refreshes(), err)
		}
	})
}

// Thousands of sessions are due within the same minute: they do not all ask the pool at once.
func TestBackgroundRefreshesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var sessions []session.Session
		for i := range 200 {
			sessions = append(sessions, w.start(fmt.Sprint("user", i)))
		}
		answer := make(chan struct{})
		waiting := make(chan struct{}, len(sessions))
		w.pool.During = func() { waiting <- struct{}{}; <-answer }
		w.clock.Advance(59*time.Minute + 10*time.Second)
		for _, s := range sessions {
			if _, err := w.a.Refresh(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := len(waiting); n != 64 {
			t.Errorf("%d ask the pool", n)
		}
		close(answer)
		w.a.Wait()
		for range 3 { // their next requests
			for _, s := range sessions {
				if _, err := w.a.Refresh(t.Context(), s); err != nil {
					t.Fatal(err)
				}
			}
			w.a.Wait()
		}
		for _, s := range sessions {
			if got, err := w.a.Refresh(t.Context(), s); err != nil || got.Generation != 2 {
				t.Errorf("generation %d, %v", got.Generation, err)
			}
		}
	})
}

// A process is told to stop while tokens are on their way: it stores them first.
func TestRunEndsAfterTheRefreshesUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.start("alice")
		w.pool.During = func() { time.Sleep(5 * time.Second) }
		w.clock.Advance(59*time.Minute + 10*time.Second)
		ctx, stop := context.WithCancel(t.Context())
		stopped := make(chan struct{})
		go func() { defer close(stopped); w.a.Run(ctx) }()
		synctest.Wait()
		if _, err := w.a.Refresh(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		stop()
		<-stopped
		w.pool.During = nil
		if got, err := w.refresh(w.b, s); err != nil || got.Generation != 2 || w.pool.Refreshes() != 1 {
			t.Errorf("generation %d after %d refreshes, %v", got.Generation, w.pool.Refreshes(), err)
		}
	})
}
