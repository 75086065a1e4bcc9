package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
)

// Conform checks that a storage keeps sessions as the package session needs it. Each call of open gives another process's view of
// one and the same storage, which must be empty at first; keys in Caddy's style are made below "passwordless".
func Conform(t *testing.T, open func(*testing.T) session.Storage) {
	a, b := open(t), open(t)
	t.Run("items", func(t *testing.T) { conformItems(t, a, b) })
	t.Run("locks", func(t *testing.T) { conformLocks(t, a, b) })
	t.Run("one-time items", func(t *testing.T) { conformOnce(t, a, b) })
	t.Run("refresh", func(t *testing.T) { conformRefresh(t, a, b) })
	t.Run("sign-out", func(t *testing.T) { conformSignOut(t, a, b) })
	t.Run("large session", func(t *testing.T) { conformLarge(t, a, b) })
}

func conformItems(t *testing.T, a, b session.Storage) {
	ctx := t.Context()
	const folder = "passwordless/items/sessions/records"
	if _, err := b.Load(ctx, folder+"/one"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("loading what is not there: %v", err)
	}
	if b.Exists(ctx, folder) {
		t.Error("a folder exists that nobody made")
	}
	for _, name := range []string{"one", "two"} {
		if err := a.Store(ctx, folder+"/"+name, []byte("first")); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Store(ctx, folder+"/two", []byte("second")); err != nil {
		t.Fatal(err)
	}
	if value, err := b.Load(ctx, folder+"/two"); err != nil || string(value) != "second" {
		t.Errorf("loaded %q, %v", value, err)
	}
	if !b.Exists(ctx, folder+"/one") || !b.Exists(ctx, folder) {
		t.Error("what was stored does not exist")
	}
	keys, err := b.List(ctx, folder, false)
	slices.Sort(keys)
	if err != nil || !slices.Equal(keys, []string{folder + "/one", folder + "/two"}) {
		t.Errorf("listed %q, %v", keys, err)
	}
	for range 2 {
		if err := a.Delete(ctx, folder+"/one"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if _, err := b.Load(ctx, folder+"/one"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("loading what was deleted: %v", err)
	}
}

// Two processes, many goroutines in each: never two within the lock.
func conformLocks(t *testing.T, a, b session.Storage) {
	ctx := t.Context()
	var inside, entered atomic.Int32 // atomic, as locks made of files or items are no synchronization to the race detector
	var wg sync.WaitGroup
	for i := range 6 {
		s := []session.Storage{a, b}[i%2]
		wg.Go(func() {
			if err := s.Lock(ctx, "conform"); err != nil {
				t.Error(err)
				return
			}
			if n := inside.Add(1); n != 1 {
				t.Errorf("%d are inside", n)
			}
			entered.Add(1)
			inside.Add(-1)
			if err := s.Unlock(ctx, "conform"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := entered.Load(); n != 6 {
		t.Errorf("%d entered", n)
	}
	if err := a.Lock(ctx, "conform"); err != nil {
		t.Fatal(err)
	}
	soon, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if err := b.Lock(soon, "conform"); err == nil {
		t.Error("a lock was taken twice")
	}
	if err := a.Unlock(ctx, "conform"); err != nil {
		t.Error(err)
	}
}

// conformWorld is two processes of one realm.
func conformWorld(t *testing.T, a, b session.Storage, realm string) (*Pool, [2]*session.Manager) {
	t.Helper()
	// The real time: storages that expire items by themselves have clocks of their own.
	pool := NewPool(&Clock{now: time.Now()})
	var managers [2]*session.Manager
	for i, s := range []session.Storage{a, b} {
		managers[i] = newManager(t, s, pool, realm)
	}
	return pool, managers
}

func conformOnce(t *testing.T, a, b session.Storage) {
	_, m := conformWorld(t, a, b, "once")
	for i := range 2 {
		code := fmt.Sprintf("code-%d", i)
		if err := m[0].PutOnce(t.Context(), "handoff", code, []byte("value"), m[0].Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		taken := 0
		for i := range 4 {
			wg.Go(func() {
				value, err := m[i%2].TakeOnce(t.Context(), "handoff", code)
				if err == nil && string(value) == "value" {
					mu.Lock()
					defer mu.Unlock()
					taken++
				} else if !errors.Is(err, session.ErrInvalid) {
					t.Errorf("taking: %q, %v", value, err)
				}
			})
		}
		wg.Wait()
		if taken != 1 {
			t.Errorf("%s was taken %d times", code, taken)
		}
	}
}

// 50 parallel requests at expiry, over two processes, cause one refresh and sign nobody out.
func conformRefresh(t *testing.T, a, b session.Storage) {
	pool, m := conformWorld(t, a, b, "refresh")
	s, err := m[0].Start(t.Context(), pool.SignIn("alice"), session.Passkey, session.Device{})
	if err != nil {
		t.Fatal(err)
	}
	pool.Clock.Advance(time.Hour)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if got, err := m[i%2].Refresh(t.Context(), s); err != nil || got.Generation != 2 {
				t.Errorf("generation %d, %v", got.Generation, err)
			}
		})
	}
	wg.Wait()
	if n := pool.Refreshes(); n != 1 {
		t.Errorf("the pool was asked %d times", n)
	}
}

func conformSignOut(t *testing.T, a, b session.Storage) {
	pool, m := conformWorld(t, a, b, "sign-out")
	sealed := make([]string, 4)
	sessions := make([]session.Session, 4)
	for i := range sealed {
		s, err := m[0].Start(t.Context(), pool.SignIn("alice"), session.Passkey, session.Device{})
		if err != nil {
			t.Fatal(err)
		}
		if sealed[i], err = m[0].Seal(s, "app.example.com"); err != nil {
			t.Fatal(err)
		}
		sessions[i] = s
	}
	alive := func() (n int) {
		t.Helper()
		for _, one := range m {
			if err := one.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for _, value := range sealed {
			_, err := m[1].Open(value, "app.example.com")
			if err == nil {
				n++
			} else if !errors.Is(err, session.ErrDenied) {
				t.Error(err)
			}
		}
		return n
	}
	if n := alive(); n != 4 {
		t.Fatalf("%d sessions live", n)
	}
	if err := m[0].End(t.Context(), sessions[0]); err != nil {
		t.Fatal(err)
	}
	if err := m[0].EndByID(t.Context(), "alice", session.PublicID(sessions[1])); err != nil {
		t.Fatal(err)
	}
	list, err := m[1].List(t.Context(), "alice")
	if n := alive(); n != 2 || err != nil || len(list) != 2 {
		t.Errorf("%d sessions live and %d are listed, %v", n, len(list), err)
	}
	if err := m[0].EndAll(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	if n := alive(); n != 0 {
		t.Errorf("%d sessions live", n)
	}
	if n := len(pool.Revoked()); n != 4 {
		t.Errorf("%d token families were revoked", n)
	}
}

func conformLarge(t *testing.T, a, b session.Storage) {
	pool, m := conformWorld(t, a, b, "large")
	for i := range 200 {
		pool.Groups = append(pool.Groups, path.Join("department", fmt.Sprint(i*7919), "of-example-corporation"))
	}
	s, err := m[0].Start(t.Context(), pool.SignIn("alice"), session.Passkey, session.Device{})
	if err != nil {
		t.Fatal(err)
	}
	value, err := m[0].Seal(s, "app.example.com")
	if err != nil || len(value) > 3800 {
		t.Fatalf("a cookie of %d bytes, %v", len(value), err)
	}
	opened, err := m[1].Open(value, "app.example.com")
	if err == nil {
		opened, err = m[1].Load(t.Context(), opened)
	}
	if err != nil || len(opened.Groups) != 200 {
		t.Errorf("%d groups, %v", len(opened.Groups), err)
	}
}
