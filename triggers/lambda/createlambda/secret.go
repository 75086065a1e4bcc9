package createlambda

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/triggers/aws/secrets"
	"github.com/caddy-cognito/passwordless/triggers/create"
)

// secretLength is that of a secret made here, in bytes.
const secretLength = 32

// items is the part of the DynamoDB client that the secret needs.
type items interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
}

// Secret is what keys made-up passkeys and phone numbers, and codes. It must be the same in every instance. Where no variable holds it, the
// first instance makes one and keeps it in the secrets table for good: an item without a time to live.
type Secret struct {
	table  items // nil: fixed holds it
	name   string
	fixed  []byte
	mu     sync.Mutex
	loaded bool
}

// Into gives the handler its secret, before the first event. What fails is tried again with the next one.
func (s *Secret) Into(ctx context.Context, h *create.Handler) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loaded {
		return nil
	}
	h.Secret = s.fixed
	if s.table != nil {
		kept, err := s.kept(ctx)
		if err != nil {
			return &challenge.Failure{Text: "sign-in is not available at the moment", Cause: err}
		}
		h.Secret = kept
	}
	s.loaded = true
	return nil
}

// kept reads the table's secret, or makes it. Several instances may do so at once: one write wins, and all read that.
func (s *Secret) kept(ctx context.Context) ([]byte, error) {
	if v, err := s.read(ctx); v != nil || err != nil {
		return v, err
	}
	fresh := make([]byte, secretLength)
	if _, err := rand.Read(fresh); err != nil {
		return nil, fmt.Errorf("making the secret: %w", err)
	}
	item := secretKey()
	item["secret"] = &types.AttributeValueMemberB{Value: fresh}
	_, err := s.table.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &s.name, Item: item, ConditionExpression: aws.String("attribute_not_exists(userNameHash)"),
	})
	if lost := (*types.ConditionalCheckFailedException)(nil); err != nil && !errors.As(err, &lost) {
		return nil, fmt.Errorf("storing the secret: %w", err)
	}
	v, err := s.read(ctx)
	if v == nil && err == nil {
		err = errors.New("the secret is gone from the secrets table as soon as it was stored")
	}
	return v, err
}

func (s *Secret) read(ctx context.Context) ([]byte, error) {
	out, err := s.table.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.name, Key: secretKey(), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, fmt.Errorf("reading the secret: %w", err)
	}
	if out.Item == nil {
		return nil, nil
	}
	v, ok := out.Item["secret"].(*types.AttributeValueMemberB)
	if !ok || len(v.Value) < secretLength {
		return nil, errors.New("the secret in the secrets table is damaged: delete its item, or set TRIGGER_SECRET")
	}
	return v.Value, nil
}

func secretKey() secrets.Item {
	return secrets.Key(secrets.KindSecret, sha256.Sum256([]byte("secret of the create trigger")))
}

// parseSecret reads TRIGGER_SECRET. The error does not quote it.
func parseSecret(text string) ([]byte, error) {
	for _, form := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if v, err := form.DecodeString(text); err == nil && len(v) >= secretLength {
			return v, nil
		}
	}
	return nil, fmt.Errorf("is not %d or more bytes in base64: make it with openssl rand -base64 %d", secretLength, secretLength)
}
