package session_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/internal/session/sessiontest"
)

// hanging is a storage on which listings and loads can be made to hang.
type hanging struct {
	*sessiontest.Storage
	list func()                    // called before every listing
	load func(ctx context.Context) // called before every load
}

func (h hanging) List(ctx context.Context, path string, recursive bool) ([]string, error) {
	if h.list != nil {
		h.list()
	}
	return h.Storage.List(ctx, path, recursive)
}

func (h hanging) Load(ctx context.Context, key string) ([]byte, error) {
	if h.load != nil {
		h.load(ctx)
	}
	return h.Storage.Load(ctx, key)
}

// The storage takes its time over the list while somebody signs out: the stolen cookie must not work until it has answered.
func TestSignOutCountsWhileTheListIsBeingRead(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	value := w.seal(w.a, s)
	w.poll(w.a)
	reading, answer, polled := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	w.a.Storage = hanging{Storage: w.storage, list: func() { reading <- struct{}{}; <-answer }}
	go func() { polled <- w.a.Poll(w.ctx) }()
	<-reading
	if err := w.a.End(w.ctx, s); err != nil {
		t.Error(err)
	}
	w.wantError(w.a, value, session.ErrDenied)
	close(answer)
	if err := <-polled; err != nil {
		t.Error(err)
	}
	w.wantError(w.a, value, session.ErrDenied) // also if the listing was from before
}

// A storage that fails only after 10 seconds must not cost every request that waits 10 more.
func TestSlowFailuresOfTheListDoNotQueueUp(t *testing.T) {
	w := newWorld(t)
	value := w.seal(w.a, w.start("alice"))
	w.poll(w.a)
	w.clock.Advance(2 * time.Minute)
	w.storage.Fail(failList)
	w.a.Storage = hanging{Storage: w.storage, list: func() { w.clock.Advance(10 * time.Second) }}
	w.wantError(w.a, value, session.ErrUnavailable)
	lists := w.storage.Calls("list")
	for range 10 {
		w.wantError(w.a, value, session.ErrUnavailable)
	}
	if n := w.storage.Calls("list") - lists; n != 0 {
		t.Errorf("10 requests after the one that failed listed %d times", n)
	}
}

// The same for the key ring, which cookies with made-up key IDs can have read.
func TestAttackUnknownKeyIDsOnASlowStorage(t *testing.T) {
	storage, clock := sessiontest.NewStorage(), sessiontest.NewClock()
	sealed := sealText(t, openRing(t, sessiontest.NewStorage(), clock), "of another ring")
	slow := hanging{Storage: storage, load: func(context.Context) { clock.Advance(10 * time.Second) }}
	k, err := session.OpenKeyRing(t.Context(), slow, "ring", session.KeyRingOptions{Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Minute)
	loads := storage.Calls("load")
	for range 10 {
		if _, err := k.Open(binding, sealed); !errors.Is(err, session.ErrInvalid) {
			t.Fatalf("Open: %v", err)
		}
	}
	if n := storage.Calls("load") - loads; n != 1 {
		t.Errorf("%d reads", n)
	}
}

// A key ring that does not answer must not keep the deny list from being read: everybody would be refused after a minute.
func TestHangingKeyRingDoesNotStopTheDenyList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock, inner := sessiontest.NewClock(), sessiontest.NewStorage()
		hangs := false
		storage := hanging{Storage: inner, load: func(ctx context.Context) {
			if hangs {
				<-ctx.Done()
			}
		}}
		keys, err := session.OpenKeyRing(t.Context(), storage, "ring", session.KeyRingOptions{Now: clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		m := &session.Manager{Settings: session.Settings{Realm: "default"}, Keys: keys, Storage: inner, Now: clock.Now}
		session.Tick(m, t.Context())
		hangs = true
		for range 3 {
			clock.Advance(time.Minute)
			lists := inner.Calls("list")
			session.Tick(m, t.Context())
			if inner.Calls("list") == lists {
				t.Error("the deny list was not read")
			}
		}
	})
}

// A pool that does not answer when it is to revoke what is left over must not keep a process from hearing of sign-outs elsewhere.
func TestSilentPoolDoesNotStopTheDenyList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.a.Refresher = silentPool{w.pool}
		if err := w.a.End(w.ctx, w.start("bob")); err != nil { // leaves tokens to revoke
			t.Fatal(err)
		}
		w.a.Wait()
		s := w.start("alice")
		value := w.seal(w.a, s)
		ctx, stop := context.WithCancel(w.ctx)
		stopped := make(chan struct{})
		go func() { defer close(stopped); w.a.Run(ctx) }()
		synctest.Wait() // it asks the pool
		if err := w.b.End(w.ctx, s); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		w.wantError(w.a, value, session.ErrDenied)
		stop()
		<-stopped
	})
}

// A denial from before the first reading of the list is not lost by it.
func TestSignOutBeforeTheListIsRead(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	value := w.seal(w.a, s)
	w.storage.Fail(func(op, key string) error {
		if op == "store" && strings.Contains(key, "/denied/s.") {
			return errors.New("disk full")
		}
		return nil
	})
	if err := w.b.End(w.ctx, s); !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("End: %v", err)
	}
	w.storage.Fail(nil)
	w.poll(w.b)
	w.wantError(w.b, value, session.ErrDenied)
}

// slowRevoker is a pool that is asked to revoke while something else goes on.
type slowRevoker struct {
	*sessiontest.Pool
	during func()
}

func (p slowRevoker) Revoke(ctx context.Context, refreshToken string) error {
	p.during()
	return p.Pool.Revoke(ctx, refreshToken)
}

// The pool takes its time to revoke the tokens from before a step-up: the session's other requests do not wait for it.
func TestStepUpHoldsNoLockWhileThePoolRevokes(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	asked := 0
	w.a.Refresher = slowRevoker{w.pool, func() {
		asked++
		soon, cancel := context.WithTimeout(w.ctx, 30*time.Second)
		defer cancel()
		if _, err := w.b.StepUp(soon, s, w.pool.SignIn("alice"), session.EmailCode); err != nil {
			t.Errorf("another step-up: %v", err)
		}
	}}
	if _, err := w.a.StepUp(w.ctx, s, w.pool.SignIn("alice"), session.SMS); err != nil {
		t.Fatal(err)
	}
	if asked != 1 {
		t.Errorf("the pool was asked %d times", asked)
	}
}
