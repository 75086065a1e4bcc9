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
	refreshTimeout = 30 * time.Second // of a refresh, however short requests wait for it
	unreachableFor = 5 * time.Second  // how long a session waits before the pool is asked again
	maxUnreachable = 10000
	// maxBackground bounds the refreshes that run while their access tokens are still valid. Where more are due they are left
	// to later requests of the same sessions.
	maxBackground = 64
)

// flights are the refreshes under way in this process, one a session at most.
type flights struct {
	mu      sync.Mutex
	running map[string]*flight
	failed  map[string]failedFlight // by sid
	others  map[*flight]struct{}    // see promptly
}

type flight struct {
	done chan struct{}
	s    Session // after done, as is err
	err  error
}

type failedFlight struct {
	at  time.Time
	err error
}

// Refresh brings s up to date: if another tab, host or process has refreshed it already it adopts that state, else it trades
// the refresh token. However many requests ask at once, over however many processes, the pool is asked once.
//
// As long as the access token of s is valid Refresh does not wait: it starts the refresh in the background and returns s. After
// that it waits, for 2.5 seconds at most. The caller sets the cookie again if the generation changed.
//
// If the pool refuses, the session is ended and the error is [ErrRefused]. If pool, signing keys or storage do not answer, the
// error is [ErrUnavailable]. A session that was ended elsewhere is [ErrDenied], one whose record cannot be read [ErrDamaged].
func (m *Manager) Refresh(ctx context.Context, s Session) (Session, error) {
	if m.denied.has(publicKeyOf(s.ID)) {
		return Session{}, ErrDenied
	}
	now := m.now()
	if rec, ok := m.records.get(s.ID, s.Generation+1, now); ok {
		if adopted, ok := m.adopt(rec, s); ok {
			return m.refreshed(adopted, nil)
		}
	}
	valid := now.Before(s.AccessExpires)
	f, err := m.fly(ctx, s, valid)
	switch {
	case valid && !errors.Is(err, ErrRefused) && !errors.Is(err, ErrDenied):
		return s, nil
	case err != nil:
		return Session{}, err
	}
	patience := time.NewTimer(answerWithin)
	defer patience.Stop()
	select {
	case <-f.done:
		return m.refreshed(f.s, f.err)
	case <-ctx.Done():
		return Session{}, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	case <-patience.C:
		return Session{}, fmt.Errorf("%w: the refresh takes longer than %s", ErrUnavailable, answerWithin)
	}
}

func (m *Manager) refreshed(s Session, err error) (Session, error) {
	if err == nil {
		err = m.inTime(&s, m.now())
	}
	if err != nil {
		return Session{}, err
	}
	return s, nil
}

// fly joins the refresh of s that is under way, or starts one. It fails with the error of the last one if that is not long ago.
func (m *Manager) fly(ctx context.Context, s Session, background bool) (*flight, error) {
	fl := &m.flights
	fl.mu.Lock()
	defer fl.mu.Unlock()
	if f := fl.running[s.ID]; f != nil {
		return f, nil
	}
	if last, ok := fl.failed[s.ID]; ok {
		if age := m.now().Sub(last.at); age >= 0 && age < unreachableFor {
			return nil, fmt.Errorf("a refresh has just failed: %w", last.err)
		}
		delete(fl.failed, s.ID)
	}
	if background && len(fl.running) >= maxBackground {
		return nil, ErrUnavailable
	}
	if fl.running == nil {
		fl.running, fl.failed = make(map[string]*flight), make(map[string]failedFlight)
	}
	f := &flight{done: make(chan struct{})}
	fl.running[s.ID] = f
	// A client that goes away must not lose the rotated token for all its other requests.
	go m.land(context.WithoutCancel(ctx), f, s)
	return f, nil
}

// land does the refresh of a flight.
func (m *Manager) land(ctx context.Context, f *flight, s Session) {
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil { // a Refresher's bug ends no process
			f.s, f.err = Session{}, fmt.Errorf("%w: refreshing panicked: %v", ErrUnavailable, p)
			m.logger().Error("refreshing a session", "session", PublicID(s), "error", f.err)
		}
		fl := &m.flights
		fl.mu.Lock()
		delete(fl.running, s.ID)
		if f.err != nil {
			if len(fl.failed) >= maxUnreachable {
				clear(fl.failed)
			}
			fl.failed[s.ID] = failedFlight{m.now(), f.err}
		}
		fl.mu.Unlock()
		close(f.done)
	}()
	f.s, f.err = m.refresh(ctx, s)
}

// Wait returns when no refresh and no sign-out is under way. A process that ends earlier may lose a rotated refresh token.
func (m *Manager) Wait() {
	for {
		f := m.flights.any()
		if f == nil {
			return
		}
		<-f.done
	}
}

func (fl *flights) any() *flight {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	for _, f := range fl.running {
		return f
	}
	for f := range fl.others {
		return f
	}
	return nil
}

// refresh does the work of Refresh, for one goroutine of this process at a time.
func (m *Manager) refresh(ctx context.Context, s Session) (Session, error) {
	rec, err := m.recordOf(ctx, s)
	if err != nil {
		return Session{}, err
	}
	if adopted, ok := m.adopt(rec, s); ok {
		return adopted, nil
	}
	unlock, err := m.lockRecord(ctx, publicKeyOf(s.ID))
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
	return m.trade(ctx, rec)
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
	m.traded(rec.Session, why)
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
	next.Tokens, next.OriginJTI, next.Pending = f.Tokens, f.Identity.OriginJTI, nil
	if next.Tokens.Refresh == "" {
		next.Tokens.Refresh, next.Tokens.DeviceKey = rec.Tokens.Refresh, rec.Tokens.DeviceKey
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
