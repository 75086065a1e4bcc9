package session

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"path"
	"strconv"
	"time"
)

const (
	sweepEvery   = 10 * time.Minute
	revokeEvery  = time.Minute
	sweepTimeout = 2 * time.Minute
	sweepGrace   = maxSkew // another process's clock may lag behind ours
)

// sweepWhenDue retries revocations every minute and, in one process of the fleet, removes what has expired every 10 minutes:
// storage holds no more than the living sessions.
func (m *Manager) sweepWhenDue(ctx context.Context) {
	m.sweepMu.Lock()
	defer m.sweepMu.Unlock()
	now := m.now()
	if age := now.Sub(m.lastSweep); !m.lastSweep.IsZero() && age >= 0 && age < revokeEvery {
		return
	}
	m.lastSweep = now
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	err := m.retryRevocations(ctx)
	if _, itself := m.Storage.(Expirer); !itself && m.claimSweep(ctx, now) {
		err = errors.Join(err, m.sweep(ctx))
	}
	if err != nil && ctx.Err() == nil {
		m.logger().Warn("sweeping the session storage", "error", err)
	}
}

// store writes what is worth nothing any more once it has expired.
func (m *Manager) store(ctx context.Context, key string, value []byte, expires time.Time) error {
	if e, ok := m.Storage.(Expirer); ok {
		return e.StoreUntil(ctx, key, value, expires.Add(sweepGrace))
	}
	return m.Storage.Store(ctx, key, value)
}

// claimSweep says whether it is this process's turn. Two that claim at once do the same work twice, which harms nobody.
func (m *Manager) claimSweep(ctx context.Context, now time.Time) bool {
	key := m.path("swept")
	if data, err := m.Storage.Load(ctx, key); err == nil {
		ms, err := strconv.ParseInt(string(data), 10, 64)
		age := now.Sub(time.UnixMilli(ms))
		if err == nil && age >= 0 && age < sweepEvery {
			return false
		}
	} else if !missing(err) {
		return false
	}
	return m.Storage.Store(ctx, key, strconv.AppendInt(nil, now.UnixMilli(), 10)) == nil
}

// sweep removes sessions past their end, expired denials and one-time items nobody took.
func (m *Manager) sweep(ctx context.Context) error {
	past := m.now().Add(-sweepGrace)
	return errors.Join(
		m.eachKey(ctx, "users", true, func(key string) error {
			e, ok := parseIndexEntry(key)
			if !ok || e.ends.After(past) {
				return nil
			}
			return errors.Join(m.Storage.Delete(ctx, m.recordPath(e.id)), m.Storage.Delete(ctx, key))
		}),
		m.eachKey(ctx, "denied", false, func(key string) error {
			if expires, ok := denyExpiry(path.Base(key)); !ok || expires.After(past) {
				return nil
			}
			return m.Storage.Delete(ctx, key)
		}),
		m.eachKey(ctx, "once", false, func(key string) error {
			plaintext, err := m.loadItem(ctx, key, purposeOnce)
			if missing(err) || err == nil && len(plaintext) >= 8 && time.UnixMilli(int64(binary.BigEndian.Uint64(plaintext))).After(past) {
				return nil
			}
			if err != nil && !errors.Is(err, ErrInvalid) {
				return err
			}
			return m.Storage.Delete(ctx, key)
		}),
	)
}

// retryRevocations asks the pool again to revoke what it did not take before.
func (m *Manager) retryRevocations(ctx context.Context) error {
	return m.eachKey(ctx, "revocations", false, func(key string) error {
		plaintext, err := m.loadItem(ctx, key, purposeRevoke)
		if missing(err) {
			return nil
		}
		if err != nil && !errors.Is(err, ErrInvalid) {
			return err
		}
		var p pendingRevocation
		if err == nil && json.Unmarshal(plaintext, &p) == nil && m.Refresher != nil && m.now().Before(p.Until) {
			if err := m.Refresher.Revoke(ctx, p.Token); err != nil && !errors.Is(err, ErrRefused) {
				return err
			}
		}
		return m.Storage.Delete(ctx, key)
	})
}

// eachKey calls do for every key in a folder of this realm, which need not exist, or below it. One failure does not stop the
// others.
func (m *Manager) eachKey(ctx context.Context, folder string, below bool, do func(key string) error) error {
	root := m.path(folder)
	if !m.Storage.Exists(ctx, root) {
		return nil
	}
	keys, err := m.Storage.List(ctx, root, below)
	if err != nil && !missing(err) {
		return err
	}
	var first error
	for _, key := range keys {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := do(key); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (m *Manager) loadItem(ctx context.Context, key, purpose string) ([]byte, error) {
	raw, err := m.Storage.Load(ctx, key)
	if err != nil {
		return nil, err
	}
	return m.Keys.openBytes(m.itemBinding(purpose, path.Base(key)), append([]byte(nil), raw...))
}
