package localpool

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/caddy-cognito/passwordless/triggers/create"
	"github.com/caddy-cognito/passwordless/triggers/notify"
	"github.com/caddy-cognito/passwordless/triggers/pretoken"
	"github.com/caddy-cognito/passwordless/triggers/verify"
)

// triggerStore is what the triggers have DynamoDB, KMS and AdminUpdateUserAttributes for in AWS. Each method that writes is one
// transaction.
type triggerStore struct{ pool *Pool }

// The kinds of items in bucketSecrets: the first byte of their keys.
const (
	kindLease   = 'l'
	kindLimit   = 'c'
	kindReceipt = 'r'
)

func secretKey(kind byte, key [sha256.Size]byte) []byte { return append([]byte{kind}, key[:]...) }

// keepLeases is how long an operation is remembered: longer than the longest Cognito session (15 minutes).
const keepLeases = time.Hour

type lease struct {
	Until time.Time `json:"until"`
	Sent  bool      `json:"sent,omitempty"`
}

// Lease implements [create.Leases].
func (t *triggerStore) Lease(ctx context.Context, op [sha256.Size]byte, now time.Time, ttl time.Duration) (create.LeaseState, error) {
	var state create.LeaseState
	err := t.pool.db.update(ctx, func(tx *bbolt.Tx) error {
		var l lease
		found, err := getItem(tx, bucketSecrets, secretKey(kindLease, op), now, &l)
		switch {
		case err != nil:
			return err
		case found && l.Sent:
			state = create.LeaseSent
			return nil
		case found && now.Before(l.Until):
			state = create.LeaseRunning
			return nil
		}
		state = create.LeaseHeld
		return putItem(tx, bucketSecrets, secretKey(kindLease, op), now.Add(keepLeases), lease{Until: now.Add(ttl)})
	})
	return state, err
}

// Sent implements [create.Leases].
func (t *triggerStore) Sent(ctx context.Context, op [sha256.Size]byte) error {
	return t.pool.db.update(ctx, func(tx *bbolt.Tx) error {
		return putItem(tx, bucketSecrets, secretKey(kindLease, op), t.pool.now().Add(keepLeases), lease{Sent: true})
	})
}

// Release implements [create.Leases].
func (t *triggerStore) Release(ctx context.Context, op [sha256.Size]byte) error {
	return t.pool.db.update(ctx, func(tx *bbolt.Tx) error {
		var l lease
		found, err := getItem(tx, bucketSecrets, secretKey(kindLease, op), t.pool.now(), &l)
		if err != nil || !found || l.Sent {
			return err
		}
		return deleteItem(tx, bucketSecrets, secretKey(kindLease, op))
	})
}

// count is a fixed window of a limiter.
type count struct {
	Window int64           `json:"window"` // Unix second it began
	Ops    map[string]bool `json:"ops"`    // counted operations
}

// Take implements the limiters of create and verify with fixed windows.
func (t *triggerStore) Take(ctx context.Context, key, op [sha256.Size]byte, limit int, window time.Duration, now time.Time) (bool, error) {
	var within bool
	err := t.pool.db.update(ctx, func(tx *bbolt.Tx) error {
		within = false
		start := now.Truncate(window)
		var c count
		found, err := getItem(tx, bucketSecrets, secretKey(kindLimit, key), now, &c)
		if err != nil {
			return err
		}
		if !found || c.Window != start.Unix() || c.Ops == nil {
			c = count{Window: start.Unix(), Ops: make(map[string]bool)}
		}
		id := fmt.Sprintf("%x", op)
		if c.Ops[id] {
			within = true
			return nil
		}
		if len(c.Ops) >= limit {
			return nil
		}
		within = true
		c.Ops[id] = true
		return putItem(tx, bucketSecrets, secretKey(kindLimit, key), start.Add(window), c)
	})
	return within, err
}

// Return implements [verify.Limiter].
func (t *triggerStore) Return(ctx context.Context, key, op [sha256.Size]byte) error {
	return t.pool.db.update(ctx, func(tx *bbolt.Tx) error {
		now := t.pool.now()
		var c count
		found, err := getItem(tx, bucketSecrets, secretKey(kindLimit, key), now, &c)
		id := fmt.Sprintf("%x", op)
		if err != nil || !found || !c.Ops[id] {
			return err
		}
		delete(c.Ops, id)
		// The end of the window is not kept; a day covers the longest, and Take compares the window itself.
		return putItem(tx, bucketSecrets, secretKey(kindLimit, key), now.Add(24*time.Hour), c)
	})
}

// PutReceipt implements [verify.Receipts].
func (t *triggerStore) PutReceipt(ctx context.Context, key [sha256.Size]byte, r verify.Receipt) error {
	return t.pool.db.update(ctx, func(tx *bbolt.Tx) error {
		return putItem(tx, bucketSecrets, secretKey(kindReceipt, key), r.Expires, r)
	})
}

// Receipt implements [pretoken.Receipts].
func (t *triggerStore) Receipt(_ context.Context, key [sha256.Size]byte) (pretoken.Receipt, error) {
	var r pretoken.Receipt
	err := t.pool.db.view(func(tx *bbolt.Tx) error {
		found, err := getItem(tx, bucketSecrets, secretKey(kindReceipt, key), t.pool.now(), &r)
		if err == nil && !found {
			err = pretoken.ErrReceiptNotFound
		}
		return err
	})
	return r, err
}

// Sign implements [create.Signer].
func (t *triggerStore) Sign(_ context.Context, digest []byte) ([]byte, string, error) {
	return t.pool.keys.signLink(digest)
}

// PublicKey implements [verify.Keys].
func (t *triggerStore) PublicKey(_ context.Context, keyID string) (*rsa.PublicKey, error) {
	key := t.pool.keys.find(useLinks, keyID)
	if key == nil {
		return nil, errors.New("no such link key")
	}
	return key, nil
}

// AddressVerified implements [verify.Addresses].
func (t *triggerStore) AddressVerified(ctx context.Context, a verify.Address) error {
	return t.pool.verifyAddress(ctx, a.UserName, a.Email)
}

// User implements [notify.Users].
func (t *triggerStore) User(_ context.Context, username string) (notify.User, error) {
	u, found, err := t.pool.user(username)
	if err != nil {
		return notify.User{}, err
	}
	if !found {
		return notify.User{}, notify.ErrUserNotFound
	}
	return notify.User{Email: u.Attributes["email"], EmailVerified: u.Attributes["email_verified"], Locale: u.Attributes["locale"]}, nil
}

// Interface guards
var (
	_ create.Leases     = (*triggerStore)(nil)
	_ create.Limiter    = (*triggerStore)(nil)
	_ create.Links      = (*triggerStore)(nil)
	_ create.Signer     = (*triggerStore)(nil)
	_ verify.Links      = (*triggerStore)(nil)
	_ verify.Keys       = (*triggerStore)(nil)
	_ verify.Addresses  = (*triggerStore)(nil)
	_ verify.Limiter    = (*triggerStore)(nil)
	_ verify.Receipts   = (*triggerStore)(nil)
	_ pretoken.Receipts = (*triggerStore)(nil)
	_ notify.Users      = (*triggerStore)(nil)
)
