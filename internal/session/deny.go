package session

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	pollEvery   = 5 * time.Second
	pollTimeout = 10 * time.Second
	maxStale    = time.Minute
	// denyMarker is an entry that is always there. A listing without it is not the deny list but, say, an unmounted folder.
	denyMarker = "marker"
)

var errNoMarker = errors.New("the deny list has lost its marker")

// errDenyList is ErrDenied and ErrUnavailable.
var errDenyList = fmt.Errorf("%w: %w: the deny list cannot be read", ErrDenied, ErrUnavailable)

// denyList is the in-memory state of the deny list. In storage each entry is a key that says all, so that one listing reads
// the list: "s.<public id>.<expires>" denies a session, "u.<owner>.<not before>.<expires>" all of a user's sessions that
// started before a time. Times are milliseconds since 1970.
type denyList struct {
	snapshot atomic.Pointer[denySnapshot]
	mu       sync.Mutex // serialises polls and guards the fields below
	local    denySnapshot
	lastTry  time.Time
	ready    bool // one poll has succeeded
}

// denySnapshot is never changed once it is shared.
type denySnapshot struct {
	at       time.Time
	sessions map[publicID]time.Time // → when the entry expires
	users    map[owner]notBefore
}

type notBefore struct{ time, expires time.Time }

func newDenySnapshot(at time.Time) *denySnapshot {
	return &denySnapshot{at: at, sessions: make(map[publicID]time.Time), users: make(map[owner]notBefore)}
}

func (d *denySnapshot) addUser(who owner, nb notBefore) {
	if old, ok := d.users[who]; !ok || nb.time.After(old.time) {
		d.users[who] = nb
	}
}

// checkDenied is the hot path: two map look-ups, no lock.
func (m *Manager) checkDenied(sid string, who owner, started, now time.Time) error {
	snap := m.denied.snapshot.Load()
	if snap == nil || now.Sub(snap.at) > maxStale {
		if snap = m.catchUp(now); snap == nil {
			return errDenyList
		}
	}
	if len(snap.sessions) > 0 {
		if _, ok := snap.sessions[publicKeyOf(sid)]; ok {
			return ErrDenied
		}
	}
	if len(snap.users) > 0 {
		if nb, ok := snap.users[who]; ok && started.Before(nb.time) {
			return ErrDenied
		}
	}
	return nil
}

// catchUp polls out of turn: at the start, after the machine has slept, or if Run is not running. It returns nil if the list
// still cannot be read; then it is not tried again for 5 seconds.
func (m *Manager) catchUp(now time.Time) *denySnapshot {
	d := &m.denied
	d.mu.Lock()
	defer d.mu.Unlock()
	if snap := d.snapshot.Load(); snap != nil && now.Sub(snap.at) <= maxStale {
		return snap
	}
	if age := now.Sub(d.lastTry); !d.lastTry.IsZero() && age >= 0 && age < pollEvery {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), pollTimeout)
	defer cancel()
	if err := m.poll(ctx); err != nil {
		m.logger().Error("reading the deny list", "error", err)
		return nil
	}
	return d.snapshot.Load()
}

// Poll reads the deny list now. [Manager.Run] does so every 5 seconds.
func (m *Manager) Poll(ctx context.Context) error {
	m.denied.mu.Lock()
	defer m.denied.mu.Unlock()
	return m.poll(ctx)
}

// poll reads the list and shares a new snapshot. The caller holds denied.mu.
func (m *Manager) poll(ctx context.Context) error {
	d := &m.denied
	now := m.now()
	d.lastTry = now
	next, err := m.readDenyList(ctx, now)
	if err != nil && !d.ready {
		// A storage that nobody has used yet: some cannot list a folder that is not there.
		if err = m.Storage.Store(ctx, m.path("denied", denyMarker), []byte{1}); err == nil {
			next, err = m.readDenyList(ctx, now)
		}
	}
	if err != nil {
		return fmt.Errorf("reading the deny list: %w", err)
	}
	d.ready = true
	// Keep what this process denied while the listing was on its way.
	for id, expires := range d.local.sessions {
		if _, listed := next.sessions[id]; listed || now.After(expires) {
			delete(d.local.sessions, id)
		} else {
			next.sessions[id] = expires
		}
	}
	for who, nb := range d.local.users {
		if listed, ok := next.users[who]; ok && !listed.time.Before(nb.time) || now.After(nb.expires) {
			delete(d.local.users, who)
		} else {
			next.addUser(who, nb)
		}
	}
	d.snapshot.Store(next)
	return nil
}

func (m *Manager) readDenyList(ctx context.Context, now time.Time) (*denySnapshot, error) {
	keys, err := m.Storage.List(ctx, m.path("denied"), false)
	if err != nil {
		return nil, err
	}
	snap := newDenySnapshot(now)
	marked := false
	for _, key := range keys {
		name := path.Base(key)
		marked = marked || name == denyMarker
		snap.add(name, now)
	}
	if !marked {
		return nil, errNoMarker
	}
	return snap, nil
}

// add reads one entry. Names that are no entries are passed over: storages leave temporary files.
func (d *denySnapshot) add(name string, now time.Time) {
	expires, ok := denyExpiry(name)
	if !ok || now.After(expires) {
		return
	}
	parts := strings.Split(name, ".")
	raw, err := hex.DecodeString(parts[1])
	if err != nil || len(raw) != 16 {
		return
	}
	switch {
	case parts[0] == "s" && len(parts) == 3:
		d.sessions[publicID(raw)] = expires
	case parts[0] == "u" && len(parts) == 4:
		if ms, err := strconv.ParseInt(parts[2], 10, 64); err == nil {
			d.addUser(owner(raw), notBefore{time.UnixMilli(ms), expires})
		}
	}
}

// denyExpiry reads when an entry expires from its name.
func denyExpiry(name string) (time.Time, bool) {
	if !strings.HasPrefix(name, "s.") && !strings.HasPrefix(name, "u.") || strings.Count(name, ".") < 2 {
		return time.Time{}, false
	}
	ms, err := strconv.ParseInt(name[strings.LastIndexByte(name, '.')+1:], 10, 64)
	return time.UnixMilli(ms), err == nil
}

// deny puts a session on the list until its absolute end. This process knows at once, even if storage fails.
func (m *Manager) deny(ctx context.Context, s Session) error {
	id, expires := publicKeyOf(s.ID), s.Ends.Add(maxSkew)
	m.denied.addLocal(m.now(), func(d *denySnapshot) { d.sessions[id] = expires })
	m.records.remove(s.ID)
	return m.storeDenial(ctx, fmt.Sprintf("s.%s.%d", id, expires.UnixMilli()))
}

// denyUser puts all sessions on the list that a user started before now.
func (m *Manager) denyUser(ctx context.Context, who owner) error {
	nb := notBefore{m.instant(), m.instant().Add(m.Settings.lifetime() + maxSkew)}
	m.denied.addLocal(m.now(), func(d *denySnapshot) { d.addUser(who, nb) })
	return m.storeDenial(ctx, fmt.Sprintf("u.%s.%d.%d", who, nb.time.UnixMilli(), nb.expires.UnixMilli()))
}

func (m *Manager) storeDenial(ctx context.Context, name string) (err error) {
	for range storeAttempts {
		if err = m.Storage.Store(ctx, m.path("denied", name), []byte{1}); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%w: storing a denial: %w", ErrUnavailable, err)
}

// addLocal notes an entry of this process and shows it to the hot path.
func (d *denyList) addLocal(now time.Time, add func(*denySnapshot)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.local.sessions == nil {
		d.local = *newDenySnapshot(now)
	}
	add(&d.local)
	snap := d.snapshot.Load()
	if snap == nil {
		return // the first poll takes it from local
	}
	next := newDenySnapshot(snap.at)
	for id, expires := range snap.sessions {
		next.sessions[id] = expires
	}
	for who, nb := range snap.users {
		next.users[who] = nb
	}
	add(next)
	d.snapshot.Store(next)
}

// has says that a session is known to be ended.
func (d *denyList) has(id publicID) bool {
	snap := d.snapshot.Load()
	if snap == nil {
		return false
	}
	_, ok := snap.sessions[id]
	return ok
}

// Run keeps the deny list and the key ring up to date, retries revocations and removes what has expired, until ctx is done.
func (m *Manager) Run(ctx context.Context) {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		m.tick(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// tick is one round of Run.
func (m *Manager) tick(ctx context.Context) {
	round, cancel := context.WithTimeout(ctx, pollTimeout)
	err := m.Poll(round)
	cancel()
	if err != nil && ctx.Err() == nil {
		m.logger().Error("nobody is let in when this lasts for a minute", "error", err)
	}
	if err := m.Keys.Maintain(ctx); err != nil && ctx.Err() == nil {
		m.logger().Error("keeping the key ring", "error", err)
	}
	m.sweepWhenDue(ctx)
}
