package session_test

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
)

var errNoKeys = errors.New("fetching the JWKS: status 500")

// The pool rotates a refresh token, and then its keys cannot be fetched. The pool takes the old token no more: the new one must be in
// the record, whoever looks after it next.
func TestOutageOfTheKeysLosesNoRotatedToken(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	w.clock.Advance(time.Hour)
	w.pool.BreakKeys(errNoKeys)
	for range 3 {
		got, err := w.a.Refresh(w.ctx, s)
		if !errors.Is(err, session.ErrUnavailable) || errors.Is(err, session.ErrRefused) || got.ID != "" {
			t.Fatalf("Refresh: %+v, %v", got, err)
		}
		w.clock.Advance(10 * time.Minute)
	}
	if n := w.pool.Refreshes(); n != 1 {
		t.Errorf("the pool was asked %d times", n)
	}
	w.pool.BreakKeys(nil)
	got, err := w.b.Refresh(w.ctx, s)
	if err != nil || got.Generation != 2 || w.b.NeedsRefresh(got) {
		t.Fatalf("once the keys are back: generation %d, %v", got.Generation, err)
	}
	if tokens, err := w.b.Tokens(w.ctx, got); err != nil || tokens.Refresh != "refresh-2" || tokens.Access != "access-2" {
		t.Errorf("tokens %+v, %v", tokens, err)
	}
	if n := w.pool.Refreshes(); n != 1 {
		t.Errorf("the pool was asked %d times", n)
	}
}

// Nothing of unverified tokens is used: while the old access token is valid the session is what it was.
func TestOutageOfTheKeysKeepsTheOldClaims(t *testing.T) {
	w := newWorld(t)
	w.pool.Groups = []string{"staff"}
	s := w.start("alice")
	w.pool.Groups = []string{"admins"}
	w.pool.BreakKeys(errNoKeys)
	w.clock.Advance(59*time.Minute + 10*time.Second)
	got, err := w.refresh(w.a, s)
	if err != nil || got.Generation != 1 || !slices.Equal(got.Groups, []string{"staff"}) {
		t.Errorf("generation %d, groups %v, %v", got.Generation, got.Groups, err)
	}
	if tokens, err := w.a.Tokens(w.ctx, s); err != nil || tokens.Access != "access-1" {
		t.Errorf("tokens %+v, %v", tokens, err)
	}
	w.pool.BreakKeys(nil)
	w.clock.Advance(6 * time.Second)
	if got, err = w.refresh(w.a, s); err != nil || got.Generation != 2 || !slices.Equal(got.Groups, []string{"admins"}) {
		t.Errorf("generation %d, groups %v, %v", got.Generation, got.Groups, err)
	}
}

// An outage that outlasts the tokens that wait: they are traded again, by the refresh token that came with them.
func TestOutageOfTheKeysOutlastsTheNewTokens(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	w.clock.Advance(time.Hour)
	w.pool.BreakKeys(errNoKeys)
	if _, err := w.a.Refresh(w.ctx, s); !errors.Is(err, session.ErrUnavailable) {
		t.Fatal(err)
	}
	w.pool.BreakKeys(nil)
	w.clock.Advance(2 * time.Hour)
	if got, err := w.b.Refresh(w.ctx, s); err != nil || got.Generation != 2 || w.pool.Refreshes() != 2 {
		t.Errorf("generation %d after %d refreshes, %v", got.Generation, w.pool.Refreshes(), err)
	}
}

// Who signs out, or steps up, while new tokens wait leaves no living refresh token behind.
func TestTokensThatWaitEndWithTheSession(t *testing.T) {
	for name, end := range map[string]func(*world, session.Session) error{
		"sign-out":   func(w *world, s session.Session) error { return w.b.End(w.ctx, s) },
		"everywhere": func(w *world, s session.Session) error { return w.b.EndAll(w.ctx, s.Subject) },
		"step-up": func(w *world, s session.Session) error {
			stepped, err := w.b.StepUp(w.ctx, s, w.pool.SignIn("alice"), session.SMS)
			if err != nil {
				return err
			}
			w.clock.Advance(time.Hour)
			if got, err := w.b.Refresh(w.ctx, stepped); err != nil || got.Generation != 3 {
				w.Errorf("after the step-up: generation %d, %v", got.Generation, err)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.start("alice")
			w.clock.Advance(time.Hour)
			w.pool.BreakKeys(errNoKeys)
			if _, err := w.a.Refresh(w.ctx, s); !errors.Is(err, session.ErrUnavailable) {
				t.Fatal(err)
			}
			w.pool.BreakKeys(nil)
			if err := end(w, s); err != nil {
				t.Fatal(err)
			}
			if revoked := w.pool.Revoked(); !slices.Contains(revoked, "refresh-2") {
				t.Errorf("revoked %v", revoked)
			}
		})
	}
}

// Attack: whoever sits between us and the pool answers a refresh with tokens of their own making.
func TestAttackForgedTokensAtRefresh(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	value := w.seal(w.a, s)
	w.clock.Advance(time.Hour)
	w.pool.BreakKeys(session.ErrRefused)
	if got, err := w.a.Refresh(w.ctx, s); !errors.Is(err, session.ErrRefused) || got.ID != "" {
		t.Errorf("Refresh: %+v, %v", got, err)
	}
	w.wantError(w.a, value, session.ErrDenied)
}

// The operator's metrics and audit log hear of both ways in which a refresh fails.
func TestFailedRefreshesAreReported(t *testing.T) {
	w := newWorld(t)
	var reported []error
	w.a.Traded = func(_ session.Session, err error) { reported = append(reported, err) }
	s := w.start("alice")
	w.clock.Advance(time.Hour)
	w.pool.BreakKeys(errNoKeys)
	_, _ = w.a.Refresh(w.ctx, s)
	w.clock.Advance(time.Minute)
	_, _ = w.a.Refresh(w.ctx, s) // the same tokens, still waiting
	w.clock.Advance(2 * time.Hour)
	w.pool.BreakKeys(nil)
	w.pool.Break(session.ErrRefused)
	_, _ = w.a.Refresh(w.ctx, s)
	if len(reported) != 2 || !errors.Is(reported[0], session.ErrUnverified) || !errors.Is(reported[1], session.ErrRefused) {
		t.Errorf("reported %v", reported)
	}
}

// A refusal whose reason may be the pool's configuration ends no session before its time.
func TestDoubtfulRefusalKeepsTheSessionUntilItsTokenEnds(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	w.pool.Break(session.ErrDoubtful)
	w.clock.Advance(59*time.Minute + 30*time.Second)
	if got, err := w.refresh(w.a, s); err != nil || got.Generation != 1 || w.pool.Refreshes() != 1 {
		t.Errorf("generation %d after %d refreshes, %v", got.Generation, w.pool.Refreshes(), err)
	}
	w.wantOpen(w.b, w.seal(w.a, s))
	w.clock.Advance(time.Minute)
	if _, err := w.a.Refresh(w.ctx, s); !errors.Is(err, session.ErrRefused) {
		t.Errorf("once the token is over: %v", err)
	}
	w.poll(w.b)
	w.wantError(w.b, w.seal(w.a, s), session.ErrDenied)
}

// logged lets a manager log into a buffer.
func logged(m *session.Manager) *bytes.Buffer {
	var lines bytes.Buffer
	m.Logger = slog.New(slog.NewTextHandler(&lines, nil))
	return &lines
}

// Half a record, as a full disk leaves it: the operator reads what happened, and it is not told as a refusal by the pool.
func TestDamagedRecordHasItsOwnReason(t *testing.T) {
	w := newWorld(t)
	s := w.start("alice")
	lines := logged(w.b)
	for _, key := range w.storage.Keys() {
		if strings.Contains(key, "/records/") {
			raw, err := w.storage.Load(w.ctx, key)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.storage.Store(w.ctx, key, raw[:len(raw)/2]); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.clock.Advance(time.Hour)
	for range 5 {
		_, err := w.b.Refresh(w.ctx, s)
		if !errors.Is(err, session.ErrDamaged) || !errors.Is(err, session.ErrInvalid) || errors.Is(err, session.ErrRefused) {
			t.Errorf("Refresh: %v", err)
		}
		if _, err := w.b.Tokens(w.ctx, s); !errors.Is(err, session.ErrDamaged) {
			t.Errorf("Tokens: %v", err)
		}
	}
	if text := lines.String(); strings.Count(text, session.PublicID(s)) != 1 || w.pool.Refreshes() != 0 {
		t.Errorf("logged %s", text)
	}
}

// A node whose clock is 6 minutes ahead signs people in: every other node says so, once a minute, and not with every request.
func TestCookieFromTheFutureIsLogged(t *testing.T) {
	w := newWorld(t)
	w.a.Now = func() time.Time { return w.clock.Now().Add(6 * time.Minute) }
	value := w.seal(w.a, w.start("alice"))
	lines := logged(w.b)
	for range 3 {
		for range 100 {
			w.wantError(w.b, value, session.ErrFuture)
		}
		w.clock.Advance(20 * time.Second)
	}
	if n := strings.Count(lines.String(), "clock"); n != 1 || strings.Contains(lines.String(), "alice") {
		t.Errorf("logged %d times: %s", n, lines)
	}
	w.clock.Advance(-60 * time.Second)
	w.wantError(w.b, value, session.ErrFuture) // a clock that was put back
	w.clock.Advance(119 * time.Second)
	w.wantOpen(w.b, value)
}
