// Package dynamo keeps sessions in a DynamoDB table: a session.Storage for fleets whose nodes share no disk, or more sessions than
// a disk likes to list.
//
// The table has the partition key "pk" (S), the sort key "sk" (S) and a TTL on "expires" (N). A storage key's folder is the
// partition, its last element the sort key, so that one Query lists a folder. DynamoDB deletes expired items up to 48 hours late
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html), so every read checks "expires" itself. All reads are
// strongly consistent: a sign-out that was stored is seen by whoever looks next.
//
// Values are stored as they come; the session package seals them first. Keep the cookie keys elsewhere.
package dynamo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// API is the part of the DynamoDB client that the storage calls.
type API interface {
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
}

// Storage is a session.Storage on one table, which several realms may share. Use it by pointer; it is safe for concurrent use.
type Storage struct {
	Client API
	Table  string
	Now    func() time.Time // nil: time.Now

	mu   sync.Mutex
	held map[string]*holding // by name of the lock
}

type item = map[string]types.AttributeValue

func (s *Storage) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// keyOf splits a storage key into partition and sort key.
func keyOf(key string) item {
	folder, name := path.Split(key)
	return item{"pk": text(strings.TrimSuffix(folder, "/")), "sk": text(name)}
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func seconds(t time.Time) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(t.Unix(), 10)}
}

// Store implements session.Storage.
func (s *Storage) Store(ctx context.Context, key string, value []byte) error {
	return s.put(ctx, key, value, nil)
}

// StoreUntil implements session.Expirer.
func (s *Storage) StoreUntil(ctx context.Context, key string, value []byte, expires time.Time) error {
	return s.put(ctx, key, value, seconds(expires.Add(time.Second-1))) // rounded up
}

func (s *Storage) put(ctx context.Context, key string, value []byte, expires types.AttributeValue) error {
	entry := keyOf(key)
	entry["value"] = &types.AttributeValueMemberB{Value: value}
	if expires != nil {
		entry["expires"] = expires
	}
	if _, err := s.Client.PutItem(ctx, &dynamodb.PutItemInput{TableName: &s.Table, Item: entry}); err != nil {
		return fmt.Errorf("storing in DynamoDB: %w", err)
	}
	return nil
}

// Load implements session.Storage.
func (s *Storage) Load(ctx context.Context, key string) ([]byte, error) {
	out, err := s.Client.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: keyOf(key), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, fmt.Errorf("loading from DynamoDB: %w", err)
	}
	return s.valueOf(out.Item)
}

// Take implements session.Taker: of all who ask at once, on however many nodes, one gets the value.
func (s *Storage) Take(ctx context.Context, key string) ([]byte, error) {
	out, err := s.Client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: &s.Table, Key: keyOf(key), ReturnValues: types.ReturnValueAllOld,
		// Without a condition DynamoDB Local shows the old item to several who delete at once.
		ConditionExpression: aws.String("attribute_exists(pk)"),
	})
	var failed *types.ConditionalCheckFailedException
	if errors.As(err, &failed) {
		return nil, fmt.Errorf("taking from DynamoDB: %w", fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("taking from DynamoDB: %w", err)
	}
	return s.valueOf(out.Attributes)
}

// valueOf reads an item; one that is missing or has expired is fs.ErrNotExist.
func (s *Storage) valueOf(entry item) ([]byte, error) {
	value, ok := entry["value"].(*types.AttributeValueMemberB)
	if !ok || s.expired(entry) {
		return nil, fmt.Errorf("loading from DynamoDB: %w", fs.ErrNotExist)
	}
	return value.Value, nil
}

func (s *Storage) expired(entry item) bool {
	expires, ok := entry["expires"].(*types.AttributeValueMemberN)
	if !ok {
		return false
	}
	at, err := strconv.ParseInt(expires.Value, 10, 64)
	return err != nil || s.now().Unix() >= at
}

// Delete implements session.Storage. A missing item is no error.
func (s *Storage) Delete(ctx context.Context, key string) error {
	if _, err := s.Client.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &s.Table, Key: keyOf(key)}); err != nil {
		return fmt.Errorf("deleting from DynamoDB: %w", err)
	}
	return nil
}

// Exists implements session.Storage: for items, and for folders that have items in themselves. It is true where DynamoDB does not
// answer, so that the read which follows fails: "there is nothing" would be an answer.
func (s *Storage) Exists(ctx context.Context, key string) bool {
	if strings.Contains(key, "/") { // else no item's key, which DynamoDB would not take
		if _, err := s.Load(ctx, key); !errors.Is(err, fs.ErrNotExist) {
			return true
		}
	}
	names, err := s.list(ctx, key, 1)
	return err != nil || len(names) > 0
}

// List implements session.Storage, for the items of one folder. A folder without items is fs.ErrNotExist; listing the folders
// below would read the whole table, so recursive is refused with errors.ErrUnsupported.
func (s *Storage) List(ctx context.Context, folder string, recursive bool) ([]string, error) {
	if recursive {
		return nil, fmt.Errorf("listing everything below a folder in DynamoDB: %w", errors.ErrUnsupported)
	}
	names, err := s.list(ctx, folder, 0)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("listing in DynamoDB: %w", fs.ErrNotExist)
	}
	return names, nil
}

// list reads the keys of a folder, at most limit unless that is zero.
func (s *Storage) list(ctx context.Context, folder string, limit int) ([]string, error) {
	pages := dynamodb.NewQueryPaginator(s.Client, &dynamodb.QueryInput{
		TableName:                 &s.Table,
		KeyConditionExpression:    aws.String("pk = :folder"),
		ExpressionAttributeValues: item{":folder": text(strings.TrimSuffix(folder, "/"))},
		ProjectionExpression:      aws.String("pk, sk, expires"),
		ConsistentRead:            aws.Bool(true),
	})
	var keys []string
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing in DynamoDB: %w", err)
		}
		for _, entry := range page.Items {
			name, ok := entry["sk"].(*types.AttributeValueMemberS)
			if !ok || s.expired(entry) {
				continue
			}
			if keys = append(keys, path.Join(folder, name.Value)); len(keys) == limit {
				return keys, nil
			}
		}
	}
	return keys, nil
}
