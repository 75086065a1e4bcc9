package session

import (
	"container/list"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"
)

const (
	cachedRecords = 1024
	cacheFor      = time.Minute // another process may have changed a record since
	storeAttempts = 3
	lockTimeout   = 10 * time.Second // longer than a lock outlives its holder
)

// record is what storage holds of a session, sealed.
type record struct {
	Session   Session `json:"session"`
	Tokens    Tokens  `json:"tokens"`
	OriginJTI string  `json:"originJti,omitempty"`
	Device    Device  `json:"device"`
	// Pending are tokens that the pool gave and that could not be verified yet. Their refresh token is in Tokens already.
	Pending *Tokens `json:"pending,omitempty"`
}

// complete gives a partial session the groups and claims of its record.
func (r record) complete(s Session) Session {
	s.Groups, s.Claims, s.Partial = r.Session.Groups, r.Session.Claims, false
	return s
}

func (m *Manager) recordPath(id publicID) string { return m.path("records", id.String()) }

// recordBinding ties a record to its place: one record cannot be put in another's.
func (m *Manager) recordBinding(id publicID) Binding {
	return Binding{Purpose: purposeRecord, Realm: m.Settings.Realm, Host: id.String()}
}

// loadRecord reads a session's record. A missing one is fs.ErrNotExist, a damaged one [ErrDamaged].
func (m *Manager) loadRecord(ctx context.Context, id publicID) (record, error) {
	raw, err := m.Storage.Load(ctx, m.recordPath(id))
	if err != nil {
		return record{}, err
	}
	var rec record
	plaintext, err := m.Keys.openBytes(m.recordBinding(id), append([]byte(nil), raw...))
	if errors.Is(err, ErrUnavailable) {
		return record{}, err
	}
	if err != nil || json.Unmarshal(plaintext, &rec) != nil || publicKeyOf(rec.Session.ID) != id {
		m.damaged.log(m, slog.LevelError, "the record of a session cannot be read; its user has to sign in again", "session", id.String(), "bytes", len(raw))
		return record{}, ErrDamaged
	}
	return rec, nil
}

// storeRecord writes a record, trying again where storage stumbles: after a refresh the tokens in it exist nowhere else.
func (m *Manager) storeRecord(ctx context.Context, rec record) error {
	id := publicKeyOf(rec.Session.ID)
	plaintext, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("encoding the record: %w", err)
	}
	sealed, err := m.Keys.sealBytes(m.recordBinding(id), plaintext)
	if err != nil {
		return err
	}
	for range storeAttempts {
		if err = m.store(ctx, m.recordPath(id), sealed, rec.Session.Ends); err == nil {
			m.records.put(rec, m.now())
			return nil
		}
	}
	return fmt.Errorf("storing the record: %w", err)
}

// deleteRecord removes a record and its index entry. What fails here the sweep removes later; the session is denied already.
func (m *Manager) deleteRecord(ctx context.Context, rec record) {
	id := publicKeyOf(rec.Session.ID)
	m.records.remove(rec.Session.ID)
	err := errors.Join(
		m.Storage.Delete(ctx, m.recordPath(id)),
		m.Storage.Delete(ctx, m.indexPath(rec.Session)),
	)
	if err != nil {
		m.logger().Warn("deleting a session record", "session", id.String(), "error", err)
	}
}

// lockRecord takes a session's lock over all processes. The function it returns releases it.
func (m *Manager) lockRecord(ctx context.Context, id publicID) (func(), error) {
	name := lockName(m.path(), id.String())
	waiting, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	if err := m.Storage.Lock(waiting, name); err != nil {
		return nil, fmt.Errorf("locking a session: %w", err)
	}
	return func() {
		if err := m.Storage.Unlock(context.WithoutCancel(ctx), name); err != nil {
			m.logger().Warn("unlocking a session", "session", id.String(), "error", err)
		}
	}, nil
}

// current returns the record of s, from the cache if it is no older than s.
func (m *Manager) current(ctx context.Context, s Session) (record, error) {
	now := m.now()
	if rec, ok := m.records.get(s.ID, s.Generation, now); ok {
		return rec, nil
	}
	rec, err := m.loadRecord(ctx, publicKeyOf(s.ID))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return record{}, ErrDenied // ended, and its deny entry has not reached us
	case errors.Is(err, ErrInvalid):
		return record{}, err
	case err != nil:
		return record{}, fmt.Errorf("%w: loading the record: %w", ErrUnavailable, err)
	}
	if rec.Session.Subject != s.Subject {
		return record{}, ErrInvalid
	}
	m.records.put(rec, now)
	return rec, nil
}

// Tokens returns the session's tokens, of its own generation or a newer one. It fails with [ErrDenied] if the session was
// ended, with [ErrUnavailable] if storage cannot be read.
func (m *Manager) Tokens(ctx context.Context, s Session) (Tokens, error) {
	rec, err := m.current(ctx, s)
	if err != nil {
		return Tokens{}, err
	}
	return rec.Tokens, nil
}

// Load completes a Partial session from its record; any other is returned as it is. Errors are those of [Manager.Tokens].
func (m *Manager) Load(ctx context.Context, s Session) (Session, error) {
	if !s.Partial {
		return s, nil
	}
	rec, err := m.current(ctx, s)
	if err != nil {
		return Session{}, err
	}
	return rec.complete(s), nil
}

// recordCache keeps the most recently used records, at most cachedRecords. The zero value is ready.
type recordCache struct {
	mu      sync.Mutex
	byID    map[string]*list.Element
	recency list.List // of *cachedRecord, most recent first
}

type cachedRecord struct {
	rec record
	at  time.Time
}

func (c *recordCache) get(sid string, generation uint64, now time.Time) (record, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byID[sid]
	if e == nil {
		return record{}, false
	}
	entry := e.Value.(*cachedRecord)
	if entry.rec.Session.Generation < generation || now.Sub(entry.at) > cacheFor {
		return record{}, false
	}
	c.recency.MoveToFront(e)
	return entry.rec, true
}

func (c *recordCache) put(rec record, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID == nil {
		c.byID = make(map[string]*list.Element)
	}
	if e := c.byID[rec.Session.ID]; e != nil {
		if entry := e.Value.(*cachedRecord); rec.Session.Generation >= entry.rec.Session.Generation {
			*entry = cachedRecord{rec, now}
		}
		c.recency.MoveToFront(e)
		return
	}
	c.byID[rec.Session.ID] = c.recency.PushFront(&cachedRecord{rec, now})
	if c.recency.Len() > cachedRecords {
		oldest := c.recency.Back()
		delete(c.byID, oldest.Value.(*cachedRecord).rec.Session.ID)
		c.recency.Remove(oldest)
	}
}

func (c *recordCache) remove(sid string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byID[sid]; e != nil {
		delete(c.byID, sid)
		c.recency.Remove(e)
	}
}
