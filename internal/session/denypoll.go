package session

import (
	"context"
	"fmt"
	"path"
	"time"
)

// denyPoll is one reading of the deny list. It runs in a goroutine of its own, so that storage which does not answer holds up
// nothing but itself.
type denyPoll struct {
	done chan struct{}
	err  error // after done
}

// startPoll starts a poll, or joins the one under way.
func (m *Manager) startPoll(ctx context.Context) (p *denyPoll, started bool) {
	d := &m.denied
	d.pollMu.Lock()
	defer d.pollMu.Unlock()
	if d.polling != nil {
		return d.polling, false
	}
	p = &denyPoll{done: make(chan struct{})}
	d.polling = p
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pollTimeout)
		defer cancel()
		p.err = m.poll(ctx)
		d.pollMu.Lock()
		// At its end: requests that waited for a poll that failed slowly must not begin another.
		d.polling, d.lastTry = nil, m.now()
		d.pollMu.Unlock()
		close(p.done)
	}()
	return p, true
}

// catchUp polls out of turn: at the start, after the machine has slept, or if Run is not running. It returns nil if the list
// cannot be read within 2.5 seconds; then it is not tried again for 5 seconds.
func (m *Manager) catchUp() *denySnapshot {
	d := &m.denied
	if snap := d.snapshot.Load(); snap != nil && m.now().Sub(snap.at) <= maxStale {
		return snap
	}
	if d.triedJustNow(m.now()) {
		return nil
	}
	p, started := m.startPoll(context.Background())
	patience := time.NewTimer(answerWithin)
	defer patience.Stop()
	select {
	case <-p.done:
		if p.err != nil && started {
			m.logger().Error("reading the deny list", "error", p.err)
		}
	case <-patience.C:
		d.pollMu.Lock()
		d.lastTry = m.now()
		d.pollMu.Unlock()
		if started {
			m.logger().Error("reading the deny list: storage does not answer", "waited", answerWithin)
		}
	}
	if snap := d.snapshot.Load(); snap != nil && m.now().Sub(snap.at) <= maxStale {
		return snap
	}
	return nil
}

func (d *denyList) triedJustNow(now time.Time) bool {
	d.pollMu.Lock()
	defer d.pollMu.Unlock()
	age := now.Sub(d.lastTry)
	return !d.lastTry.IsZero() && age >= 0 && age < pollEvery
}

// Poll reads the deny list now. [Manager.Run] does so every 5 seconds.
func (m *Manager) Poll(ctx context.Context) error {
	defer m.changed() // also on failure: a list that grew too old ends sessions
	for {
		p, started := m.startPoll(ctx)
		select {
		case <-p.done:
			if started { // else it began before it was asked for
				return p.err
			}
		case <-ctx.Done():
			return fmt.Errorf("reading the deny list: %w", ctx.Err())
		}
	}
}

// poll reads the list and shares a new snapshot. One runs at a time.
func (m *Manager) poll(ctx context.Context) error {
	d := &m.denied
	now := m.now()
	listed, err := m.readDenyList(ctx, now)
	if err != nil {
		if err := m.beginDenyList(ctx); err != nil {
			return err
		}
		// Once more: an entry that another process deletes meanwhile can spoil a listing.
		if listed, err = m.readDenyList(ctx, now); err != nil {
			return m.denyListFails(ctx, err)
		}
	}
	d.ready = true
	m.noteDenyList(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	local := d.early
	if old := d.snapshot.Load(); old != nil {
		local = old.local
	}
	d.early = denials{}
	d.snapshot.Store(&denySnapshot{at: now, listed: listed, local: local.clone(
		func(expires time.Time, isListed bool) bool { return isListed || now.After(expires) }, listed)})
	return nil
}

// readDenyList lists what is denied. A folder without its marker is an error.
func (m *Manager) readDenyList(ctx context.Context, now time.Time) (denials, error) {
	keys, err := m.Storage.List(ctx, m.path("denied"), false)
	if err != nil {
		return denials{}, err
	}
	var list denials
	marked := false
	for _, key := range keys {
		name := path.Base(key)
		marked = marked || name == denyMarker
		list.add(name, now)
	}
	if !marked {
		return denials{}, errNoMarker
	}
	return list, nil
}
