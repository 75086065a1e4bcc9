package localpool

import (
	"bytes"
	"context"
	"crypto/sha256"
	"time"

	"go.etcd.io/bbolt"

	"github.com/caddy-cognito/passwordless/triggers/create"
	"github.com/caddy-cognito/passwordless/triggers/verify"
)

// keepLinks is how long a link stays in the file past its end, so that a used one is told from an unknown one and the least time
// between two mails holds.
const keepLinks = time.Hour

// link is a magic link, under the hashes of its user's name and its signature.
type link struct {
	IssuedAt  time.Time         `json:"iat"`
	Expires   time.Time         `json:"exp"`
	KeyID     string            `json:"kid"`
	Operation [sha256.Size]byte `json:"op"`
	Address   [sha256.Size]byte `json:"address"`
	UsedBy    string            `json:"used_by,omitempty"`
	UsedAt    time.Time         `json:"uat,omitzero"`
}

func linkKey(userNameHash, signatureHash [sha256.Size]byte) []byte {
	return append(append([]byte(nil), userNameHash[:]...), signatureHash[:]...)
}

// userLinks calls fn with every link of a user that is still kept.
func userLinks(tx *bbolt.Tx, userNameHash [sha256.Size]byte, now time.Time, fn func(key []byte, l link) error) error {
	var keys [][]byte
	c := tx.Bucket([]byte(bucketLinks)).Cursor()
	for k, _ := c.Seek(userNameHash[:]); bytes.HasPrefix(k, userNameHash[:]); k, _ = c.Next() {
		keys = append(keys, append([]byte(nil), k...))
	}
	for _, k := range keys {
		var l link
		found, err := getItem(tx, bucketLinks, k, now, &l)
		if err != nil {
			return err
		}
		if found {
			if err := fn(k, l); err != nil {
				return err
			}
		}
	}
	return nil
}

// Put implements [create.Links].
func (t *triggerStore) Put(ctx context.Context, l create.Link, r create.LinkRules) error {
	return t.pool.db.update(ctx, func(tx *bbolt.Tx) error {
		outstanding := 0
		err := userLinks(tx, l.UserNameHash, l.IssuedAt, func(key []byte, other link) error {
			switch {
			case other.Operation == l.Operation:
				return deleteItem(tx, bucketLinks, key)
			case l.IssuedAt.Before(other.IssuedAt.Add(r.Between)):
				return create.ErrTooManyLinks
			case other.UsedAt.IsZero() && l.IssuedAt.Before(other.Expires):
				outstanding++
			}
			return nil
		})
		if err != nil {
			return err
		}
		if outstanding >= r.Outstanding {
			return create.ErrTooManyLinks
		}
		return putItem(tx, bucketLinks, linkKey(l.UserNameHash, l.SignatureHash), l.Expires.Add(keepLinks), link{
			IssuedAt: l.IssuedAt.UTC(), Expires: l.Expires.UTC(), KeyID: l.KeyID, Operation: l.Operation, Address: l.AddressHash,
		})
	})
}

// Withdraw implements [create.Links].
func (t *triggerStore) Withdraw(ctx context.Context, l create.Link) error {
	return t.pool.db.update(ctx, func(tx *bbolt.Tx) error {
		key := linkKey(l.UserNameHash, l.SignatureHash)
		var stored link
		found, err := getItem(tx, bucketLinks, key, t.pool.now(), &stored)
		if err != nil || !found || !stored.UsedAt.IsZero() {
			return err
		}
		return deleteItem(tx, bucketLinks, key)
	})
}

// Find implements [verify.Links].
func (t *triggerStore) Find(_ context.Context, userNameHash, signatureHash [sha256.Size]byte) (verify.Link, error) {
	var l link
	err := t.pool.db.view(func(tx *bbolt.Tx) error {
		found, err := getItem(tx, bucketLinks, linkKey(userNameHash, signatureHash), t.pool.now(), &l)
		if err == nil && !found {
			err = verify.ErrLinkNotFound
		}
		return err
	})
	if err != nil {
		return verify.Link{}, err
	}
	return verify.Link{
		IssuedAt: l.IssuedAt, Expires: l.Expires, KeyID: l.KeyID, AddressHash: l.Address, UsedBy: l.UsedBy, UsedAt: l.UsedAt,
	}, nil
}

// Consume implements [verify.Links].
func (t *triggerStore) Consume(ctx context.Context, u verify.Use) error {
	return t.pool.db.update(ctx, func(tx *bbolt.Tx) error {
		key := linkKey(u.UserNameHash, u.SignatureHash)
		var l link
		found, err := getItem(tx, bucketLinks, key, u.At, &l)
		switch {
		case err != nil:
			return err
		case !found:
			return verify.ErrLinkNotFound
		case !l.UsedAt.IsZero() && u.By != "" && sameSecret(l.UsedBy, u.By):
			return nil
		case !l.UsedAt.IsZero():
			return verify.ErrLinkUsed
		}
		err = userLinks(tx, u.UserNameHash, u.At, func(other []byte, o link) error {
			if bytes.Equal(other, key) || !o.UsedAt.IsZero() {
				return nil
			}
			return deleteItem(tx, bucketLinks, other)
		})
		if err != nil {
			return err
		}
		l.UsedAt, l.UsedBy = u.At.UTC(), u.By
		return putItem(tx, bucketLinks, key, l.Expires.Add(keepLinks), l)
	})
}
