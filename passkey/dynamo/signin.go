package dynamo

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/caddy-cognito/passwordless/passkey"
)

// maxConflicts bounds how often a transaction is repeated that met another on the same passkey. DynamoDB cancels one of two
// concurrent transactions, and the SDK does not repeat a cancelled one.
const maxConflicts = 5

const (
	signInUpdate = "SET signCount = :count, flagBackupState = :backup, lastSignIn = :at, lastChallenge = :mark"
	// signInCondition is the counter rule of WebAuthn Level 3, section 7.2, step 22, kept by the write itself.
	signInCondition = "attribute_exists(pk) AND (signCount < :count OR (signCount = :zero AND :count = :zero))"
)

// RecordSignIn implements [passkey.Store]. With a challenge of the user's own session it is one call.
func (s *Store) RecordSignIn(ctx context.Context, in passkey.SignIn) error {
	if !fits(in.CredentialID) {
		return passkey.ErrUnknownCredential
	}
	if in.Usernameless {
		return s.recordUsernameless(ctx, in)
	}
	_, err := s.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                           &s.Table,
		Key:                                 credentialKey(in.UserHandle, in.CredentialID),
		UpdateExpression:                    aws.String(signInUpdate),
		ConditionExpression:                 aws.String(signInCondition),
		ExpressionAttributeValues:           signInValues(in),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	var failed *types.ConditionalCheckFailedException
	if errors.As(err, &failed) {
		return refused(in, failed.Item, passkey.ErrCounter)
	}
	return wrap("recording a sign-in", err)
}

func (s *Store) recordUsernameless(ctx context.Context, in passkey.SignIn) error {
	transaction := &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		{Update: &types.Update{
			TableName:                           &s.Table,
			Key:                                 credentialKey(in.UserHandle, in.CredentialID),
			UpdateExpression:                    aws.String(signInUpdate),
			ConditionExpression:                 aws.String(signInCondition),
			ExpressionAttributeValues:           signInValues(in),
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		}},
		{Delete: &types.Delete{
			TableName:                 &s.Table,
			Key:                       usernamelessKey(in.Challenge),
			ConditionExpression:       aws.String("exp >= :now"),
			ExpressionAttributeValues: item{":now": seconds(in.At)},
		}},
	}}
	for conflicts := 0; ; conflicts++ {
		_, err := s.Client.TransactWriteItems(ctx, transaction)
		var cancelled *types.TransactionCanceledException
		if !errors.As(err, &cancelled) || len(cancelled.CancellationReasons) != 2 {
			return wrap("recording a sign-in", err)
		}
		credential, challenge := cancelled.CancellationReasons[0], cancelled.CancellationReasons[1]
		switch {
		case reason(credential, "ConditionalCheckFailed"):
			return refused(in, credential.Item, passkey.ErrCounter)
		case reason(challenge, "ConditionalCheckFailed"):
			return s.refusedChallenge(ctx, in)
		case !reason(credential, "TransactionConflict") && !reason(challenge, "TransactionConflict"),
			conflicts == maxConflicts:
			return wrap("recording a sign-in", err)
		}
		if err := pause(ctx, conflicts); err != nil {
			return wrap("recording a sign-in", err)
		}
	}
}

// refusedChallenge tells a repeated call, whose first try consumed the challenge, from a replay.
func (s *Store) refusedChallenge(ctx context.Context, in passkey.SignIn) error {
	out, err := s.Client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName:      &s.Table,
		Key:            credentialKey(in.UserHandle, in.CredentialID),
		ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return wrap("reading a credential", err)
	}
	return refused(in, out.Item, passkey.ErrChallengeNotFound)
}

// refused is nil when the stored passkey shows that this very sign-in was accepted before.
func refused(in passkey.SignIn, stored item, because error) error {
	if len(stored) == 0 {
		return passkey.ErrUnknownCredential
	}
	if mark, ok := stored["lastChallenge"].(*types.AttributeValueMemberB); ok && in.Retries(mark.Value) {
		return nil
	}
	return because
}

func reason(r types.CancellationReason, code string) bool { return aws.ToString(r.Code) == code }

func signInValues(in passkey.SignIn) item {
	return item{
		":count":  &types.AttributeValueMemberN{Value: strconv.FormatUint(uint64(in.SignCount), 10)},
		":zero":   &types.AttributeValueMemberN{Value: "0"},
		":backup": flag(in.BackupState),
		":at":     timestamp(in.At),
		":mark":   &types.AttributeValueMemberB{Value: in.LastChallenge()},
	}
}

// pause waits 20 ms longer at each conflict, or until ctx is done.
func pause(ctx context.Context, conflicts int) error {
	timer := time.NewTimer(time.Duration(conflicts+1) * 20 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("waiting for another sign-in with this passkey: %w", ctx.Err())
	case <-timer.C:
		return nil
	}
}
