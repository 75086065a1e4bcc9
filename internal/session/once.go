package session

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"
)

// PutOnce stores a value that can be taken once, until expires: a handoff code, the state of a link. The id is the secret that
// takes it; storage sees only its keyed hash.
func (m *Manager) PutOnce(ctx context.Context, purpose, id string, value []byte, expires time.Time) error {
	plaintext := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(value)), uint64(max(expires.UnixMilli(), 0)))
	if err := m.storeSealed(ctx, "once", m.onceKey(purpose, id), purposeOnce, append(plaintext, value...), expires); err != nil {
		return fmt.Errorf("storing a one-time item: %w", err)
	}
	return nil
}

// TakeOnce returns and removes what [Manager.PutOnce] stored. However many ask at once, one gets it; the others, and whoever
// asks too late or for another purpose, get [ErrInvalid]. If the item cannot be removed it is not handed out:
// [ErrUnavailable].
func (m *Manager) TakeOnce(ctx context.Context, purpose, id string) ([]byte, error) {
	name := hex.EncodeToString(m.onceKey(purpose, id))
	raw, err := m.take(ctx, name)
	if missing(err) {
		return nil, ErrInvalid
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	plaintext, err := m.Keys.openBytes(m.itemBinding(purposeOnce, name), append([]byte(nil), raw...))
	if err != nil || len(plaintext) < 8 {
		return nil, ErrInvalid
	}
	if !m.now().Before(time.UnixMilli(int64(binary.BigEndian.Uint64(plaintext)))) {
		return nil, ErrInvalid
	}
	return plaintext[8:], nil
}

// take removes a one-time item and returns it; a missing one is fs.ErrNotExist.
func (m *Manager) take(ctx context.Context, name string) ([]byte, error) {
	key := m.path("once", name)
	if t, ok := m.Storage.(Taker); ok {
		return t.Take(ctx, key)
	}
	// Made-up ids must not cost a lock.
	if _, err := m.Storage.Load(ctx, key); missing(err) {
		return nil, err
	}
	lock := lockName(m.path("once"), name)
	if err := m.Storage.Lock(ctx, lock); err != nil {
		return nil, fmt.Errorf("locking a one-time item: %w", err)
	}
	defer func() {
		if err := m.Storage.Unlock(context.WithoutCancel(ctx), lock); err != nil {
			m.logger().Warn("unlocking a one-time item", "error", err)
		}
	}()
	raw, err := m.Storage.Load(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("loading a one-time item: %w", err)
	}
	if err := m.Storage.Delete(ctx, key); err != nil {
		return nil, fmt.Errorf("removing a one-time item: %w", err)
	}
	return raw, nil
}

func (m *Manager) onceKey(purpose, id string) []byte {
	return m.Keys.MAC(purposeOnce, []byte(m.Settings.Realm), []byte(purpose), []byte(id))
}

func (m *Manager) itemBinding(purpose, name string) Binding {
	return Binding{Purpose: purpose, Realm: m.Settings.Realm, Host: name}
}

// storeSealed stores an item below folder, sealed under its own name.
func (m *Manager) storeSealed(ctx context.Context, folder string, mac []byte, purpose string, plaintext []byte, expires time.Time) error {
	name := hex.EncodeToString(mac)
	sealed, err := m.Keys.sealBytes(m.itemBinding(purpose, name), plaintext)
	if err != nil {
		return err
	}
	if err := m.store(ctx, m.path(folder, name), sealed, expires); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}
