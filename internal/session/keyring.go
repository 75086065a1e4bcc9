package session

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"
	"time"
)

const (
	keyIDSize     = 8
	ringVersion   = 1
	keyLead       = 5 * time.Minute  // between publishing a key and sealing with it; every process re-reads more often
	ringReread    = time.Minute      // how often Maintain reads the ring again
	unknownReread = 5 * time.Second  // how often an unknown key ID may cause a read
	ringTimeout   = 10 * time.Second // of a round of Maintain
	maxRingKeys   = 64
)

// KeyRingOptions tune a key ring. The zero value is fine.
type KeyRingOptions struct {
	Now    func() time.Time // nil: time.Now
	Rand   io.Reader        // nil: crypto/rand.Reader
	Rotate time.Duration    // age at which the sealing key gets a successor; zero: 30 days
	Keep   time.Duration    // how long a key still opens after its successor took over: a session's lifetime; zero: 30 days
}

// KeyRing holds the keys that seal cookies, records and states. They live in one file in shared storage, made by whichever
// process comes first. A new key is published 5 minutes before it seals anything, so that every process knows it by then; old
// keys go on opening for Keep. A KeyRing is safe for concurrent use.
type KeyRing struct {
	storage Storage
	path    string
	lock    string
	now     func() time.Time
	rand    io.Reader
	rotate  time.Duration
	keep    time.Duration

	ring     atomic.Pointer[ring]
	turn     chan struct{} // serialises reads of the file: full while one is under way
	lastRead time.Time     // guarded by turn; the last attempt's end
	readErr  error         // guarded by turn; of the last attempt
}

// ring is one state of the file. It is never changed once it is shared.
type ring struct {
	keys []ringKey // oldest first
	mac  []byte
}

type ringKey struct {
	id      [keyIDSize]byte
	secret  []byte
	created time.Time
	active  time.Time // from when it may seal
	aead    cipher.AEAD
}

type ringFile struct {
	Version int       `json:"version"`
	MAC     []byte    `json:"mac"`
	Keys    []keyFile `json:"keys"`
}

type keyFile struct {
	ID      string    `json:"id"`
	Secret  []byte    `json:"secret"`
	Created time.Time `json:"created"`
	Active  time.Time `json:"active"`
}

// OpenKeyRing reads the key ring below prefix, or creates it under the storage's lock. A file that is there but unreadable or
// damaged is an error and is left alone: replacing it would sign everybody out and hide the damage.
func OpenKeyRing(ctx context.Context, storage Storage, prefix string, o KeyRingOptions) (*KeyRing, error) {
	k := &KeyRing{
		storage: Bounded(storage),
		turn:    make(chan struct{}, 1),
		path:    prefix + "/ring.json",
		lock:    lockName(prefix, "ring"),
		now:     o.Now,
		rand:    o.Rand,
		rotate:  o.Rotate,
		keep:    o.Keep,
	}
	if k.now == nil {
		k.now = time.Now
	}
	if k.rand == nil {
		k.rand = rand.Reader
	}
	if k.rotate <= 0 {
		k.rotate = 30 * 24 * time.Hour
	}
	if k.keep <= 0 {
		k.keep = 30 * 24 * time.Hour
	}
	r, err := k.load(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		r, err = k.create(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the key ring: %w", err)
	}
	k.ring.Store(r)
	k.lastRead = k.now()
	return k, nil
}

// Maintain re-reads the ring and gives it a new key when the newest is due. [Manager.Run] calls it; it does nothing when the
// ring was read less than a minute ago. On an error the ring in memory goes on working.
func (k *KeyRing) Maintain(ctx context.Context) error {
	done, err := k.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	if age := k.now().Sub(k.lastRead); age >= 0 && age < ringReread {
		return nil
	}
	r, err := k.reread(ctx)
	if err != nil {
		return fmt.Errorf("reading the key ring: %w", err)
	}
	if k.due(r) {
		if r, err = k.renew(ctx); err != nil {
			return fmt.Errorf("rotating the key ring: %w", err)
		}
	}
	k.ring.Store(r)
	return nil
}

// begin waits for its turn to read the file. The function it returns ends that turn.
func (k *KeyRing) begin(ctx context.Context) (done func(), err error) {
	select {
	case k.turn <- struct{}{}:
		return func() { <-k.turn }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the key ring: %w", ctx.Err())
	}
}

// reread is load for a turn, and notes what came of it.
func (k *KeyRing) reread(ctx context.Context) (*ring, error) {
	r, err := k.load(ctx)
	k.lastRead, k.readErr = k.now(), err // at its end: requests that waited for a read that failed slowly must not begin another
	return r, err
}

func (k *KeyRing) due(r *ring) bool {
	return k.now().Sub(r.keys[len(r.keys)-1].created) >= k.rotate
}

// create writes the first ring, unless another process does so first.
func (k *KeyRing) create(ctx context.Context) (*ring, error) {
	return k.locked(ctx, func() (*ring, error) {
		r, err := k.load(ctx)
		if !errors.Is(err, fs.ErrNotExist) {
			return r, err
		}
		mac := make([]byte, 32)
		if _, err := io.ReadFull(k.rand, mac); err != nil {
			return nil, fmt.Errorf("making a key: %w", err)
		}
		first, err := k.newKey(k.now())
		if err != nil {
			return nil, err
		}
		return k.publish(ctx, &ring{mac: mac, keys: []ringKey{first}})
	})
}

// renew adds a key and drops those that no living session can need.
func (k *KeyRing) renew(ctx context.Context) (*ring, error) {
	return k.locked(ctx, func() (*ring, error) {
		r, err := k.load(ctx)
		if err != nil || !k.due(r) {
			return r, err
		}
		next, err := k.newKey(k.now().Add(keyLead))
		if err != nil {
			return nil, err
		}
		keys := append(append([]ringKey(nil), r.keys...), next)
		for len(keys) > 2 && (len(keys) > maxRingKeys || k.now().Sub(keys[1].active) > k.keep+maxSkew) {
			keys = keys[1:]
		}
		return k.publish(ctx, &ring{mac: r.mac, keys: keys})
	})
}

func (k *KeyRing) locked(ctx context.Context, do func() (*ring, error)) (r *ring, err error) {
	if err := k.storage.Lock(ctx, k.lock); err != nil {
		return nil, fmt.Errorf("locking the key ring: %w", err)
	}
	defer func() {
		if unlockErr := k.storage.Unlock(context.WithoutCancel(ctx), k.lock); unlockErr != nil && err == nil {
			r, err = nil, fmt.Errorf("unlocking the key ring: %w", unlockErr)
		}
	}()
	return do()
}

func (k *KeyRing) newKey(active time.Time) (ringKey, error) {
	buf := make([]byte, keyIDSize+32)
	if _, err := io.ReadFull(k.rand, buf); err != nil {
		return ringKey{}, fmt.Errorf("making a key: %w", err)
	}
	return makeKey([keyIDSize]byte(buf[:keyIDSize]), buf[keyIDSize:], k.now(), active)
}

func makeKey(id [keyIDSize]byte, secret []byte, created, active time.Time) (ringKey, error) {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return ringKey{}, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return ringKey{}, err
	}
	return ringKey{id: id, secret: secret, created: created.UTC(), active: active.UTC(), aead: aead}, nil
}

// publish stores r and returns what the storage then holds, so that two processes that both believed to have the lock agree.
func (k *KeyRing) publish(ctx context.Context, r *ring) (*ring, error) {
	f := ringFile{Version: ringVersion, MAC: r.mac}
	for _, key := range r.keys {
		f.Keys = append(f.Keys, keyFile{ID: hex.EncodeToString(key.id[:]), Secret: key.secret, Created: key.created, Active: key.active})
	}
	data, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	if err := k.storage.Store(ctx, k.path, data); err != nil {
		return nil, fmt.Errorf("storing the key ring: %w", err)
	}
	return k.load(ctx)
}

func (k *KeyRing) load(ctx context.Context) (*ring, error) {
	data, err := k.storage.Load(ctx, k.path)
	if err != nil {
		return nil, err
	}
	r, err := parseRing(data)
	if err != nil {
		return nil, fmt.Errorf("key ring %s is damaged: %w", k.path, err)
	}
	return r, nil
}

// parseRing reads the file. Errors never quote its content.
func parseRing(data []byte) (*ring, error) {
	var f ringFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, errors.New("not the JSON of a key ring")
	}
	if f.Version != ringVersion {
		return nil, fmt.Errorf("version %d is unknown", f.Version)
	}
	if len(f.MAC) != 32 || len(f.Keys) == 0 || len(f.Keys) > maxRingKeys {
		return nil, errors.New("keys are missing")
	}
	r := &ring{mac: f.MAC}
	for _, kf := range f.Keys {
		id, err := hex.DecodeString(kf.ID)
		if err != nil || len(id) != keyIDSize || len(kf.Secret) != 32 {
			return nil, errors.New("a key is malformed")
		}
		if r.byID([keyIDSize]byte(id)) != nil {
			return nil, errors.New("two keys share an ID")
		}
		key, err := makeKey([keyIDSize]byte(id), kf.Secret, kf.Created, kf.Active)
		if err != nil {
			return nil, errors.New("a key is malformed")
		}
		r.keys = append(r.keys, key)
	}
	return r, nil
}

func (r *ring) byID(id [keyIDSize]byte) *ringKey {
	for i := len(r.keys) - 1; i >= 0; i-- {
		if r.keys[i].id == id {
			return &r.keys[i]
		}
	}
	return nil
}

// sealing returns the newest key that every process knows by now.
func (r *ring) sealing(now time.Time) *ringKey {
	for i := len(r.keys) - 1; i > 0; i-- {
		if !r.keys[i].active.After(now) {
			return &r.keys[i]
		}
	}
	return &r.keys[0]
}

// find looks an ID up, reading the ring again if it is unknown. Made-up IDs cause at most one read in 5 seconds. The error is
// [ErrInvalid], or [ErrUnavailable] where the ring cannot be read: the key may be in it.
func (k *KeyRing) find(id [keyIDSize]byte) (*ringKey, error) {
	if key := k.ring.Load().byID(id); key != nil {
		return key, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	done, err := k.begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer done()
	if key := k.ring.Load().byID(id); key != nil {
		return key, nil // another goroutine read it while we waited
	}
	if age := k.now().Sub(k.lastRead); age < 0 || age >= unknownReread {
		if r, err := k.reread(ctx); err == nil {
			k.ring.Store(r)
		}
	}
	if k.readErr != nil {
		return nil, fmt.Errorf("%w: reading the key ring: %w", ErrUnavailable, k.readErr)
	}
	if key := k.ring.Load().byID(id); key != nil {
		return key, nil
	}
	return nil, ErrInvalid
}
