package session

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// KeyInfo is what may be told of a key: never the key.
type KeyInfo struct {
	ID      string // hexadecimal
	Created time.Time
	Active  time.Time // from when it may seal
	Sealing bool      // seals at present; older keys open only, later ones wait for every process to know them
}

// Keys describes the ring in memory, oldest key first.
func (k *KeyRing) Keys() []KeyInfo {
	r := k.ring.Load()
	sealing := r.sealing(k.now())
	list := make([]KeyInfo, 0, len(r.keys))
	for i := range r.keys {
		key := &r.keys[i]
		list = append(list, KeyInfo{ID: hex.EncodeToString(key.id[:]), Created: key.created, Active: key.active, Sealing: key.id == sealing.id})
	}
	return list
}

// ErrKeyWaits refuses a rotation while the key of the one before waits: each would push an old key out that cookies still need.
var ErrKeyWaits = errors.New("a new key has been published already and is not in use yet")

// Rotate publishes a new key, which seals from 5 minutes on. Cookies sealed with older keys stay good.
func (k *KeyRing) Rotate(ctx context.Context) error {
	done, err := k.begin(ctx)
	if err != nil {
		return fmt.Errorf("rotating the key ring: %w", err)
	}
	defer done()
	r, err := k.locked(ctx, func() (*ring, error) {
		r, err := k.load(ctx)
		if err != nil {
			return nil, err
		}
		if newest := r.keys[len(r.keys)-1]; newest.active.After(k.now()) {
			return nil, fmt.Errorf("%w: it takes over at %s", ErrKeyWaits, newest.active.Format(time.RFC3339))
		}
		if len(r.keys) >= maxRingKeys {
			return nil, fmt.Errorf("the ring holds %d keys that living sessions may need; wait until the oldest have ended", len(r.keys))
		}
		next, err := k.newKey(k.now().Add(keyLead))
		if err != nil {
			return nil, err
		}
		return k.publish(ctx, &ring{mac: r.mac, keys: append(append([]ringKey(nil), r.keys...), next)})
	})
	if err != nil {
		return fmt.Errorf("rotating the key ring: %w", err)
	}
	k.ring.Store(r)
	return nil
}
