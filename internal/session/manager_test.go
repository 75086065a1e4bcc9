package session_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/internal/session/sessiontest"
)

const host = "app.example.com"

// world is a storage, a pool and the processes that share them.
type world struct {
	*testing.T
	ctx     context.Context
	storage *sessiontest.Storage
	clock   *sessiontest.Clock
	pool    *sessiontest.Pool
	a, b    *session.Manager // two processes
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, ctx: t.Context(), storage: sessiontest.NewStorage(), clock: sessiontest.NewClock()}
	w.pool = sessiontest.NewPool(w.clock)
	w.a = sessiontest.NewManager(t, w.storage, w.pool)
	w.b = sessiontest.NewManager(t, w.storage, w.pool)
	return w
}

func (w *world) start(subject string) session.Session {
	w.Helper()
	s, err := w.a.Start(w.ctx, w.pool.SignIn(subject), session.Passkey, session.Device{Address: "192.0.2.1", UserAgent: "Firefox"})
	if err != nil {
		w.Fatal(err)
	}
	return s
}

func (w *world) seal(m *session.Manager, s session.Session) string {
	w.Helper()
	value, err := m.Seal(s, host)
	if err != nil {
		w.Fatal(err)
	}
	return value
}

func (w *world) wantOpen(m *session.Manager, value string) session.Session {
	w.Helper()
	s, err := m.Open(value, host)
	if err != nil {
		w.Fatalf("Open: %v", err)
	}
	return s
}

func (w *world) wantError(m *session.Manager, value string, want error) {
	w.Helper()
	s, err := m.Open(value, host)
	if !errors.Is(err, want) {
		w.Errorf("Open: %v, want %v", err, want)
	}
	if !reflect.DeepEqual(s, session.Session{}) {
		w.Errorf("Open returned a session beside the error: %+v", s)
	}
}

func (w *world) poll(managers ...*session.Manager) {
	w.Helper()
	for _, m := range managers {
		if err := m.Poll(w.ctx); err != nil {
			w.Fatal(err)
		}
	}
}

// refresh is what two requests find, of which the first starts the refresh in the background.
func (w *world) refresh(m *session.Manager, s session.Session) (session.Session, error) {
	if got, err := m.Refresh(w.ctx, s); err != nil {
		return got, err
	}
	m.Wait()
	return m.Refresh(w.ctx, s)
}

func TestCookieCarriesTheSessionToEveryProcess(t *testing.T) {
	w := newWorld(t)
	w.pool.Groups = []string{"admins", "Grüße"}
	w.pool.Claims = map[string]any{
		"custom:tenant": "acme", "limits": map[string]any{"n": 3.5, "deep": []any{true, false, nil, "x"}},
	}
	s := w.start("alice")
	if got := w.wantOpen(w.b, w.seal(w.a, s)); !reflect.DeepEqual(got, s) {
		t.Errorf("opened %+v\nwant   %+v", got, s)
	}
	tokens, err := w.b.Tokens(w.ctx, s)
	if err != nil || tokens.Access != "access-1" || tokens.Refresh != "refresh-1" {
		t.Errorf("Tokens = %+v, %v", tokens, err)
	}
}

func TestOpenDoesNoInputOrOutput(t *testing.T) {
	w := newWorld(t)
	value := w.seal(w.a, w.start("alice"))
	w.wantOpen(w.a, value)
	before := w.storage.Calls("load") + w.storage.Calls("list") + w.storage.Calls("store") + w.storage.Calls("lock")
	for range 100 {
		w.wantOpen(w.a, value)
	}
	if after := w.storage.Calls("load") + w.storage.Calls("list") + w.storage.Calls("store") + w.storage.Calls("lock"); after != before {
		t.Errorf("%d storage calls for 100 requests", after-before)
	}
}

func TestSessionEndsByIdlenessLifetimeAndClock(t *testing.T) {
	for name, test := range map[string]struct {
		advance time.Duration
		touch   bool
		want    error
	}{
		"just used":                       {advance: 8*time.Hour - time.Millisecond},
		"idle":                            {advance: 8 * time.Hour, want: session.ErrIdle},
		"lifetime over, though used":      {advance: 24 * time.Hour, touch: true, want: session.ErrExpired},
		"nearly over, used":               {advance: 24*time.Hour - time.Millisecond, touch: true},
		"another node's clock is ahead":   {advance: -5 * time.Minute},
		"time in the future":              {advance: -5*time.Minute - time.Millisecond, want: session.ErrFuture},
		"far in the future (clock reset)": {advance: -24 * time.Hour, want: session.ErrFuture},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.start("alice")
			w.clock.Advance(test.advance)
			if test.touch {
				s, _ = w.a.Touch(s)
			}
			value := w.seal(w.a, s)
			if test.want != nil {
				w.wantError(w.b, value, test.want)
			} else {
				w.wantOpen(w.b, value)
			}
		})
	}
}

// A factor from the future would stay fresh for ever.
func TestAttackFactorInTheFuture(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	s.Factors = s.Factors.With(session.SMS, w.clock.Now().Add(time.Hour))
	w.wantError(w.a, w.seal(w.a, s), session.ErrFuture)
}

func TestShorterLifetimeHoldsForLivingSessions(t *testing.T) {
	w := newWorld(t)
	value := w.seal(w.a, w.start("alice"))
	w.clock.Advance(2 * time.Hour)
	w.b.Settings.Lifetime = time.Hour
	w.wantError(w.b, value, session.ErrExpired)
}

func TestTouchAdvancesSeenWhenDue(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	if _, due := w.a.Touch(s); due {
		t.Error("a new session is due")
	}
	w.clock.Advance(5 * time.Minute)
	touched, due := w.a.Touch(s)
	if !due || !touched.Seen.Equal(w.clock.Now()) || touched.Ends != s.Ends {
		t.Errorf("Touch = %v, %v", touched.Seen, due)
	}
}

func manyGroups(n int) []string {
	groups := make([]string, n)
	for i := range groups {
		groups[i] = fmt.Sprintf("department-%03d-%x", i, i*7919)
	}
	return groups
}

func TestUserWith200GroupsFitsIntoOneCookie(t *testing.T) {
	w := newWorld(t)
	w.pool.Groups = manyGroups(200)
	s := w.start("alice")
	value := w.seal(w.a, s)
	if len(value) > 3800 {
		t.Fatalf("cookie value of %d bytes", len(value))
	}
	// The process that signed her in has the record at hand, another one loads it.
	if got := w.wantOpen(w.a, value); got.Partial || len(got.Groups) != 200 {
		t.Errorf("first process: partial %v, %d groups", got.Partial, len(got.Groups))
	}
	got := w.wantOpen(w.b, value)
	if !got.Partial || got.Groups != nil {
		t.Fatalf("second process: partial %v, %d groups", got.Partial, len(got.Groups))
	}
	if again := w.wantOpen(w.b, w.seal(w.b, got)); !again.Partial {
		t.Error("sealing a partial session made it whole, without its groups")
	}
	loaded, err := w.b.Load(w.ctx, got)
	if err != nil || !reflect.DeepEqual(loaded, s) {
		t.Errorf("Load: %v, %d groups", err, len(loaded.Groups))
	}
	if got := w.wantOpen(w.b, value); got.Partial || len(got.Groups) != 200 {
		t.Error("the second process did not keep the record at hand")
	}
}

func TestSessionThatCannotFitIsTooLarge(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	s.Email = strings.Repeat("x", 4000)
	if _, err := w.a.Seal(s, host); !errors.Is(err, session.ErrTooLarge) {
		t.Errorf("Seal: %v", err)
	}
}

func TestListShowsTheOwnersSessions(t *testing.T) {
	w := newWorld(t)
	first := w.start("alice")
	w.clock.Advance(time.Minute)
	second := w.start("alice")
	w.start("mallory")
	list, err := w.b.List(w.ctx, "alice")
	if err != nil || len(list) != 2 {
		t.Fatalf("List: %+v, %v", list, err)
	}
	if list[0].ID != session.PublicID(second) || list[1].ID != session.PublicID(first) || list[1].Device.UserAgent != "Firefox" {
		t.Errorf("List = %+v", list)
	}
	if strings.Contains(list[0].ID, second.ID) {
		t.Error("the list gives the sid away")
	}
	w.clock.Advance(24 * time.Hour)
	if list, err := w.b.List(w.ctx, "alice"); err != nil || len(list) != 0 {
		t.Errorf("after their end: %+v, %v", list, err)
	}
}

// Who can list the storage (a backup, a bucket's log) must not learn who has an account.
func TestStoragePathsNameNobody(t *testing.T) {
	w := newWorld(t)
	s := w.start("5b2c7f0e-alice")
	if err := w.a.PutOnce(w.ctx, "handoff", "secret-code", []byte("x"), w.clock.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := w.a.EndAll(w.ctx, "5b2c7f0e-alice"); err != nil {
		t.Fatal(err)
	}
	for _, key := range w.storage.Keys() {
		for _, secret := range []string{"alice", "5b2c7f0e", "example.com", s.ID, "secret-code", "refresh-"} {
			if strings.Contains(key, secret) {
				t.Errorf("storage path %q contains %q", key, secret)
			}
		}
	}
}

func TestTokensAreSealedInStorage(t *testing.T) {
	w := newWorld(t)
	w.start("alice")
	for _, key := range w.storage.Keys() {
		data, err := w.storage.Load(w.ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"refresh-1", "access-1", "alice", "192.0.2.1"} {
			if strings.Contains(string(data), secret) {
				t.Errorf("%s holds %q in the clear", key, secret)
			}
		}
	}
}

// Whoever can write to the storage but has no key puts one record in the place of another.
func TestAttackRecordsSwappedInStorage(t *testing.T) {
	w := newWorld(t)
	alice, mallory := w.start("alice"), w.start("mallory")
	record := func(s session.Session) string { return "passwordless/default/sessions/records/" + session.PublicID(s) }
	data, err := w.storage.Load(w.ctx, record(alice))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.storage.Store(w.ctx, record(mallory), data); err != nil {
		t.Fatal(err)
	}
	if tokens, err := w.b.Tokens(w.ctx, mallory); !errors.Is(err, session.ErrInvalid) || tokens != (session.Tokens{}) {
		t.Errorf("Tokens = %+v, %v", tokens, err)
	}
}

func TestRealmNamesCannotLeaveTheirFolder(t *testing.T) {
	w := newWorld(t)
	w.a.Settings.Realm = "../../certificates"
	w.start("alice")
	for _, key := range w.storage.Keys() {
		if strings.Contains(key, "..") {
			t.Errorf("storage path %q", key)
		}
	}
}

func TestExpiredSessionsLeaveTheStorage(t *testing.T) {
	w := newWorld(t)
	w.start("alice")
	s := w.start("bob")
	if err := w.a.End(w.ctx, s); err != nil {
		t.Fatal(err)
	}
	if err := w.a.PutOnce(w.ctx, "handoff", "nobody took it", nil, w.clock.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(25 * time.Hour)
	session.Tick(w.a, w.ctx)
	for _, key := range w.storage.Keys() {
		for _, folder := range []string{"/records/", "/users/", "/once/", "/denied/s."} {
			if strings.Contains(key, folder) {
				t.Errorf("%s is left", key)
			}
		}
	}
}
