package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

const (
	endTimeout    = 30 * time.Second
	revokeTimeout = 5 * time.Second // of each time that the pool is asked; then it is asked later
)

// End signs a session out: first the sid is denied, in storage and here, then the refresh token is revoked and the record
// deleted. An error means that other processes may not have heard of it; a revocation that fails is no error but retried by
// [Manager.Run].
func (m *Manager) End(ctx context.Context, s Session) error {
	err := m.promptly(ctx, func(ctx context.Context, answer func(error)) {
		answer(m.deny(ctx, s))
		m.discard(ctx, s)
	})
	if err != nil {
		return fmt.Errorf("ending a session: %w", err)
	}
	return nil
}

// discard revokes and deletes the record of a session that is denied already. It takes a time of its own: where several end, a pool that is
// silent about one must not use up that of the others.
func (m *Manager) discard(ctx context.Context, s Session) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	if err := m.discardRecord(ctx, s.ID, publicKeyOf(s.ID)); err != nil {
		m.logger().Warn("ending a session: its tokens may still be good", "session", PublicID(s), "error", err)
	}
}

func (m *Manager) discardRecord(ctx context.Context, sid string, id publicID) error {
	unlock, err := m.lockRecord(ctx, id) // a refresh under way would write the record again
	if err != nil {
		return err
	}
	defer unlock()
	m.records.remove(sid)
	rec, err := m.loadRecord(ctx, id)
	if missing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	err = m.denyOrigin(ctx, rec)
	m.revoke(ctx, rec.Session, rec.Tokens.Refresh)
	m.deleteRecord(ctx, rec)
	return err
}

// denyOrigin denies the tokens of a session to bearers. A token family shares its claim origin_jti over all refreshes.
func (m *Manager) denyOrigin(ctx context.Context, rec record) error {
	if rec.OriginJTI == "" {
		return nil
	}
	expires := rec.Session.Ends
	if rec.Session.AccessExpires.After(expires) {
		expires = rec.Session.AccessExpires
	}
	return m.denyID(ctx, originKeyOf(rec.OriginJTI), expires)
}

// CheckBearer says whether tokens that a client presents itself were signed out: their family by [Manager.End] or a step-up, or
// their user everywhere after authTime. It fails with [ErrDenied]; like [Manager.Open] it does no I/O.
func (m *Manager) CheckBearer(originJTI, subject string, authTime time.Time) error {
	return m.checkSubjectDenied(originKeyOf(originJTI), subject, authTime, m.now())
}

// EndAll signs a user out everywhere: every session that started before now is denied, and the pool ends what other clients hold, where a
// session has an access token to ask it with. A pool that does not answer keeps no session alive.
func (m *Manager) EndAll(ctx context.Context, subject string) error {
	err := m.promptly(ctx, func(ctx context.Context, answer func(error)) { m.endAll(ctx, subject, answer) })
	if err != nil {
		return fmt.Errorf("ending a user's sessions: %w", err)
	}
	return nil
}

func (m *Manager) endAll(ctx context.Context, subject string, answer func(error)) {
	who := m.owner(subject)
	err := m.denyUser(ctx, who)
	entries, listErr := m.index(ctx, who)
	if listErr != nil {
		m.logger().Warn("ending a user's sessions: their tokens are not revoked", "error", listErr)
	}
	var ended []record
	for _, e := range entries {
		rec, loadErr := m.loadRecord(ctx, e.id)
		if missing(loadErr) || loadErr == nil && rec.Session.Subject != subject {
			continue // ended meanwhile, or put on the list by somebody who can write to the storage
		}
		if loadErr != nil {
			m.logger().Warn("ending a user's sessions", "session", e.id.String(), "error", loadErr)
			continue
		}
		// By sid as well: not-before cannot tell what started within this very millisecond.
		err = errors.Join(err, m.deny(ctx, rec.Session))
		ended = append(ended, rec)
	}
	answer(err)
	for _, rec := range ended {
		if m.revokeAll(ctx, rec) {
			break
		}
	}
	for _, rec := range ended {
		m.discard(ctx, rec.Session)
	}
}

// revokeAll has the pool end all of the user's tokens. It comes before the session's own end, which makes the access token worthless. It
// reports whether the pool was asked: with a token that is over there is no asking.
func (m *Manager) revokeAll(ctx context.Context, rec record) bool {
	if m.Refresher == nil || rec.Tokens.Access == "" || !m.now().Before(rec.Session.AccessExpires) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	err := m.Refresher.RevokeAll(ctx, rec.Tokens.Access)
	if err != nil {
		m.logger().Warn("ending a user's tokens at other clients", "session", PublicID(rec.Session), "error", err)
	}
	return !errors.Is(err, ErrRefused)
}

// EndByID ends the session that [Manager.List] shows under id. An id that is not one of the user's sessions is [ErrInvalid].
func (m *Manager) EndByID(ctx context.Context, subject, id string) error {
	entries, err := m.index(ctx, m.owner(subject))
	if err != nil {
		return fmt.Errorf("ending a session: %w", err)
	}
	for _, e := range entries {
		if e.id.String() != id {
			continue
		}
		rec, err := m.loadRecord(ctx, e.id)
		if missing(err) {
			return nil // ended meanwhile
		}
		if err != nil {
			return fmt.Errorf("ending a session: %w", err)
		}
		if rec.Session.Subject != subject {
			return ErrInvalid
		}
		return m.End(ctx, rec.Session)
	}
	return ErrInvalid
}

// pendingRevocation is a refresh token that could not be revoked yet.
type pendingRevocation struct {
	Token string    `json:"token"`
	Until time.Time `json:"until"`
}

// revoke ends a token family. What the pool does not take now is stored, sealed, and tried again by Run.
func (m *Manager) revoke(ctx context.Context, s Session, token string) {
	if token == "" || m.Refresher == nil {
		return
	}
	asking, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	err := m.Refresher.Revoke(asking, token)
	if err == nil || errors.Is(err, ErrRefused) {
		return
	}
	m.logger().Warn("revoking tokens; it will be tried again", "session", PublicID(s), "error", err)
	plaintext, err := json.Marshal(pendingRevocation{Token: token, Until: s.Ends})
	if err == nil {
		err = m.storeSealed(ctx, "revocations", m.Keys.MAC(purposeRevoke, []byte(token)), purposeRevoke, plaintext, s.Ends)
	}
	if err != nil {
		m.logger().Error("a token family stays unrevoked", "session", PublicID(s), "error", err)
	}
}
