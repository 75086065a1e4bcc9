package session_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/internal/session/sessiontest"
)

func failList(op, key string) error {
	if op == "list" && strings.HasSuffix(key, "/denied") {
		return errors.New("i/o timeout")
	}
	return nil
}

func TestUnreadableDenyListFailsClosedAfterAMinute(t *testing.T) {
	w := newWorld(t)
	value := w.seal(w.a, w.start("alice"))
	w.wantOpen(w.a, value)
	w.storage.Fail(failList)
	if err := w.a.Poll(w.ctx); err == nil {
		t.Fatal("Poll succeeded")
	}
	w.clock.Advance(time.Minute)
	w.wantOpen(w.a, value)
	w.clock.Advance(time.Second)
	w.wantError(w.a, value, session.ErrDenied)
	w.wantError(w.a, value, session.ErrUnavailable) // so that the portal keeps the cookie
	lists := w.storage.Calls("list")
	for range 100 {
		w.wantError(w.a, value, session.ErrDenied)
	}
	if n := w.storage.Calls("list") - lists; n > 1 {
		t.Errorf("100 requests listed %d times", n)
	}
	w.storage.Fail(nil)
	w.clock.Advance(5 * time.Second)
	w.wantOpen(w.a, value)
}

func TestDenyListUnreadableFromTheStart(t *testing.T) {
	w := newWorld(t)
	value := w.seal(w.a, w.start("alice"))
	w.storage.Fail(failList)
	w.wantError(w.b, value, session.ErrUnavailable)
}

// The folder is unmounted: an empty listing must not revive those who signed out.
func TestEmptiedDenyListIsNotBelieved(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	value := w.seal(w.a, s)
	if err := w.a.End(w.ctx, s); err != nil {
		t.Fatal(err)
	}
	w.poll(w.a, w.b)
	if err := w.storage.Delete(w.ctx, "passwordless/default/sessions/denied"); err != nil {
		t.Fatal(err)
	}
	if err := w.b.Poll(w.ctx); err == nil {
		t.Error("Poll believed it")
	}
	w.wantError(w.b, value, session.ErrDenied)
	w.clock.Advance(2 * time.Minute)
	w.wantError(w.b, value, session.ErrDenied)
}

func TestSignOutHoldsHereEvenIfStorageFails(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	value := w.seal(w.a, s)
	w.poll(w.a)
	w.storage.Fail(func(op, _ string) error {
		if op == "store" {
			return errors.New("disk full")
		}
		return nil
	})
	if err := w.a.End(w.ctx, s); !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("End: %v; the person must learn that it failed", err)
	}
	w.wantError(w.a, value, session.ErrDenied)
	w.storage.Fail(nil)
	w.poll(w.a)
	w.wantError(w.a, value, session.ErrDenied)
}

func TestEndAllIsANotBefore(t *testing.T) {
	w := newWorld(t)
	one, two, other := w.seal(w.a, w.start("alice")), w.seal(w.a, w.start("alice")), w.seal(w.a, w.start("bob"))
	w.poll(w.a, w.b)
	if err := w.a.EndAll(w.ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	again := w.seal(w.a, w.start("alice")) // within the very same millisecond
	w.poll(w.b)
	for _, m := range []*session.Manager{w.a, w.b, sessiontest.NewManager(t, w.storage, w.pool)} {
		w.wantError(m, one, session.ErrDenied)
		w.wantError(m, two, session.ErrDenied)
		w.wantOpen(m, other)
		w.wantOpen(m, again)
	}
	if revoked := w.pool.Revoked(); len(revoked) != 2 {
		t.Errorf("revoked %v", revoked)
	}
}

// Records and index are gone, say, after a restore: not-before alone still holds.
func TestEndAllHoldsWithoutTheIndex(t *testing.T) {
	w := newWorld(t)
	value := w.seal(w.a, w.start("alice"))
	if err := w.storage.Delete(w.ctx, "passwordless/default/sessions/users"); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(time.Second)
	if err := w.a.EndAll(w.ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	w.wantError(w.a, value, session.ErrDenied)
	w.poll(w.b)
	w.wantError(w.b, value, session.ErrDenied)
}

func TestFailedRevocationIsRetried(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	w.pool.Break(errUnreachable)
	if err := w.a.End(w.ctx, s); err != nil {
		t.Fatal(err)
	}
	session.Tick(w.b, w.ctx)
	w.pool.Break(nil)
	session.Tick(w.b, w.ctx)
	if revoked := w.pool.Revoked(); len(revoked) != 0 {
		t.Errorf("tried again at once: %v", revoked)
	}
	w.clock.Advance(time.Minute)
	session.Tick(w.b, w.ctx)
	if revoked := w.pool.Revoked(); len(revoked) != 1 || revoked[0] != "refresh-1" {
		t.Errorf("revoked %v", revoked)
	}
	for _, key := range w.storage.Keys() {
		if strings.Contains(key, "/revocations/") {
			t.Errorf("%s is left", key)
		}
	}
}

// After sign-out the tokens themselves are still genuine: a bearer must not get in with them.
func TestAttackBearerAfterSignOut(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	check := func(m *session.Manager, origin string, at time.Time, want error) {
		t.Helper()
		if err := m.CheckBearer(origin, "alice", at); !errors.Is(err, want) {
			t.Errorf("CheckBearer(%s): %v, want %v", origin, err, want)
		}
	}
	check(w.a, "origin-1", s.AuthTime, nil)
	stepped, err := w.a.StepUp(w.ctx, s, w.pool.SignIn("alice"), session.SMS)
	if err != nil {
		t.Fatal(err)
	}
	w.poll(w.b)
	check(w.b, "origin-1", s.AuthTime, session.ErrDenied)
	check(w.b, "origin-2", s.AuthTime, nil)
	if err := w.a.End(w.ctx, stepped); err != nil {
		t.Fatal(err)
	}
	w.poll(w.b)
	check(w.b, "origin-2", s.AuthTime, session.ErrDenied)
	check(w.b, "elsewhere", s.AuthTime, nil)
	w.clock.Advance(time.Second)
	if err := w.a.EndAll(w.ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	w.poll(w.b)
	check(w.b, "elsewhere", s.AuthTime, session.ErrDenied)
	check(w.b, "elsewhere", w.clock.Now(), nil)
}

// A machine wakes up with a list of before its sleep, on which nobody was signed out everywhere: the first request must not be judged
// by half of that list and half of the new one.
func TestAttackFirstRequestAfterASleep(t *testing.T) {
	for name, check := range map[string]func(*session.Manager, session.Session) error{
		"session": (*session.Manager).Check,
		"bearer": func(m *session.Manager, s session.Session) error {
			return m.CheckBearer("elsewhere", s.Subject, s.AuthTime)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.start("alice")
			w.poll(w.b)
			w.clock.Advance(time.Second)
			if err := w.a.EndAll(w.ctx, "alice"); err != nil {
				t.Fatal(err)
			}
			w.clock.Advance(2 * time.Minute)
			if err := check(w.b, s); !errors.Is(err, session.ErrDenied) {
				t.Error(err)
			}
		})
	}
}
