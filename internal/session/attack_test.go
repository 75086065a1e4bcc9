package session_test

import (
	"errors"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/internal/session/sessiontest"
)

func TestAttackTruncatedCookie(t *testing.T) {
	w := newWorld(t)
	value := w.seal(w.a, w.start("alice"))
	for n := range len(value) {
		w.wantError(w.a, value[:n], session.ErrInvalid)
		w.wantError(w.a, value[n+1:], session.ErrInvalid)
	}
}

// Every character is authenticated, the last one's spare bits included; so is anything appended.
func TestAttackAlteredCookie(t *testing.T) {
	w := newWorld(t)
	value := w.seal(w.a, w.start("alice"))
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=\n\"% "
	for n := range len(value) {
		for _, c := range []byte(alphabet) {
			if value[n] != c {
				w.wantError(w.a, value[:n]+string(c)+value[n+1:], session.ErrInvalid)
			}
		}
	}
	for _, tail := range []string{"A", "=", "\n", "\r\n", value, "." + value, "\x00"} {
		w.wantError(w.a, value+tail, session.ErrInvalid)
		w.wantError(w.a, tail+value, session.ErrInvalid)
	}
}

// Copying the cookie of one host to another would undo the handoff; another realm has other users; a sealed flow is no session.
func TestAttackCookieSwappedBetweenHostsRealmsAndPurposes(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	value := w.seal(w.a, s)
	for _, other := range []string{"", "evil.example.com", "app.example.com.", "APP.example.com", "app.example.co"} {
		if got, err := w.a.Open(value, other); !errors.Is(err, session.ErrInvalid) || got.ID != "" {
			t.Errorf("host %q: %v", other, err)
		}
	}
	w.b.Settings.Realm = "other"
	w.wantError(w.b, value, session.ErrInvalid)

	plain, err := w.a.Keys.Open(session.Binding{Purpose: "session", Realm: "default", Host: host}, value)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []session.Binding{
		{Purpose: "flow", Realm: "default", Host: host},
		{Purpose: "sessiondefault", Realm: "", Host: host},
		{Purpose: "session", Realm: "defaultapp", Host: ".example.com"},
		{Purpose: "", Realm: "sessiondefault", Host: host},
	} {
		sealed, err := w.a.Keys.Seal(b, plain)
		if err != nil {
			t.Fatal(err)
		}
		w.wantError(w.a, sealed, session.ErrInvalid)
		if _, err := w.a.Keys.Open(b, value); !errors.Is(err, session.ErrInvalid) {
			t.Errorf("a session opens as %+v", b)
		}
	}
}

func TestAttackCookieFromAnotherKeyRing(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	w.wantError(w.a, other.seal(other.a, other.start("alice")), session.ErrInvalid)
}

func TestAttackHugeCookie(t *testing.T) {
	w := newWorld(t)
	value := w.seal(w.a, w.start("alice"))
	w.wantError(w.a, value+strings.Repeat("A", 1<<20), session.ErrInvalid)
	if _, err := w.a.Keys.Open(session.Binding{}, strings.Repeat("A", 1<<20)); !errors.Is(err, session.ErrInvalid) {
		t.Errorf("Open: %v", err)
	}
}

// A thief copied the cookie; the owner signs out. The copy is dead here at once and in every process at its next poll.
func TestAttackCopiedCookieAfterSignOut(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	copied := w.seal(w.a, s)
	w.wantOpen(w.b, copied)
	if err := w.a.End(w.ctx, s); err != nil {
		t.Fatal(err)
	}
	w.wantError(w.a, copied, session.ErrDenied)
	// Before its poll the other process has no tokens to give, and no refresh.
	if _, err := w.b.Tokens(w.ctx, s); !errors.Is(err, session.ErrDenied) {
		t.Errorf("Tokens: %v", err)
	}
	if _, err := w.refresh(w.b, s); !errors.Is(err, session.ErrDenied) {
		t.Errorf("Refresh: %v", err)
	}
	w.poll(w.b)
	w.wantError(w.b, copied, session.ErrDenied)
	w.wantError(sessiontest.NewManager(t, w.storage, w.pool), copied, session.ErrDenied) // after a restart
	if revoked := w.pool.Revoked(); len(revoked) != 1 || revoked[0] != "refresh-1" {
		t.Errorf("revoked %v", revoked)
	}
}

// A cookie of an older generation is put back after sign-out.
func TestAttackDowngradedCookie(t *testing.T) {
	w := newWorld(t)
	old := w.start("alice")
	oldValue := w.seal(w.a, old)
	w.clock.Advance(59 * time.Minute)
	s, err := w.refresh(w.a, old)
	if err != nil || s.Generation != 2 {
		t.Fatalf("Refresh: generation %d, %v", s.Generation, err)
	}
	if err := w.b.End(w.ctx, s); err != nil {
		t.Fatal(err)
	}
	w.poll(w.a)
	w.wantError(w.a, oldValue, session.ErrDenied)
	w.wantError(w.b, oldValue, session.ErrDenied)
	for _, m := range []*session.Manager{w.a, w.b} {
		if got, err := m.Refresh(w.ctx, old); !errors.Is(err, session.ErrDenied) || got.ID != "" {
			t.Errorf("Refresh: %v", err)
		}
		if _, err := m.StepUp(w.ctx, old, w.pool.SignIn("alice"), session.SMS); !errors.Is(err, session.ErrDenied) {
			t.Errorf("StepUp: %v", err)
		}
	}
}

func TestAttackReplayedOneTimeCode(t *testing.T) {
	w := newWorld(t)
	expires := w.clock.Now().Add(time.Minute)
	if err := w.a.PutOnce(w.ctx, "handoff", "code", []byte("value"), expires); err != nil {
		t.Fatal(err)
	}
	var got atomic.Int32
	var wg sync.WaitGroup
	for i := range 50 {
		m := []*session.Manager{w.a, w.b}[i%2]
		wg.Go(func() {
			value, err := m.TakeOnce(w.ctx, "handoff", "code")
			switch {
			case err == nil && string(value) == "value":
				got.Add(1)
			case !errors.Is(err, session.ErrInvalid) || value != nil:
				t.Errorf("TakeOnce = %q, %v", value, err)
			}
		})
	}
	wg.Wait()
	if got.Load() != 1 {
		t.Errorf("taken %d times", got.Load())
	}
}

func TestAttackOneTimeCodeOfAnotherPurposeOrTooLate(t *testing.T) {
	w := newWorld(t)
	put := func(id string) {
		t.Helper()
		if err := w.a.PutOnce(w.ctx, "handoff", id, []byte("value"), w.clock.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	put("code")
	for _, purpose := range []string{"link", "", "handof"} {
		if value, err := w.b.TakeOnce(w.ctx, purpose, "code"); !errors.Is(err, session.ErrInvalid) || value != nil {
			t.Errorf("purpose %q: %q, %v", purpose, value, err)
		}
	}
	if value, err := w.b.TakeOnce(w.ctx, "handoff", "code"); err != nil || string(value) != "value" {
		t.Errorf("the code was burnt by another purpose: %q, %v", value, err)
	}
	put("late")
	w.clock.Advance(time.Minute)
	if value, err := w.b.TakeOnce(w.ctx, "handoff", "late"); !errors.Is(err, session.ErrInvalid) || value != nil {
		t.Errorf("late: %q, %v", value, err)
	}
}

// A storage that cannot delete would make a one-time code one for all times.
func TestOneTimeCodeThatCannotBeRemovedIsNotHandedOut(t *testing.T) {
	w := newWorld(t)
	if err := w.a.PutOnce(w.ctx, "handoff", "code", []byte("value"), w.clock.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	w.storage.Fail(func(op, _ string) error {
		if op == "delete" {
			return errors.New("read-only file system")
		}
		return nil
	})
	if value, err := w.a.TakeOnce(w.ctx, "handoff", "code"); !errors.Is(err, session.ErrUnavailable) || value != nil {
		t.Errorf("TakeOnce = %q, %v", value, err)
	}
}

// The step-up was finished by another user, in this browser or by a swapped answer.
func TestAttackStepUpByAnotherUser(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	for _, f := range []session.Fresh{w.pool.SignIn("mallory"), {}} {
		if got, err := w.a.StepUp(w.ctx, s, f, session.SMS); !errors.Is(err, session.ErrOtherUser) || got.ID != "" {
			t.Errorf("StepUp: %v", err)
		}
	}
	if tokens, err := w.b.Tokens(w.ctx, s); err != nil || tokens.Access != "access-1" {
		t.Errorf("the session has other tokens now: %+v, %v", tokens, err)
	}
}

// The user of a list may only end what is his.
func TestAttackEndingSomebodyElsesSession(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	value := w.seal(w.a, s)
	for _, id := range []string{session.PublicID(s), "", "../" + session.PublicID(s), s.ID} {
		if err := w.a.EndByID(w.ctx, "mallory", id); !errors.Is(err, session.ErrInvalid) {
			t.Errorf("EndByID(%q): %v", id, err)
		}
	}
	w.wantOpen(w.a, value)
	if err := w.b.EndByID(w.ctx, "alice", session.PublicID(s)); err != nil {
		t.Fatal(err)
	}
	w.poll(w.a)
	w.wantError(w.a, value, session.ErrDenied)
}

func FuzzOpen(f *testing.F) {
	clock := sessiontest.NewClock()
	pool := sessiontest.NewPool(clock)
	pool.Groups, pool.Claims = []string{"g"}, map[string]any{"c": []any{"x", 1.0}}
	m := sessiontest.NewManager(f, sessiontest.NewStorage(), pool)
	s, err := m.Start(f.Context(), pool.SignIn("alice"), session.Passkey, session.Device{})
	if err != nil {
		f.Fatal(err)
	}
	value, err := m.Seal(s, host)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(value)
	f.Add("")
	f.Add("AQ")
	f.Add(value[:40])
	f.Fuzz(func(t *testing.T, value string) {
		got, err := m.Open(value, host)
		if err != nil && !reflect.DeepEqual(got, session.Session{}) {
			t.Errorf("a session beside an error: %+v", got)
		}
		if err == nil && got.ID != s.ID {
			t.Errorf("a session nobody started: %+v", got)
		}
	})
}

// FuzzSealedPlaintext gives the decoder bytes that a key holder might have sealed.
func FuzzSealedPlaintext(f *testing.F) {
	clock := sessiontest.NewClock()
	pool := sessiontest.NewPool(clock)
	pool.Groups, pool.Claims = []string{"g"}, map[string]any{"c": []any{"x", 1.0, map[string]any{"y": nil}}}
	m := sessiontest.NewManager(f, sessiontest.NewStorage(), pool)
	s, err := m.Start(f.Context(), pool.SignIn("alice"), session.Passkey, session.Device{})
	if err != nil {
		f.Fatal(err)
	}
	value, err := m.Seal(s, host)
	if err != nil {
		f.Fatal(err)
	}
	binding := session.Binding{Purpose: "session", Realm: "default", Host: host}
	plain, err := m.Keys.Open(binding, value)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain)
	f.Add(plain[:50])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, plain []byte) {
		sealed, err := m.Keys.Seal(binding, plain)
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.Open(sealed, host)
		if err != nil {
			if !reflect.DeepEqual(got, session.Session{}) {
				t.Errorf("a session beside an error: %+v", got)
			}
			return
		}
		again, err := m.Seal(got, host)
		if err != nil {
			t.Fatalf("an opened session cannot be sealed: %v", err)
		}
		if back, err := m.Open(again, host); err != nil || !reflect.DeepEqual(back.Groups, got.Groups) || back.ID != got.ID {
			t.Errorf("sealing again changed the session: %+v, %v", back, err)
		}
	})
}
