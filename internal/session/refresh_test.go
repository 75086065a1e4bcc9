package session_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
)

var errUnreachable = errors.New("dial tcp: connection refused")

// A page with 50 images is reloaded as the access token expires, over two processes: rotation allows one refresh only.
func TestFiftyParallelRequestsAtExpiryRefreshOnce(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	w.clock.Advance(time.Hour)
	var wg sync.WaitGroup
	for i := range 50 {
		m := []*session.Manager{w.a, w.b}[i%2]
		wg.Go(func() {
			got, err := m.Refresh(w.ctx, s)
			if err != nil || got.Generation != 2 || m.NeedsRefresh(got) {
				t.Errorf("Refresh: generation %d, %v", got.Generation, err)
			}
		})
	}
	wg.Wait()
	if n := w.pool.Refreshes(); n != 1 {
		t.Errorf("the pool was asked %d times", n)
	}
}

// The first of many requests is the one that refreshes; its client goes away meanwhile.
func TestClientThatGoesAwayDoesNotLoseTheTokens(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	w.clock.Advance(time.Hour)
	ctx, cancel := context.WithCancel(w.ctx)
	w.pool.During = cancel
	if _, err := w.a.Refresh(ctx, s); err != nil && !errors.Is(err, session.ErrUnavailable) {
		t.Fatal(err)
	}
	w.a.Wait()
	got, err := w.b.Refresh(w.ctx, s)
	if err != nil || got.Generation != 2 {
		t.Errorf("Refresh: generation %d, %v", got.Generation, err)
	}
}

func TestLostSetCookieSurvives(t *testing.T) {
	w := newWorld(t)
	old := w.seal(w.a, w.start("alice"))
	for round := range 3 { // the browser never takes the new cookie
		w.clock.Advance(59*time.Minute + 30*time.Second)
		s := w.wantOpen(w.b, old)
		if !w.b.NeedsRefresh(s) {
			t.Fatal("no refresh is due")
		}
		got, err := w.refresh(w.b, s)
		if err != nil || got.Generation != uint64(round+2) || !got.Seen.Equal(w.clock.Now()) {
			t.Fatalf("round %d: generation %d, %v", round, got.Generation, err)
		}
	}
}

func TestOlderGenerationAdoptsTheStepUp(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	w.clock.Advance(30 * time.Minute)
	stepped, err := w.a.StepUp(w.ctx, s, w.pool.SignIn("alice"), session.SMS)
	if err != nil {
		t.Fatal(err)
	}
	if !stepped.Factors.At(session.SMS).Equal(w.clock.Now()) || len(stepped.Factors) != 2 || stepped.Ends != s.Ends || stepped.Generation != 2 {
		t.Errorf("StepUp: %+v", stepped)
	}
	if s.Factors.Has(session.SMS) {
		t.Error("StepUp changed the session it was given")
	}
	if revoked := w.pool.Revoked(); !reflect.DeepEqual(revoked, []string{"refresh-1"}) {
		t.Errorf("revoked %v, not the old family", revoked)
	}
	w.clock.Advance(29*time.Minute + 30*time.Second) // the other host's cookie is due
	adopted, err := w.refresh(w.b, s)
	if err != nil || adopted.Generation != 2 || !adopted.Factors.At(session.SMS).Equal(stepped.Factors.At(session.SMS)) {
		t.Errorf("adopted %+v, %v", adopted, err)
	}
	if n := w.pool.Refreshes(); n != 0 {
		t.Errorf("the pool was asked %d times", n)
	}
	tokens, err := w.b.Tokens(w.ctx, adopted)
	if err != nil || tokens.Refresh != "refresh-2" {
		t.Errorf("Tokens = %+v, %v", tokens, err)
	}
}

func TestRefusedRefreshEndsTheSessionEverywhere(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	value := w.seal(w.a, s)
	w.clock.Advance(59 * time.Minute)
	w.pool.Break(session.ErrRefused)
	if got, err := w.refresh(w.a, s); !errors.Is(err, session.ErrDenied) || got.ID != "" {
		t.Fatalf("Refresh: %v", err)
	}
	w.wantError(w.a, value, session.ErrDenied)
	w.poll(w.b)
	w.wantError(w.b, value, session.ErrDenied)
	if _, err := w.b.Refresh(w.ctx, s); !errors.Is(err, session.ErrDenied) {
		t.Errorf("Refresh: %v", err)
	}
}

// Attack: the pool has ended a family of tokens, which the refresh of its session finds out. Bearers of the same family are refused from then on,
// too, on every node, though their own tokens would be good for a while.
func TestAttackBearerOfARefusedFamily(t *testing.T) {
	w := newWorld(t)
	fresh := w.pool.SignIn("alice")
	s, err := w.a.Start(w.ctx, fresh, session.MagicLink, session.Device{})
	if err != nil {
		t.Fatal(err)
	}
	other := w.pool.SignIn("alice").Identity
	w.clock.Advance(59 * time.Minute)
	w.pool.Break(session.ErrRefused)
	if _, err := w.refresh(w.a, s); !errors.Is(err, session.ErrDenied) {
		t.Fatalf("Refresh: %v", err)
	}
	w.poll(w.b)
	for name, m := range map[string]*session.Manager{"the node that asked": w.a, "another node": w.b} {
		if err := m.CheckBearer(fresh.Identity.OriginJTI, "alice", fresh.Identity.AuthTime); !errors.Is(err, session.ErrDenied) {
			t.Errorf("%s: a bearer of the family: %v", name, err)
		}
		if err := m.CheckBearer(other.OriginJTI, "alice", other.AuthTime); err != nil {
			t.Errorf("%s: a bearer of another family: %v", name, err)
		}
	}
}

func TestUnreachablePoolKeepsTheSessionUntilItsTokenExpires(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	w.pool.Break(errUnreachable)
	w.clock.Advance(59 * time.Minute)
	for range 20 { // one try, the others do not wait for the pool
		if got, err := w.a.Refresh(w.ctx, s); err != nil || !reflect.DeepEqual(got, s) {
			t.Fatalf("Refresh: %+v, %v", got, err)
		}
		w.a.Wait()
	}
	if n := w.pool.Refreshes(); n != 1 {
		t.Errorf("the pool was asked %d times", n)
	}
	w.clock.Advance(time.Minute)
	if got, err := w.a.Refresh(w.ctx, s); !errors.Is(err, session.ErrUnavailable) || errors.Is(err, session.ErrRefused) || got.ID != "" {
		t.Errorf("Refresh: %v", err)
	}
	w.pool.Break(nil)
	w.clock.Advance(time.Minute)
	if got, err := w.a.Refresh(w.ctx, s); err != nil || got.Generation != 2 {
		t.Errorf("the session did not survive the outage: generation %d, %v", got.Generation, err)
	}
}

func TestUnreachableStorageIsNotTheEnd(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	w.clock.Advance(59 * time.Minute)
	w.storage.Fail(func(op, _ string) error {
		if op == "load" {
			return errors.New("i/o timeout")
		}
		return nil
	})
	if got, err := w.b.Refresh(w.ctx, s); err != nil || got.Generation != 1 {
		t.Errorf("Refresh: %v", err)
	}
	if _, err := w.b.Tokens(w.ctx, s); !errors.Is(err, session.ErrUnavailable) || errors.Is(err, session.ErrDenied) {
		t.Errorf("Tokens: %v", err)
	}
}

// A storage that stumbles once must not cost the rotated token.
func TestStoringAfterRefreshIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	w.clock.Advance(time.Hour)
	failed := false
	w.storage.Fail(func(op, key string) error {
		if op == "store" && strings.Contains(key, "/records/") && !failed {
			failed = true
			return errors.New("i/o timeout")
		}
		return nil
	})
	if got, err := w.a.Refresh(w.ctx, s); err != nil || got.Generation != 2 || !failed {
		t.Errorf("Refresh: generation %d, %v", got.Generation, err)
	}
}

type confusedPool struct{ session.Refresher }

func (confusedPool) Verify(context.Context, session.Tokens) (session.Identity, error) {
	return session.Identity{Subject: "mallory", AccessExpires: time.Now().AddDate(99, 0, 0)}, nil
}

// The pool answers a refresh with the tokens of somebody else.
func TestAttackRefreshForAnotherUser(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	w.clock.Advance(time.Hour)
	w.a.Refresher = confusedPool{w.pool}
	if got, err := w.a.Refresh(w.ctx, s); !errors.Is(err, session.ErrRefused) || got.ID != "" {
		t.Errorf("Refresh: %+v, %v", got, err)
	}
}

func TestPanickingPoolLeavesNobodyWaiting(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	w.clock.Advance(time.Hour)
	w.pool.During = func() { panic("bug") }
	func() {
		defer func() { _ = recover() }()
		_, _ = w.a.Refresh(w.ctx, s)
	}()
	w.pool.During = nil
	w.clock.Advance(time.Minute)
	if got, err := w.a.Refresh(w.ctx, s); err != nil || got.Generation != 2 {
		t.Errorf("Refresh: generation %d, %v", got.Generation, err)
	}
}
