package session_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/internal/session/sessiontest"
)

func TestLeasedStorageConforms(t *testing.T) {
	inner := sessiontest.NewStorage()
	sessiontest.Conform(t, func(*testing.T) session.Storage { return session.Leased(inner) })
}

// mortal is the storage of a process that can be killed: from then on nothing it does arrives.
type mortal struct {
	session.Storage
	mu   sync.Mutex
	dead bool
}

func (m *mortal) kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
}

func (m *mortal) err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return errors.New("killed")
	}
	return nil
}

func (m *mortal) Lock(ctx context.Context, name string) error {
	if err := m.err(); err != nil {
		return err
	}
	return m.Storage.Lock(ctx, name)
}

func (m *mortal) Store(ctx context.Context, key string, value []byte) error {
	if err := m.err(); err != nil {
		return err
	}
	return m.Storage.Store(ctx, key, value)
}

func (m *mortal) Delete(ctx context.Context, key string) error {
	if err := m.err(); err != nil {
		return err
	}
	return m.Storage.Delete(ctx, key)
}

// kill -9 while a lock is held: it is free again within 5 seconds, for one of all that wait.
func TestLockOfADeadProcessIsTakenOverWithinSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := sessiontest.NewStorage()
		m := &mortal{Storage: inner}
		dying := session.Leased(m)
		if err := dying.Lock(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2500 * time.Millisecond) // some signs of life
		m.kill()
		began := time.Now()
		var mu sync.Mutex
		inside := 0
		var wg sync.WaitGroup
		for range 5 {
			other := session.Leased(inner)
			wg.Go(func() {
				if err := other.Lock(t.Context(), "x"); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if inside++; inside > 1 {
					t.Error("two hold the lock")
				}
				if took := time.Since(began); inside == 1 && took > 5*time.Second+500*time.Millisecond {
					t.Errorf("it took %s", took)
				}
				mu.Unlock()
				time.Sleep(50 * time.Millisecond)
				mu.Lock()
				inside--
				mu.Unlock()
				if err := other.Unlock(t.Context(), "x"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if err := dying.Unlock(t.Context(), "x"); err == nil {
			t.Error("the dead process believes that it held the lock all the time")
		}
	})
}

// A user pool takes its time: whoever asks it keeps the lock for as long as the process lives.
func TestLockOfALivingProcessIsRespected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := sessiontest.NewStorage()
		slow, other := session.Leased(inner), session.Leased(inner)
		if err := slow.Lock(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		waiting, cancel := context.WithTimeout(t.Context(), 25*time.Second)
		defer cancel()
		if err := other.Lock(waiting, "x"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Lock: %v", err)
		}
		if err := slow.Unlock(t.Context(), "x"); err != nil {
			t.Error(err)
		}
		if keys := inner.Keys(); len(keys) != 0 {
			t.Errorf("left behind: %v", keys)
		}
		if err := slow.Unlock(t.Context(), "x"); err == nil {
			t.Error("released twice")
		}
	})
}

// What a crash left is not there for ever, while what is in use stays.
func TestLeasesOfLongDeadProcessesAreRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := sessiontest.NewStorage()
		m := &mortal{Storage: inner}
		dead := session.Leased(m)
		if err := dead.Lock(t.Context(), "old"); err != nil {
			t.Fatal(err)
		}
		m.kill()
		defer func() { _ = dead.Unlock(context.Background(), "old") }()
		time.Sleep(2 * time.Hour)
		alive := session.Leased(inner)
		if err := alive.Lock(t.Context(), "new"); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = alive.Unlock(context.Background(), "new") }()
		synctest.Wait()
		if inner.Exists(t.Context(), "passwordless/leases/old") || !inner.Exists(t.Context(), "passwordless/leases/new") {
			t.Errorf("left: %v", inner.Keys())
		}
	})
}
