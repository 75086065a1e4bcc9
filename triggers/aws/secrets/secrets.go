// Package secrets is the secrets table of a deployment in DynamoDB: magic links in the form that existing deployments share, and items of
// our own beside them. The packages below it give each trigger what it needs of the table.
//
// The table's one key is userNameHash (binary). Under a user's hash (32 bytes) stands the newest link, in the attributes of existing
// deployments and some of our own, which their writes erase. Our items have keys of 33 bytes: the kind and a hash. All have the TTL
// attribute exp, in Unix seconds; DynamoDB may delete late, so exp is compared too wherever it counts.
package secrets

import (
	"context"
	"crypto/sha256"
	"errors"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Client is what the table needs of DynamoDB. [dynamodb.Client] satisfies it. Permissions: dynamodb:GetItem, dynamodb:PutItem,
// dynamodb:UpdateItem and dynamodb:DeleteItem on the table (transactions need those of their parts, and dynamodb:ConditionCheckItem).
type Client interface {
	GetItem(ctx context.Context, in *dynamodb.GetItemInput, options ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	PutItem(ctx context.Context, in *dynamodb.PutItemInput, options ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, options ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	DeleteItem(ctx context.Context, in *dynamodb.DeleteItemInput, options ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error)
	TransactGetItems(ctx context.Context, in *dynamodb.TransactGetItemsInput, options ...func(*dynamodb.Options)) (*dynamodb.TransactGetItemsOutput, error)
	TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, options ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error)
}

// Table is the table. Its limits implement Limiter of create and verify.
type Table struct {
	Client Client
	Name   string
	Now    func() time.Time // nil: time.Now
}

// Hash is a key or a secret's digest.
type Hash = [sha256.Size]byte

// Item is a row.
type Item = map[string]types.AttributeValue

// The kinds of our own items: the first byte of their keys. Changing one forgets what is in the tables of deployments.
const (
	KindLease   = 'o' // what is being sent, or was
	KindLimit   = 'c' // counted events
	KindReceipt = 'r' // which method passed
	KindLinks   = 'l' // a user's links but the newest
	KindSecret  = 'k' // the secret of the create trigger
)

// keyName is the table's key.
const keyName = "userNameHash"

// Key is the key of an item of our own.
func Key(kind byte, hash Hash) Item {
	return Item{keyName: Binary(append([]byte{kind}, hash[:]...))}
}

// Binary is an attribute of bytes.
func Binary(b []byte) types.AttributeValue { return &types.AttributeValueMemberB{Value: b} }

// Text is an attribute of text.
func Text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

// Number is a numeric attribute.
func Number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

// Bytes reads an attribute of bytes; nil where there is none.
func Bytes(i Item, name string) []byte {
	if v, ok := i[name].(*types.AttributeValueMemberB); ok {
		return v.Value
	}
	return nil
}

// String reads an attribute of text; "" where there is none.
func String(i Item, name string) string {
	if v, ok := i[name].(*types.AttributeValueMemberS); ok {
		return v.Value
	}
	return ""
}

// Int reads a numeric attribute, fractions cut off: JavaScript may have written some. False where there is none.
func Int(i Item, name string) (int64, bool) {
	v, ok := i[name].(*types.AttributeValueMemberN)
	if !ok {
		return 0, false
	}
	if n, err := strconv.ParseInt(v.Value, 10, 64); err == nil {
		return n, true // exactly: a float has no room for nanoseconds
	}
	n, err := strconv.ParseFloat(v.Value, 64)
	return int64(n), err == nil
}

// Get reads an item, strongly consistent; nil if there is none.
func (t *Table) Get(ctx context.Context, key Item) (Item, error) {
	out, err := t.Client.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String(t.Name), Key: key, ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, err
	}
	return out.Item, nil
}

// Failed reports whether a write was refused by its condition, and the item as it was (nil: none) if the write asked for it.
func Failed(err error) (Item, bool) {
	var failed *types.ConditionalCheckFailedException
	if !errors.As(err, &failed) {
		return nil, false
	}
	return failed.Item, true
}

func (t *Table) now() time.Time {
	if t.Now == nil {
		return time.Now()
	}
	return t.Now()
}
