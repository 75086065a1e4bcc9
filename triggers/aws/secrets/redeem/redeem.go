// Package redeem is what the verify trigger needs of the secrets table: links to find and to use up, limits, and receipts to leave.
package redeem

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/caddy-cognito/passwordless/triggers/aws/secrets"
	"github.com/caddy-cognito/passwordless/triggers/verify"
)

// mostRounds bounds how often a write is tried again because another one came between.
const mostRounds = 8

// Store implements Links, Operations, Limiter and Receipts of package verify.
type Store struct{ *secrets.Table }

// Find implements [verify.Links].
func (s Store) Find(ctx context.Context, userNameHash, signatureHash [sha256.Size]byte) (verify.Link, error) {
	links, err := s.ReadLinks(ctx, userNameHash)
	if err != nil {
		return verify.Link{}, err
	}
	l, ok := links.Find(signatureHash)
	if !ok {
		return verify.Link{}, verify.ErrLinkNotFound
	}
	found := verify.Link{IssuedAt: l.IssuedAt, Expires: l.Expires, KeyID: l.KeyARN, UsedBy: l.UsedBy, UsedAt: l.UsedAt}
	if found.KeyID == "" {
		found.KeyID = l.KeyID // an existing deployment's
	}
	copy(found.AddressHash[:], l.AddressHash)
	return found, nil
}

// FindOperation implements [verify.Operations].
func (s Store) FindOperation(ctx context.Context, userNameHash, operation [sha256.Size]byte) ([sha256.Size]byte, error) {
	links, err := s.ReadLinks(ctx, userNameHash)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	for _, l := range links.All() {
		if bytes.Equal(l.Operation, operation[:]) && len(l.SignatureHash) == sha256.Size {
			return [sha256.Size]byte(l.SignatureHash), nil
		}
	}
	return [sha256.Size]byte{}, verify.ErrLinkNotFound
}

// Consume implements [verify.Links].
func (s Store) Consume(ctx context.Context, u verify.Use) error {
	for range mostRounds {
		read, err := s.ReadLinks(ctx, u.UserNameHash)
		if err != nil {
			return err
		}
		l, ok := read.Find(u.SignatureHash)
		switch {
		case !ok:
			return verify.ErrLinkNotFound
		case l.Used() && u.By != "" && subtle.ConstantTimeCompare([]byte(l.UsedBy), []byte(u.By)) == 1:
			return nil
		case l.Used():
			return verify.ErrLinkUsed
		}
		l.UsedAt, l.UsedBy = u.At, u.By
		links := []secrets.Link{l}
		for _, other := range read.All() {
			if other.Used() {
				links = append(links, other)
			}
		}
		if done, err := s.Replace(ctx, read, links); done || err != nil {
			return err
		}
	}
	return errors.New("using a magic link: too many writers of one user's links at once")
}

// PutReceipt implements [verify.Receipts].
func (s Store) PutReceipt(ctx context.Context, key [sha256.Size]byte, r verify.Receipt) error {
	item := secrets.Key(secrets.KindReceipt, key)
	item["method"], item["at"] = secrets.Text(r.Method), secrets.Number(r.At.UnixMilli())
	item["until"] = secrets.Number(r.Expires.UnixMilli())
	item["exp"] = secrets.Number(r.Expires.Add(time.Minute).Unix())
	if _, err := s.Client.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String(s.Name), Item: item}); err != nil {
		return fmt.Errorf("storing a receipt: %w", err)
	}
	return nil
}

// Interface guards
var (
	_ verify.Links      = Store{}
	_ verify.Operations = Store{}
	_ verify.Limiter    = Store{}
	_ verify.Receipts   = Store{}
)
