package session

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
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
// the list: "s.<public id>.<expires>" denies a session or a token family, "u.<owner>.<not before>.<expires>" all of a user's sessions that
// started before a time. Times are milliseconds since 1970.
type denyList struct {
	snapshot atomic.Pointer[denySnapshot]

	mu    sync.Mutex // serialises changes of the snapshot and guards early; never held while storage is asked
	early denials    // what this process denied before there was a snapshot

	pollMu  sync.Mutex // guards what follows; never held while storage is asked
	polling *denyPoll  // the one under way
	lastTry time.Time  // when the last poll ended, or when somebody waited for it in vain
	ready   bool       // one poll has succeeded; of poll alone, as is noted
	noted   bool       // the key ring knows that the list exists
}

// denySnapshot is never changed once it is shared.
type denySnapshot struct {
	at     time.Time
	listed denials
	local  denials // what this process denied and the last listing did not show yet
}

type denials struct {
	sessions map[publicID]time.Time // → when the entry expires
	users    map[owner]notBefore
}

type notBefore struct{ time, expires time.Time }

func (d *denials) addSession(id publicID, expires time.Time) {
	if d.sessions == nil {
		d.sessions = make(map[publicID]time.Time)
	}
	d.sessions[id] = expires
}

func (d *denials) addUser(who owner, nb notBefore) {
	if d.users == nil {
		d.users = make(map[owner]notBefore)
	}
	if old, ok := d.users[who]; !ok || nb.time.After(old.time) {
		d.users[who] = nb
	}
}

// clone returns a copy without the entries that drop names.
func (d denials) clone(drop func(expires time.Time, listed bool) bool, other denials) denials {
	var c denials
	for id, expires := range d.sessions {
		if _, listed := other.sessions[id]; !drop(expires, listed) {
			c.addSession(id, expires)
		}
	}
	for who, nb := range d.users {
		o, ok := other.users[who]
		if !drop(nb.expires, ok && !o.time.Before(nb.time)) {
			c.addUser(who, nb)
		}
	}
	return c
}

func (d denials) deny(id publicID, who owner, started time.Time) bool {
	if _, ok := d.sessions[id]; ok {
		return true
	}
	nb, ok := d.users[who]
	return ok && started.Before(nb.time)
}

// checkDenied is the hot path: map look-ups, no lock.
func (m *Manager) checkDenied(id publicID, who owner, started, now time.Time) error {
	snap := m.freshDenials(now)
	if snap == nil {
		return errDenyList
	}
	return snap.check(id, who, started)
}

// checkSubjectDenied is checkDenied for whom the list's name has to be made first, which takes longer than the rest and is done only if
// this very list names anybody.
func (m *Manager) checkSubjectDenied(id publicID, subject string, started, now time.Time) error {
	snap := m.freshDenials(now)
	if snap == nil {
		return errDenyList
	}
	var who owner
	if len(snap.listed.users)+len(snap.local.users) > 0 {
		who = m.owner(subject)
	}
	return snap.check(id, who, started)
}

// freshDenials is nil when the list cannot be read.
func (m *Manager) freshDenials(now time.Time) *denySnapshot {
	snap := m.denied.snapshot.Load()
	if snap == nil || now.Sub(snap.at) > maxStale {
		return m.catchUp()
	}
	return snap
}

func (snap *denySnapshot) check(id publicID, who owner, started time.Time) error {
	if snap.listed.deny(id, who, started) || snap.local.deny(id, who, started) {
		return ErrDenied
	}
	return nil
}

// add reads one entry. Names that are no entries are passed over: storages leave temporary files.
func (d *denials) add(name string, now time.Time) {
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
		d.addSession(publicID(raw), expires)
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
	m.records.remove(s.ID)
	return m.denyID(ctx, publicKeyOf(s.ID), s.Ends)
}

func (m *Manager) denyID(ctx context.Context, id publicID, expires time.Time) error {
	expires = expires.Add(maxSkew)
	m.denied.addLocal(func(d *denials) { d.addSession(id, expires) })
	m.changed()
	return m.storeDenial(ctx, fmt.Sprintf("s.%s.%d", id, expires.UnixMilli()), expires)
}

// denyUser puts all sessions on the list that a user started before now.
func (m *Manager) denyUser(ctx context.Context, who owner) error {
	nb := notBefore{m.instant(), m.instant().Add(m.Settings.lifetime() + maxSkew)}
	m.denied.addLocal(func(d *denials) { d.addUser(who, nb) })
	m.changed()
	return m.storeDenial(ctx, fmt.Sprintf("u.%s.%d.%d", who, nb.time.UnixMilli(), nb.expires.UnixMilli()), nb.expires)
}

func (m *Manager) storeDenial(ctx context.Context, name string, expires time.Time) (err error) {
	for range storeAttempts {
		if err = m.store(ctx, m.path("denied", name), []byte{1}, expires); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%w: storing a denial: %w", ErrUnavailable, err)
}

// addLocal notes an entry of this process and shows it to the hot path. Only what the last listing lacks is copied.
func (d *denyList) addLocal(add func(*denials)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	snap := d.snapshot.Load()
	if snap == nil {
		add(&d.early)
		return
	}
	local := snap.local.clone(func(time.Time, bool) bool { return false }, denials{})
	add(&local)
	d.snapshot.Store(&denySnapshot{at: snap.at, listed: snap.listed, local: local})
}

// has says that a session is known to be ended.
func (d *denyList) has(id publicID) bool {
	snap := d.snapshot.Load()
	if snap == nil {
		d.mu.Lock()
		_, early := d.early.sessions[id]
		snap = d.snapshot.Load() // the first poll may just have moved what was early there
		d.mu.Unlock()
		if snap == nil {
			return early
		}
	}
	_, listed := snap.listed.sessions[id]
	_, local := snap.local.sessions[id]
	return listed || local
}
