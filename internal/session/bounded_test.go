package session_test

import (
	"context"
	"errors"
	"io/fs"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/internal/session/sessiontest"
)

const promised = 3 * time.Second

// deaf is a storage that ignores contexts: while it hangs no call returns, as on a network file system that is gone.
type deaf struct {
	inner *sessiontest.Storage
	mu    sync.Mutex
	gate  chan struct{} // nil: it answers
	stuck atomic.Int64
}

func (d *deaf) hang() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gate = make(chan struct{})
}

func (d *deaf) mend() {
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.gate)
	d.gate = nil
}

func (d *deaf) wait() {
	d.mu.Lock()
	gate := d.gate
	d.mu.Unlock()
	if gate != nil {
		d.stuck.Add(1)
		<-gate
		d.stuck.Add(-1)
	}
}

func (d *deaf) Lock(_ context.Context, name string) error {
	d.wait()
	return d.inner.Lock(context.Background(), name)
}

func (d *deaf) Unlock(_ context.Context, name string) error {
	d.wait()
	return d.inner.Unlock(context.Background(), name)
}

func (d *deaf) Store(_ context.Context, key string, value []byte) error {
	d.wait()
	return d.inner.Store(context.Background(), key, value)
}

func (d *deaf) Load(_ context.Context, key string) ([]byte, error) {
	d.wait()
	return d.inner.Load(context.Background(), key)
}

func (d *deaf) Delete(_ context.Context, key string) error {
	d.wait()
	return d.inner.Delete(context.Background(), key)
}

func (d *deaf) Exists(_ context.Context, key string) bool {
	d.wait()
	return d.inner.Exists(context.Background(), key)
}

func (d *deaf) List(_ context.Context, path string, recursive bool) ([]string, error) {
	d.wait()
	return d.inner.List(context.Background(), path, recursive)
}

// complete can do what DynamoDB can.
type complete struct{ *deaf }

func (c complete) StoreUntil(ctx context.Context, key string, value []byte, _ time.Time) error {
	return c.Store(ctx, key, value)
}

func (c complete) Take(ctx context.Context, key string) ([]byte, error) {
	value, err := c.Load(ctx, key)
	return value, errors.Join(err, c.Delete(ctx, key))
}

// within fails if do takes longer than a person is promised to wait.
func within(t *testing.T, what string, do func()) {
	t.Helper()
	began := time.Now()
	do()
	if took := time.Since(began); took > promised {
		t.Errorf("%s took %s", what, took)
	}
}

func TestBoundedCallsEndWithoutTheStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &deaf{inner: sessiontest.NewStorage()}
		s := session.Bounded(complete{d})
		ctx := t.Context()
		d.hang()
		for what, call := range map[string]func() error{
			"Lock":   func() error { return s.Lock(ctx, "lock") },
			"Unlock": func() error { return s.Unlock(ctx, "other") },
			"Store":  func() error { return s.Store(ctx, "a/b", nil) },
			"Load":   func() error { _, err := s.Load(ctx, "a/b"); return err },
			"Delete": func() error { return s.Delete(ctx, "a/b") },
			"List":   func() error { _, err := s.List(ctx, "a", false); return err },
			"StoreUntil": func() error {
				return s.(session.Expirer).StoreUntil(ctx, "a/b", nil, time.Now())
			},
			"Take": func() error { _, err := s.(session.Taker).Take(ctx, "a/b"); return err },
		} {
			within(t, what, func() {
				if err := call(); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s: %v", what, err)
				}
			})
		}
		// "It is not there" would be an answer.
		within(t, "Exists", func() {
			if !s.Exists(ctx, "a/b") {
				t.Error("Exists says no without having asked")
			}
		})
		short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
		defer cancel()
		began := time.Now()
		if _, err := s.Load(short, "a/b"); err == nil || time.Since(began) > 20*time.Millisecond {
			t.Errorf("Load outlasted its context: %s, %v", time.Since(began), err)
		}
		d.mend()
		synctest.Wait()
		within(t, "the lock that came late", func() {
			if err := s.Lock(ctx, "lock"); err != nil {
				t.Errorf("nobody released it: %v", err)
			}
		})
	})
}

// Thousands of requests on a storage that hangs: most find that no more may wait.
func TestBoundedCallsDoNotPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &deaf{inner: sessiontest.NewStorage()}
		s := session.Bounded(d)
		d.hang()
		before := runtime.NumGoroutine()
		for range 3 {
			var wg sync.WaitGroup
			for range 2000 {
				wg.Go(func() {
					if _, err := s.Load(t.Context(), "a/b"); err == nil || errors.Is(err, fs.ErrNotExist) {
						t.Errorf("Load: %v", err)
					}
				})
			}
			within(t, "2000 loads", wg.Wait)
		}
		if n := d.stuck.Load(); n > 256 {
			t.Errorf("%d calls hang", n)
		}
		if n := runtime.NumGoroutine() - before; n > 300 {
			t.Errorf("%d goroutines more", n)
		}
		d.mend()
		synctest.Wait()
		if _, err := s.Load(t.Context(), "a/b"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after it was mended: %v", err)
		}
	})
}

type panicking struct{ session.Storage }

func (panicking) Load(context.Context, string) ([]byte, error) { panic("bug") }

func TestBoundedStorageThatPanicsEndsNoProcess(t *testing.T) {
	s := session.Bounded(panicking{sessiontest.NewStorage()})
	if _, err := s.Load(t.Context(), "a/b"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load: %v", err)
	}
	if _, ok := s.(session.Expirer); ok {
		t.Error("it can do more than the storage")
	}
}

func TestBoundedStorageConforms(t *testing.T) {
	inner := sessiontest.NewStorage()
	sessiontest.Conform(t, func(*testing.T) session.Storage { return session.Bounded(inner) })
}

// deafWorld is a world whose first process has a storage that can hang.
func deafWorld(t *testing.T) (*world, *deaf) {
	w := newWorld(t)
	d := &deaf{inner: w.storage}
	w.a.Storage = session.Bounded(d)
	return w, d
}

// The list of sign-outs cannot be read and storage ignores that nobody waits: requests are refused, in time, and do not queue.
func TestHungDenyListRefusesInTime(t *testing.T) {
	for name, bound := range map[string]func(session.Storage) session.Storage{
		"bounded":  session.Bounded,
		"as it is": func(s session.Storage) session.Storage { return s },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, d := deafWorld(t)
				w.a.Storage = bound(d)
				value := w.seal(w.a, w.start("alice"))
				w.poll(w.a)
				w.clock.Advance(2 * time.Minute)
				d.hang()
				polled := make(chan struct{})
				go func() {
					defer close(polled)
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					_ = w.a.Poll(ctx)
				}()
				synctest.Wait()
				var wg sync.WaitGroup
				for range 2000 {
					wg.Go(func() { w.wantError(w.a, value, session.ErrUnavailable) })
				}
				within(t, "2000 requests", wg.Wait)
				began := time.Now()
				w.wantError(w.a, value, session.ErrUnavailable)
				if took := time.Since(began); took != 0 {
					t.Errorf("one more waited %s again", took)
				}
				if n := d.stuck.Load(); n > 1 {
					t.Errorf("%d listings hang", n)
				}
				d.mend()
				<-polled
				w.clock.Advance(6 * time.Second)
				w.wantOpen(w.a, value)
			})
		})
	}
}

// While the list that was read is no older than a minute, a storage that hangs is no reason to refuse or even to wait.
func TestHungStorageSparesSessionsWhoseListIsFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := deafWorld(t)
		value := w.seal(w.a, w.start("alice"))
		w.poll(w.a)
		d.hang()
		ctx, stop := context.WithCancel(t.Context())
		stopped := make(chan struct{})
		go func() { defer close(stopped); w.a.Run(ctx) }()
		synctest.Wait()
		began := time.Now()
		for range 1000 {
			w.wantOpen(w.a, value)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("1000 requests took %s", took)
		}
		stop()
		d.mend()
		<-stopped
	})
}

// A token is over and storage hangs: at its record, its lock, or when the new tokens are stored.
func TestHungStorageAtRefreshAnswersInTime(t *testing.T) {
	for _, where := range []string{"load", "pool"} {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, d := deafWorld(t)
				s := w.start("alice")
				w.clock.Advance(time.Hour)
				if where == "load" {
					d.hang()
				} else {
					w.pool.During = func() { d.hang() }
				}
				var wg sync.WaitGroup
				for range 100 {
					wg.Go(func() {
						if _, err := w.a.Refresh(t.Context(), s); !errors.Is(err, session.ErrUnavailable) {
							t.Errorf("Refresh: %v", err)
						}
					})
				}
				within(t, "100 requests", wg.Wait)
				w.pool.During = nil
				d.mend()
				w.a.Wait()
				w.clock.Advance(time.Minute)
				if got, err := w.a.Refresh(t.Context(), s); err != nil || got.Generation != 2 {
					t.Errorf("afterwards: generation %d, %v", got.Generation, err)
				}
			})
		})
	}
}

// A cookie of a key that this process does not know yet, while the ring cannot be read: it may be good.
func TestHungKeyRingIsNoVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock, inner := sessiontest.NewClock(), sessiontest.NewStorage()
		d := &deaf{inner: inner}
		k, err := session.OpenKeyRing(t.Context(), d, "ring", session.KeyRingOptions{Now: clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		other := openRing(t, inner, clock)
		if err := other.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		clock.Advance(6 * time.Minute)
		sealed := sealText(t, other, "by a new key")
		d.hang()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if _, err := k.Open(binding, sealed); !errors.Is(err, session.ErrUnavailable) || errors.Is(err, session.ErrInvalid) {
					t.Errorf("Open: %v", err)
				}
			})
		}
		within(t, "100 requests", wg.Wait)
		d.mend()
		clock.Advance(6 * time.Second)
		if _, err := k.Open(binding, sealed); err != nil {
			t.Errorf("Open: %v", err)
		}
	})
}

// Somebody signs out while storage hangs: they read that in time, this process knows of it at once, and the others once storage
// answers.
func TestHungStorageAtSignOutAnswersInTime(t *testing.T) {
	for name, end := range map[string]func(*world, session.Session) error{
		"one session": func(w *world, s session.Session) error { return w.a.End(w.ctx, s) },
		"everywhere":  func(w *world, s session.Session) error { return w.a.EndAll(w.ctx, s.Subject) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, d := deafWorld(t)
				s := w.start("alice")
				value := w.seal(w.a, s)
				w.poll(w.a, w.b)
				w.clock.Advance(time.Second)
				d.hang()
				within(t, "a sign-out", func() {
					if err := end(w, s); !errors.Is(err, session.ErrUnavailable) {
						t.Errorf("sign-out: %v", err)
					}
				})
				w.wantError(w.a, value, session.ErrDenied)
				d.mend()
				w.a.Wait()
				w.poll(w.b)
				w.wantError(w.b, value, session.ErrDenied)
			})
		})
	}
}

// A pool that does not answer holds up no sign-out: it is denied already, and the tokens are revoked afterwards.
func TestSilentPoolAtSignOutAnswersInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.a.Refresher = silentPool{w.pool}
		s := w.start("alice")
		within(t, "a sign-out", func() {
			if err := w.a.End(w.ctx, s); err != nil {
				t.Errorf("End: %v", err)
			}
		})
		w.a.Wait()
	})
}
