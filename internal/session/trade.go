package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

// trade gets new tokens for a record, whose lock is held. A pool that rotates refresh tokens takes each of them once, so the
// new one is stored before anything else can fail: the tokens wait in the record, as Pending, until they are verified.
func (m *Manager) trade(ctx context.Context, rec record) (Session, error) {
	if rec.Pending != nil {
		s, err := m.accept(ctx, rec)
		if !errors.Is(err, ErrStale) {
			return s, err
		}
	}
	if m.Refresher == nil || rec.Tokens.Refresh == "" {
		return Session{}, m.endRefused(ctx, rec, ErrRefused)
	}
	tokens, err := m.Refresher.Refresh(ctx, rec.Tokens)
	if err != nil {
		return m.notTraded(ctx, rec, err)
	}
	if tokens.Refresh == "" {
		tokens.Refresh = rec.Tokens.Refresh // rotation is off
	}
	rotated := tokens.Refresh != rec.Tokens.Refresh
	rec.Pending = &tokens
	rec.Tokens.Refresh, rec.Tokens.DeviceKey = tokens.Refresh, tokens.DeviceKey
	if rotated {
		if err := m.storeRecord(ctx, rec); err != nil {
			m.logger().Error("refreshing a session: the new tokens are lost", "session", PublicID(rec.Session), "error", err)
			return Session{}, fmt.Errorf("%w: refreshing: %w", ErrUnavailable, err)
		}
	}
	s, err := m.accept(ctx, rec)
	if errors.Is(err, ErrStale) {
		err = fmt.Errorf("%w: %w: %w", ErrUnavailable, ErrUnverified, err)
	}
	if errors.Is(err, ErrUnverified) {
		m.traded(rec.Session, err)
	}
	return s, err
}

// accept verifies the pending tokens of a record and makes them the session's. Tokens that cannot be verified now stay pending;
// forged ones and those of another user end the session.
func (m *Manager) accept(ctx context.Context, rec record) (Session, error) {
	id, err := m.Refresher.Verify(ctx, *rec.Pending)
	switch {
	case errors.Is(err, ErrStale):
		return Session{}, err
	case errors.Is(err, ErrRefused):
		return Session{}, m.endRefused(ctx, rec, err)
	case err != nil:
		m.unverified.log(m, slog.LevelError, "refreshing a session: the new tokens cannot be verified yet and are kept until they can",
			"session", PublicID(rec.Session), "error", err)
		return Session{}, fmt.Errorf("%w: %w: %w", ErrUnavailable, ErrUnverified, err)
	case id.Subject != rec.Session.Subject:
		return Session{}, m.endRefused(ctx, rec, fmt.Errorf("%w: it answered for another user", ErrRefused))
	case id.EmailVerified && unproven(rec.Session):
		return Session{}, m.endStranger(ctx, rec, rec.Tokens.Refresh)
	}
	next := rec
	next.Session = m.withIdentity(rec.Session, id)
	next.Session.Generation++
	next.Session.Seen = m.instant()
	next.Tokens, next.Pending = *rec.Pending, nil
	if err := m.storeRecord(ctx, next); err != nil {
		return Session{}, fmt.Errorf("%w: refreshing: %w", ErrUnavailable, err)
	}
	m.traded(next.Session, nil)
	return next.Session, nil
}

// notTraded decides what becomes of a session for which the pool gave no tokens.
func (m *Manager) notTraded(ctx context.Context, rec record, err error) (Session, error) {
	refused := errors.Is(err, ErrRefused)
	doubtful := errors.Is(err, ErrDoubtful)
	if !refused && !doubtful {
		m.logger().Warn("refreshing a session: the user pool cannot be asked", "session", PublicID(rec.Session), "error", err)
		return Session{}, fmt.Errorf("%w: refreshing: %w", ErrUnavailable, err)
	}
	// Locks of some storages can be lost: perhaps another process has traded the token meanwhile.
	if newer, loadErr := m.recordOf(ctx, rec.Session); loadErr == nil && newer.Tokens.Refresh != rec.Tokens.Refresh {
		if adopted, ok := m.adopt(newer, rec.Session); ok {
			return adopted, nil
		}
		return Session{}, fmt.Errorf("%w: another process is refreshing the session", ErrUnavailable)
	}
	if doubtful {
		if m.now().Before(rec.Session.AccessExpires) {
			m.logger().Error("refreshing a session: the user pool refuses; the session is kept until its access token ends",
				"session", PublicID(rec.Session), "error", err)
			m.traded(rec.Session, err)
			return Session{}, fmt.Errorf("%w: refreshing: %w", ErrUnavailable, err)
		}
		err = fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return Session{}, m.endRefused(ctx, rec, err)
}

// traded reports what came of an attempt to get new tokens.
func (m *Manager) traded(s Session, err error) {
	if m.Traded != nil {
		m.Traded(s, err)
	}
}
