package dynamo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const (
	lockFolder = "locks"

	// lease is how long a lock is respected whose holder gives no sign of life, which it does every beat. It is far below the
	// 60 seconds for which a user pool should take a rotated refresh token again.
	lease = 4 * time.Second
	beat  = time.Second

	firstPause = 20 * time.Millisecond
	longPause  = 250 * time.Millisecond
)

// holding is a lock that this process holds.
type holding struct {
	holder string // random; the item's token is "<holder>.<beat>"
	stop   context.CancelFunc
	done   chan struct{}
}

// Lock implements session.Storage. Clocks of different nodes are never compared: a lock is taken over by a process that has seen the
// same token for a whole lease, by its own clock.
func (s *Storage) Lock(ctx context.Context, name string) error {
	holder := rand.Text()
	pause := time.NewTimer(0)
	defer pause.Stop()
	<-pause.C
	var token string
	var since time.Time
	for wait := firstPause; ; wait = min(2*wait, longPause) {
		stale := ""
		if token != "" && s.now().Sub(since) >= lease {
			stale = token
		}
		seen, err := s.write(ctx, name, holder, 0, stale)
		if err != nil {
			return fmt.Errorf("locking in DynamoDB: %w", err)
		}
		if seen == "" {
			s.keep(name, holder)
			return nil
		}
		if seen != token {
			token, since = seen, s.now()
		}
		pause.Reset(wait)
		select {
		case <-ctx.Done():
			return fmt.Errorf("locking in DynamoDB: %w", ctx.Err())
		case <-pause.C:
		}
	}
}

// write writes the lock's item if it is free, ours already, or has the stale token; a write that is repeated finds its own token.
// Else it says with which token the lock is held.
func (s *Storage) write(ctx context.Context, name, holder string, beat int, stale string) (held string, err error) {
	entry := lockKey(name)
	entry["token"] = text(holder + "." + strconv.Itoa(beat))
	entry["expires"] = seconds(s.now().Add(24 * time.Hour)) // what a crash leaves behind
	condition := "begins_with(#token, :mine)"
	values := item{":mine": text(holder + ".")}
	if beat == 0 {
		condition += " OR attribute_not_exists(pk) OR #token = :stale"
		values[":stale"] = text(stale)
	}
	_, err = s.Client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName:                           &s.Table,
		Item:                                entry,
		ConditionExpression:                 &condition,
		ExpressionAttributeNames:            map[string]string{"#token": "token"}, // a reserved word
		ExpressionAttributeValues:           values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	var failed *types.ConditionalCheckFailedException
	if !errors.As(err, &failed) {
		return "", err
	}
	if token, ok := failed.Item["token"].(*types.AttributeValueMemberS); ok {
		return token.Value, nil
	}
	return "unknown", nil
}

// keep notes a lock that was taken and shows signs of life until it is released, or found in other hands.
func (s *Storage) keep(name, holder string) {
	ctx, stop := context.WithCancel(context.Background())
	h := &holding{holder: holder, stop: stop, done: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil {
		s.held = make(map[string]*holding)
	}
	s.held[name] = h
	go func() {
		defer close(h.done)
		ticker := time.NewTicker(beat)
		defer ticker.Stop()
		for n := 1; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if held, err := s.write(ctx, name, holder, n, ""); err == nil && held != "" {
				return
			}
		}
	}()
}

// Unlock implements session.Storage. A lock that was taken over meanwhile stays with its new holder and is an error.
func (s *Storage) Unlock(ctx context.Context, name string) error {
	s.mu.Lock()
	h := s.held[name]
	delete(s.held, name)
	s.mu.Unlock()
	if h == nil {
		return fmt.Errorf("unlocking in DynamoDB: the lock is not held")
	}
	h.stop()
	<-h.done
	_, err := s.Client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName:                 &s.Table,
		Key:                       lockKey(name),
		ConditionExpression:       aws.String("begins_with(#token, :mine)"),
		ExpressionAttributeNames:  map[string]string{"#token": "token"},
		ExpressionAttributeValues: item{":mine": text(h.holder + ".")},
	})
	if err != nil {
		return fmt.Errorf("unlocking in DynamoDB: %w", err)
	}
	return nil
}

func lockKey(name string) item { return item{"pk": text(lockFolder), "sk": text(name)} }
