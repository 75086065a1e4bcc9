package session

import (
	"context"
	"errors"
	"fmt"
)

// Whoever registers somebody else's address before its owner does, adds a passkey and signs in has a session that the owner
// knows nothing of. When the owner proves the address at last, the user pool drops the passkeys from before; their sessions
// have to go as well, or the stranger would stay. Such a session has an address, never had it verified, and no proof from its
// mailbox.

// unproven says that nobody has shown that the session's address belongs to its user.
func unproven(s Session) bool {
	if s.EmailVerified || s.Email == "" {
		return false
	}
	return !s.Factors.Has(MagicLink) && !s.Factors.Has(EmailCode)
}

// endUnproven ends a user's sessions from before the address was verified, apart from the one with the ID keep. They must be
// ended before a verified session begins, so a failure is an error.
func (m *Manager) endUnproven(ctx context.Context, subject, keep string) error {
	entries, err := m.index(ctx, m.owner(subject))
	if err != nil {
		return fmt.Errorf("ending sessions with an unverified address: %w", err)
	}
	for _, e := range entries {
		rec, err := m.loadRecord(ctx, e.id)
		switch {
		case missing(err), errors.Is(err, ErrInvalid): // ended meanwhile; or unreadable, which opens nothing
			continue
		case err != nil:
			return fmt.Errorf("%w: ending sessions with an unverified address: %w", ErrUnavailable, err)
		}
		if rec.Session.ID == keep || rec.Session.Subject != subject || !unproven(rec.Session) {
			continue
		}
		m.logger().Warn("ending a session that began before its user's address was verified", "session", e.id.String())
		if err := m.End(ctx, rec.Session); err != nil {
			return err
		}
	}
	return nil
}

// endStranger ends a session that finds its address verified by somebody, and says why. The newest tokens go with it.
func (m *Manager) endStranger(ctx context.Context, rec record, newest string) error {
	m.revoke(ctx, rec.Session, rec.Tokens.Refresh)
	if newest != rec.Tokens.Refresh {
		m.revoke(ctx, rec.Session, newest)
	}
	return m.endRefused(ctx, rec, fmt.Errorf("%w: its address was verified since, perhaps by another person", ErrRefused))
}
