// Package receipts is what the pretoken trigger needs of the secrets table: which method passed. It needs the permission dynamodb:GetItem.
package receipts

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-cognito/passwordless/triggers/aws/secrets"
	"github.com/caddy-cognito/passwordless/triggers/pretoken"
)

// Store implements Receipts of package pretoken.
type Store struct{ *secrets.Table }

// Receipt implements [pretoken.Receipts].
func (s Store) Receipt(ctx context.Context, key [sha256.Size]byte) (pretoken.Receipt, error) {
	item, err := s.Get(ctx, secrets.Key(secrets.KindReceipt, key))
	if err != nil {
		return pretoken.Receipt{}, fmt.Errorf("reading a receipt: %w", err)
	}
	if item == nil {
		return pretoken.Receipt{}, pretoken.ErrReceiptNotFound
	}
	at, ok := secrets.Int(item, "at")
	until, ok2 := secrets.Int(item, "until")
	method := secrets.String(item, "method")
	if !ok || !ok2 || method == "" {
		return pretoken.Receipt{}, errors.New("a receipt in the secrets table is damaged: it lacks method, at or until")
	}
	return pretoken.Receipt{Method: method, At: time.UnixMilli(at), Expires: time.UnixMilli(until)}, nil
}

var _ pretoken.Receipts = Store{}
