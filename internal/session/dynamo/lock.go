package dynamo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const (
	lockFolder = "locks"

	// lease is how long a lock that nobody releases, for its node has crashed, is respected: longer than what is done under
	// it, and shorter than what a request waits.
	lease = 20 * time.Second

	firstPause = 20 * time.Millisecond
	longPause  = 250 * time.Millisecond
)

// Lock implements session.Storage. Clocks of different nodes are never compared: whoever waits takes a lock over once it has seen
// the same holder for a whole lease, by its own clock.
func (s *Storage) Lock(ctx context.Context, name string) error {
	token := rand.Text()
	pause := time.NewTimer(0)
	defer pause.Stop()
	<-pause.C
	var holder string
	var since time.Time
	for wait := firstPause; ; wait = min(2*wait, longPause) {
		stale := ""
		if holder != "" && s.now().Sub(since) >= lease {
			stale = holder
		}
		seen, err := s.tryLock(ctx, name, token, stale)
		if err != nil {
			return fmt.Errorf("locking in DynamoDB: %w", err)
		}
		if seen == "" {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.held == nil {
				s.held = make(map[string]string)
			}
			s.held[name] = token
			return nil
		}
		if seen != holder {
			holder, since = seen, s.now()
		}
		pause.Reset(wait)
		select {
		case <-ctx.Done():
			return fmt.Errorf("locking in DynamoDB: %w", ctx.Err())
		case <-pause.C:
		}
	}
}

// tryLock takes the lock if it is free or held with the stale token; a write that is repeated finds its own token. Else it says with
// which token the lock is held.
func (s *Storage) tryLock(ctx context.Context, name, token, stale string) (holder string, err error) {
	entry := lockKey(name)
	entry["token"] = text(token)
	entry["expires"] = seconds(s.now().Add(24 * time.Hour)) // what a crash leaves behind
	_, err = s.Client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName:                           &s.Table,
		Item:                                entry,
		ConditionExpression:                 aws.String("attribute_not_exists(pk) OR #token = :stale OR #token = :mine"),
		ExpressionAttributeNames:            map[string]string{"#token": "token"}, // a reserved word
		ExpressionAttributeValues:           item{":stale": text(stale), ":mine": text(token)},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	var failed *types.ConditionalCheckFailedException
	if !errors.As(err, &failed) {
		return "", err
	}
	if held, ok := failed.Item["token"].(*types.AttributeValueMemberS); ok {
		return held.Value, nil
	}
	return "unknown", nil
}

// Unlock implements session.Storage. A lock that somebody has taken over meanwhile stays with them and is an error.
func (s *Storage) Unlock(ctx context.Context, name string) error {
	s.mu.Lock()
	token, ok := s.held[name]
	delete(s.held, name)
	s.mu.Unlock()
	if !ok {
		return fmt.Errorf("unlocking in DynamoDB: the lock is not held")
	}
	_, err := s.Client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName:                 &s.Table,
		Key:                       lockKey(name),
		ConditionExpression:       aws.String("#token = :mine"),
		ExpressionAttributeNames:  map[string]string{"#token": "token"},
		ExpressionAttributeValues: item{":mine": text(token)},
	})
	if err != nil {
		return fmt.Errorf("unlocking in DynamoDB: %w", err)
	}
	return nil
}

func lockKey(name string) item { return item{"pk": text(lockFolder), "sk": text(name)} }
