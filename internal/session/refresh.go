package session

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"
)

const (
	refreshTimeout = 30 * time.Second
	unreachableFor = 5 * time.Second // how long a session waits before the pool is asked again
	maxUnreachable = 10000
)

// flights lets one goroutine refresh a session while the others of this process wait for what it finds.
type flights struct {
	mu      sync.Mutex
	running map[string]*flight
	failed  map[string]time.Time // sid → when its refresh could not be done
}

type flight struct {
	done chan struct{}
	s    Session
	err  error
}

// Refresh brings s up to date: if another tab, host or process has refreshed it already it adopts that state, else it trades
// the refresh token. However many requests ask at once, over however many processes, the pool is asked once. The caller sets
// the cookie again if the generation changed.
//
// If the pool refuses, the session is ended and the error is [ErrRefused]. If the pool or storage cannot be reached, s is
// returned unchanged as long as its access token is valid, then the error is [ErrUnavailable]. A session that was ended
// elsewhere is [ErrDenied].
func (m *Manager) Refresh(ctx context.Context, s Session) (Session, error) {
	fresh, err := m.refreshOnce(ctx, s)
	if err == nil {
		if err := m.inTime(&fresh, m.now()); err != nil {
			return Session{}, err
		}
		return fresh, nil
	}
	if errors.Is(err, ErrUnavailable) && m.now().Before(s.AccessExpires) {
		return s, nil
	}
	return Session{}, err
}

func (m *Manager) refreshOnce(ctx context.Context, s Session) (Session, error) {
	fl := &m.flights
	fl.mu.Lock()
	if f := fl.running[s.ID]; f != nil {
		fl.mu.Unlock()
		select {
		case <-f.done:
			return f.s, f.err
		case <-ctx.Done():
			return Session{}, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
		}
	}
	if at, ok := fl.failed[s.ID]; ok {
		if age := m.now().Sub(at); age >= 0 && age < unreachableFor {
			fl.mu.Unlock()
			return Session{}, fmt.Errorf("%w: a refresh has just failed", ErrUnavailable)
		}
		delete(fl.failed, s.ID)
	}
	f := &flight{done: make(chan struct{}), err: ErrUnavailable}
	if fl.running == nil {
		fl.running, fl.failed = make(map[string]*flight), make(map[string]time.Time)
	}
	fl.running[s.ID] = f
	fl.mu.Unlock()

	defer func() { // also when a Refresher panics: nobody must wait for ever
		fl.mu.Lock()
		delete(fl.running, s.ID)
		if errors.Is(f.err, ErrUnavailable) {
			if len(fl.failed) >= maxUnreachable {
				clear(fl.failed)
			}
			fl.failed[s.ID] = m.now()
		}
		fl.mu.Unlock()
		close(f.done)
	}()
	// A client that goes away must not lose the rotated token for all its other requests.
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), refreshTimeout)
	defer cancel()
	f.s, f.err = m.refresh(work, s)
	return f.s, f.err
}

// refresh does the work of Refresh, for one goroutine of this process at a time.
func (m *Manager) refresh(ctx context.Context, s Session) (Session, error) {
	id := publicKeyOf(s.ID)
	rec, err := m.recordOf(ctx, s)
	if err != nil {
		return Session{}, err
	}
	if adopted, ok := m.adopt(rec, s); ok {
		return adopted, nil
	}
	unlock, err := m.lockRecord(ctx, id)
	if err != nil {
		return Session{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer unlock()
	if rec, err = m.recordOf(ctx, s); err != nil {
		return Session{}, err
	}
	if adopted, ok := m.adopt(rec, s); ok {
		return adopted, nil
	}
	if m.Refresher == nil || rec.Tokens.Refresh == "" {
		return Session{}, m.endRefused(ctx, rec, ErrRefused)
	}
	f, err := m.Refresher.Refresh(ctx, rec.Tokens.Refresh)
	switch {
	case errors.Is(err, ErrRefused):
		// Locks of some storages can be lost: perhaps another process has traded the token meanwhile.
		if newer, loadErr := m.recordOf(ctx, s); loadErr == nil && newer.Session.Generation > rec.Session.Generation {
			if adopted, ok := m.adopt(newer, s); ok {
				return adopted, nil
			}
		}
		return Session{}, m.endRefused(ctx, rec, err)
	case err != nil:
		m.logger().Warn("refreshing a session: the user pool cannot be reached", "session", id.String(), "error", err)
		return Session{}, fmt.Errorf("%w: refreshing: %w", ErrUnavailable, err)
	case f.Identity.Subject != rec.Session.Subject:
		return Session{}, m.endRefused(ctx, rec, fmt.Errorf("%w: it answered for another user", ErrRefused))
	case f.Identity.EmailVerified && unproven(rec.Session):
		return Session{}, m.endStranger(ctx, rec, f.Tokens.Refresh)
	}
	if f.Tokens.Refresh == "" {
		f.Tokens.Refresh = rec.Tokens.Refresh // rotation is off
	}
	next := rec
	next.Session = m.withIdentity(rec.Session, f.Identity)
	next.Session.Generation++
	next.Session.Seen = m.instant()
	next.Tokens = f.Tokens
	if err := m.storeRecord(ctx, next); err != nil {
		m.logger().Error("refreshing a session: the new tokens are lost", "session", id.String(), "error", err)
		return Session{}, fmt.Errorf("%w: refreshing: %w", ErrUnavailable, err)
	}
	return next.Session, nil
}

// recordOf reads the record of s past the cache.
func (m *Manager) recordOf(ctx context.Context, s Session) (record, error) {
	if m.denied.has(publicKeyOf(s.ID)) {
		return record{}, ErrDenied
	}
	m.records.remove(s.ID)
	return m.current(ctx, s)
}

// adopt takes the record's state if its tokens are still good: s is of an older generation, or was refreshed by somebody else.
func (m *Manager) adopt(rec record, s Session) (Session, bool) {
	if rec.Session.Generation < s.Generation || m.NeedsRefresh(rec.Session) {
		return Session{}, false
	}
	adopted := rec.Session
	adopted.Seen = m.instant()
	return adopted, true
}

// endRefused ends a session whose refresh token is worth nothing any more, and returns why.
func (m *Manager) endRefused(ctx context.Context, rec record, why error) error {
	if err := m.deny(ctx, rec.Session); err != nil {
		m.logger().Error("ending a refused session", "session", PublicID(rec.Session), "error", err)
	}
	if err := m.denyOrigin(ctx, rec); err != nil {
		m.logger().Error("ending a refused session", "session", PublicID(rec.Session), "error", err)
	}
	m.deleteRecord(ctx, rec)
	return fmt.Errorf("refreshing a session: %w", why)
}

// StepUp records that the person of s has passed a further factor, with the tokens that brought. Those replace the old ones,
// whose family is revoked. Tokens of somebody else are [ErrOtherUser] and change nothing; the session's absolute end stays. also are
// factors for which this one stands in.
func (m *Manager) StepUp(ctx context.Context, s Session, f Fresh, factor Factor, also ...Factor) (Session, error) {
	if f.Identity.Subject == "" || f.Identity.Subject != s.Subject {
		return Session{}, ErrOtherUser
	}
	rec, next, err := m.stepUp(ctx, s, f, factor, also)
	if err != nil {
		return Session{}, err
	}
	old := rec.Tokens.Refresh
	if old != "" && old != next.Tokens.Refresh {
		if rec.OriginJTI != next.OriginJTI {
			if err := m.denyOrigin(ctx, rec); err != nil {
				m.logger().Warn("stepping up: the old tokens may still be good", "session", PublicID(s), "error", err)
			}
		}
		m.revoke(ctx, next.Session, old)
	}
	return next.Session, nil
}

// stepUp changes the record under its lock, and returns what it was and is. The pool is asked for nothing meanwhile but to end strangers.
func (m *Manager) stepUp(ctx context.Context, s Session, f Fresh, factor Factor, also []Factor) (rec, next record, err error) {
	unlock, err := m.lockRecord(ctx, publicKeyOf(s.ID))
	if err != nil {
		return record{}, record{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer unlock()
	if rec, err = m.recordOf(ctx, s); err != nil {
		return record{}, record{}, err
	}
	if err := m.inTime(&rec.Session, m.now()); err != nil && !errors.Is(err, ErrIdle) { // the record's Seen lags behind the cookie's
		return record{}, record{}, err
	}
	now := m.instant()
	next = rec
	next.Session = m.withIdentity(rec.Session, f.Identity)
	next.Session.Generation++
	next.Session.Seen = now
	next.Session.Factors = rec.Session.Factors.With(factor, now)
	for _, more := range also {
		next.Session.Factors = next.Session.Factors.With(more, now)
	}
	next.Tokens, next.OriginJTI = f.Tokens, f.Identity.OriginJTI
	if next.Tokens.Refresh == "" {
		next.Tokens.Refresh = rec.Tokens.Refresh
	}
	if f.Identity.EmailVerified && unproven(rec.Session) {
		if factor != MagicLink && factor != EmailCode {
			return record{}, record{}, m.endStranger(ctx, rec, next.Tokens.Refresh)
		}
		if err := m.endUnproven(ctx, s.Subject, s.ID); err != nil {
			return record{}, record{}, err
		}
	}
	if err := m.storeRecord(ctx, next); err != nil {
		return record{}, record{}, fmt.Errorf("%w: stepping up: %w", ErrUnavailable, err)
	}
	return rec, next, nil
}

// missing says that storage has no such key, as opposed to not answering.
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
