package localpool

import (
	"context"
	"crypto/sha256"

	"go.etcd.io/bbolt"

	"github.com/caddy-cognito/passwordless/triggers/verify"
)

// FindOperation implements [verify.Operations].
func (t *triggerStore) FindOperation(_ context.Context, userNameHash, operation [sha256.Size]byte) ([sha256.Size]byte, error) {
	var signatureHash [sha256.Size]byte
	found := false
	err := t.pool.db.view(func(tx *bbolt.Tx) error {
		return userLinks(tx, userNameHash, t.pool.now(), func(key []byte, l link) error {
			if l.Operation == operation && len(key) == 2*sha256.Size {
				found, signatureHash = true, [sha256.Size]byte(key[sha256.Size:])
			}
			return nil
		})
	})
	if err == nil && !found {
		err = verify.ErrLinkNotFound
	}
	return signatureHash, err
}

var _ verify.Operations = (*triggerStore)(nil)
