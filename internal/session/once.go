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
	if err := m.storeSealed(ctx, "once", m.onceKey(purpose, id), purposeOnce, append(plaintext, value...)); err != nil {
		return fmt.Errorf("storing a one-time item: %w", err)
	}
	return nil
}

// TakeOnce returns and removes what [Manager.PutOnce] stored. However many ask at once, one gets it; the others, and whoever
// asks too late or for another purpose, get [ErrInvalid]. If the item cannot be removed it is not handed out:
// [ErrUnavailable].
func (m *Manager) TakeOnce(ctx context.Context, purpose, id string) ([]byte, error) {
	name := hex.EncodeToString(m.onceKey(purpose, id))
	key := m.path("once", name)
	// Made-up ids must not cost a lock.
	if _, err := m.Storage.Load(ctx, key); missing(err) {
		return nil, ErrInvalid
	}
	lock := lockName(m.path("once"), name)
	if err := m.Storage.Lock(ctx, lock); err != nil {
		return nil, fmt.Errorf("%w: locking a one-time item: %w", ErrUnavailable, err)
	}
	defer func() {
		if err := m.Storage.Unlock(context.WithoutCancel(ctx), lock); err != nil {
			m.logger().Warn("unlocking a one-time item", "error", err)
		}
	}()
	raw, err := m.Storage.Load(ctx, key)
	if missing(err) {
		return nil, ErrInvalid
	}
	if err != nil {
		return nil, fmt.Errorf("%w: loading a one-time item: %w", ErrUnavailable, err)
	}
	if err := m.Storage.Delete(ctx, key); err != nil {
		return nil, fmt.Errorf("%w: removing a one-time item: %w", ErrUnavailable, err)
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

func (m *Manager) onceKey(purpose, id string) []byte {
	return m.Keys.MAC(purposeOnce, []byte(m.Settings.Realm), []byte(purpose), []byte(id))
}

func (m *Manager) itemBinding(purpose, name string) Binding {
	return Binding{Purpose: purpose, Realm: m.Settings.Realm, Host: name}
}

// storeSealed stores an item below folder, sealed under its own name.
func (m *Manager) storeSealed(ctx context.Context, folder string, mac []byte, purpose string, plaintext []byte) error {
	name := hex.EncodeToString(mac)
	sealed, err := m.Keys.sealBytes(m.itemBinding(purpose, name), plaintext)
	if err != nil {
		return err
	}
	if err := m.Storage.Store(ctx, m.path(folder, name), sealed); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}
