package secrets

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// mostRounds bounds how often a write is tried again because another one came between.
const mostRounds = 8

var errBusy = errors.New("too many writers of one item at once")

// Take implements Limiter of create and verify with fixed windows: one item a key, with the operations that were counted in its window.
// A clock that lags behind the one that opened the window counts in that window.
func (t *Table) Take(ctx context.Context, key, op Hash, limit int, window time.Duration, now time.Time) (bool, error) {
	if limit <= 0 || window <= 0 {
		return false, fmt.Errorf("a limit of %d in %s counts nothing", limit, window)
	}
	start := now.Truncate(window)
	values := Item{":start": Number(start.UnixMilli()), ":op": Binary(op[:]), ":ops": binarySet(op)}
	for range mostRounds {
		counted, err := t.count(ctx, key, values, limit)
		if counted || err == nil {
			return counted, nil
		}
		old, failed := Failed(err)
		if !failed {
			return false, fmt.Errorf("counting against a limit: %w", err)
		}
		if stored, ok := Int(old, "start"); ok && stored >= start.UnixMilli() {
			return false, nil // full
		}
		err = t.open(ctx, key, op, start, window)
		if err == nil {
			return true, nil
		}
		if _, failed := Failed(err); !failed {
			return false, fmt.Errorf("opening the window of a limit: %w", err)
		}
	}
	return false, fmt.Errorf("counting against a limit: %w", errBusy)
}

// count adds the operation to the window that is open, if that has room or knows it.
func (t *Table) count(ctx context.Context, key Hash, values Item, limit int) (bool, error) {
	values[":limit"] = Number(int64(limit))
	_, err := t.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                           aws.String(t.Name),
		Key:                                 Key(KindLimit, key),
		UpdateExpression:                    aws.String("ADD ops :ops"),
		ConditionExpression:                 aws.String("#start >= :start AND (attribute_not_exists(ops) OR size(ops) < :limit OR contains(ops, :op))"),
		ExpressionAttributeNames:            map[string]string{"#start": "start"},
		ExpressionAttributeValues:           values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	return err == nil, err
}

// open begins a window with the operation, unless another call has.
func (t *Table) open(ctx context.Context, key, op Hash, start time.Time, window time.Duration) error {
	item := Key(KindLimit, key)
	item["start"], item["ops"] = Number(start.UnixMilli()), binarySet(op)
	item["exp"] = Number(start.Add(window + time.Hour).Unix())
	_, err := t.Client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName:                 aws.String(t.Name),
		Item:                      item,
		ConditionExpression:       aws.String("attribute_not_exists(#start) OR #start < :start"),
		ExpressionAttributeNames:  map[string]string{"#start": "start"},
		ExpressionAttributeValues: Item{":start": item["start"]},
	})
	return err
}

// Return implements Limiter of verify.
func (t *Table) Return(ctx context.Context, key, op Hash) error {
	_, err := t.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                 aws.String(t.Name),
		Key:                       Key(KindLimit, key),
		UpdateExpression:          aws.String("DELETE ops :ops"),
		ConditionExpression:       aws.String("contains(ops, :op)"),
		ExpressionAttributeValues: Item{":op": Binary(op[:]), ":ops": binarySet(op)},
	})
	if _, failed := Failed(err); err != nil && !failed {
		return fmt.Errorf("returning a counted event: %w", err)
	}
	return nil
}

func binarySet(op Hash) types.AttributeValue {
	return &types.AttributeValueMemberBS{Value: [][]byte{op[:]}}
}
