// Package issue is what the create trigger needs of the secrets table: links to store, and leases on sending them.
package issue

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/caddy-cognito/passwordless/triggers/aws/secrets"
	"github.com/caddy-cognito/passwordless/triggers/create"
)

// mostRounds bounds how often a write is tried again because another one came between.
const mostRounds = 8

// Store implements Links, Leases and Limiter of package create.
type Store struct {
	*secrets.Table
	// KeyID is the KMS key as it is configured: existing deployments find a link's public key by it.
	KeyID string
}

// Put implements [create.Links].
func (s *Store) Put(ctx context.Context, l create.Link, r create.LinkRules) error {
	fresh := secrets.Link{
		SignatureHash: l.SignatureHash[:], IssuedAt: l.IssuedAt, Expires: l.Expires, KeyID: s.KeyID, KeyARN: l.KeyID,
		Operation: l.Operation[:], AddressHash: l.AddressHash[:],
	}
	return s.change(ctx, l.UserNameHash, func(stored []secrets.Link) ([]secrets.Link, error) {
		kept, outstanding := []secrets.Link{fresh}, 0
		for _, other := range stored {
			live := l.IssuedAt.Before(other.Expires)
			recent := l.IssuedAt.Before(other.IssuedAt.Add(r.Between))
			switch {
			case bytes.Equal(other.Operation, l.Operation[:]) || !live && !recent:
				continue
			case recent:
				return nil, create.ErrTooManyLinks
			case !other.Used():
				outstanding++
			}
			kept = append(kept, other)
		}
		if outstanding >= r.Outstanding {
			return nil, create.ErrTooManyLinks
		}
		return kept, nil
	})
}

// Withdraw implements [create.Links].
func (s *Store) Withdraw(ctx context.Context, l create.Link) error {
	return s.change(ctx, l.UserNameHash, func(stored []secrets.Link) ([]secrets.Link, error) {
		for i, other := range stored {
			if bytes.Equal(other.SignatureHash, l.SignatureHash[:]) && !other.Used() {
				return append(stored[:i:i], stored[i+1:]...), nil
			}
		}
		return nil, errUnchanged
	})
}

var errUnchanged = errors.New("nothing to change")

func (s *Store) change(ctx context.Context, user [sha256.Size]byte, change func([]secrets.Link) ([]secrets.Link, error)) error {
	for range mostRounds {
		read, err := s.ReadLinks(ctx, user)
		if err != nil {
			return err
		}
		links, err := change(read.All())
		if errors.Is(err, errUnchanged) {
			return nil
		}
		if err != nil {
			return err
		}
		if done, err := s.Replace(ctx, read, links); done || err != nil {
			return err
		}
	}
	return errors.New("writing magic links: too many writers of one user's at once")
}

// keepLeases is how long an operation is remembered: longer than the longest Cognito session (15 minutes).
const keepLeases = time.Hour

// Lease implements [create.Leases].
func (s *Store) Lease(ctx context.Context, op [sha256.Size]byte, now time.Time, ttl time.Duration) (create.LeaseState, error) {
	item := secrets.Key(secrets.KindLease, op)
	item["until"], item["exp"] = secrets.Number(now.Add(ttl).UnixMilli()), secrets.Number(now.Add(keepLeases).Unix())
	_, err := s.Client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName:                           aws.String(s.Name),
		Item:                                item,
		ConditionExpression:                 aws.String("attribute_not_exists(#until) OR (attribute_not_exists(sent) AND #until <= :now)"),
		ExpressionAttributeNames:            map[string]string{"#until": "until"},
		ExpressionAttributeValues:           secrets.Item{":now": secrets.Number(now.UnixMilli())},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	old, failed := secrets.Failed(err)
	switch {
	case err == nil:
		return create.LeaseHeld, nil
	case !failed:
		return 0, fmt.Errorf("leasing an operation: %w", err)
	case old["sent"] != nil:
		return create.LeaseSent, nil
	default:
		return create.LeaseRunning, nil
	}
}

// Sent implements [create.Leases].
func (s *Store) Sent(ctx context.Context, op [sha256.Size]byte) error {
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	_, err := s.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:        aws.String(s.Name),
		Key:              secrets.Key(secrets.KindLease, op),
		UpdateExpression: aws.String("SET sent = :sent, #until = if_not_exists(#until, :zero), #exp = if_not_exists(#exp, :exp)"),
		ExpressionAttributeNames: map[string]string{
			"#until": "until", "#exp": "exp",
		},
		ExpressionAttributeValues: secrets.Item{
			":sent": &types.AttributeValueMemberBOOL{Value: true}, ":zero": secrets.Number(0), ":exp": secrets.Number(now().Add(keepLeases).Unix()),
		},
	})
	if err != nil {
		return fmt.Errorf("marking an operation as sent: %w", err)
	}
	return nil
}

// Release implements [create.Leases].
func (s *Store) Release(ctx context.Context, op [sha256.Size]byte) error {
	_, err := s.Client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName:           aws.String(s.Name),
		Key:                 secrets.Key(secrets.KindLease, op),
		ConditionExpression: aws.String("attribute_not_exists(sent)"),
	})
	if _, failed := secrets.Failed(err); err != nil && !failed {
		return fmt.Errorf("releasing an operation: %w", err)
	}
	return nil
}

// Interface guards
var (
	_ create.Links   = (*Store)(nil)
	_ create.Leases  = (*Store)(nil)
	_ create.Limiter = (*Store)(nil)
)
