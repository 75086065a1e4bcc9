// Package dynamo is the passkey store on DynamoDB. Its table and items are those of amazon-cognito-passwordless-auth, so a
// table can be shared with, or taken over from, an existing deployment without migration.
//
// The table has the partition key "pk" (S), the sort key "sk" (S), a TTL on "exp", and a global secondary index
// "credentialId" with the partition key "credentialId" (B) and keys only. DynamoDB deletes expired items up to 48 hours late
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html), so every read checks "exp" itself.
package dynamo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/caddy-cognito/passwordless/passkey"
)

// API is the part of the DynamoDB client that the store calls.
type API interface {
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
	TransactWriteItems(context.Context, *dynamodb.TransactWriteItemsInput, ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error)
}

// Store implements [passkey.Store].
type Store struct {
	Client API
	Table  string // the authenticators table
}

// PutRegistration implements [passkey.Store].
func (s *Store) PutRegistration(ctx context.Context, userHandle, challenge string, options []byte, expires time.Time) error {
	var decoded map[string]any
	if err := json.Unmarshal(options, &decoded); err != nil {
		return fmt.Errorf("storing a registration challenge: %w", err)
	}
	m, err := attributevalue.Marshal(decoded)
	if err != nil {
		return fmt.Errorf("storing a registration challenge: %w", err)
	}
	item := userKey(userHandle, challengePrefix+challenge)
	item["options"] = m
	item["exp"] = seconds(expires)
	_, err = s.Client.PutItem(ctx, &dynamodb.PutItemInput{TableName: &s.Table, Item: item})
	return wrap("storing a registration challenge", err)
}

// TakeRegistration implements [passkey.Store].
func (s *Store) TakeRegistration(ctx context.Context, userHandle, challenge string, now time.Time) ([]byte, error) {
	out, err := s.Client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName:                 &s.Table,
		Key:                       userKey(userHandle, challengePrefix+challenge),
		ConditionExpression:       aws.String("exp >= :now"),
		ExpressionAttributeValues: item{":now": seconds(now)},
		ReturnValues:              types.ReturnValueAllOld,
	})
	if conditionFailed(err) {
		return nil, passkey.ErrChallengeNotFound
	}
	if err != nil {
		return nil, wrap("taking a registration challenge", err)
	}
	var options map[string]any
	if err := attributevalue.Unmarshal(out.Attributes["options"], &options); err != nil {
		return nil, wrap("reading a registration challenge", err)
	}
	return json.Marshal(options)
}

// Add implements [passkey.Store]. That no other user has the ID is looked up in the index, which lags by the time
// DynamoDB takes to propagate a write; within one user the write itself is conditional.
func (s *Store) Add(ctx context.Context, c passkey.Credential) error {
	if !fits(c.ID) {
		return fmt.Errorf("adding a credential: its ID has %d bytes, at most %d fit a key of DynamoDB", len(c.ID), passkey.MaxCredentialID)
	}
	found, err := s.Client.Query(ctx, &dynamodb.QueryInput{
		TableName:                 &s.Table,
		IndexName:                 aws.String("credentialId"),
		KeyConditionExpression:    aws.String("credentialId = :id"),
		ExpressionAttributeValues: item{":id": &types.AttributeValueMemberB{Value: c.ID}},
		Limit:                     aws.Int32(1),
	})
	if err != nil {
		return wrap("looking for the credential ID", err)
	}
	if len(found.Items) > 0 {
		return passkey.ErrCredentialExists
	}
	_, err = s.Client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName:           &s.Table,
		Item:                marshalCredential(c),
		ConditionExpression: aws.String("attribute_not_exists(pk)"),
	})
	if conditionFailed(err) {
		return passkey.ErrCredentialExists
	}
	return wrap("adding a credential", err)
}

// Get implements [passkey.Store].
func (s *Store) Get(ctx context.Context, userHandle string, id []byte) (passkey.Credential, error) {
	if !fits(id) {
		return passkey.Credential{}, passkey.ErrUnknownCredential
	}
	out, err := s.Client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName:      &s.Table,
		Key:            credentialKey(userHandle, id),
		ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return passkey.Credential{}, wrap("reading a credential", err)
	}
	if len(out.Item) == 0 {
		return passkey.Credential{}, passkey.ErrUnknownCredential
	}
	return unmarshalCredential(out.Item)
}

// List implements [passkey.Store].
func (s *Store) List(ctx context.Context, userHandle, relyingPartyID string) ([]passkey.Credential, error) {
	var list []passkey.Credential
	pages := dynamodb.NewQueryPaginator(s.Client, &dynamodb.QueryInput{
		TableName:              &s.Table,
		ConsistentRead:         aws.Bool(true),
		KeyConditionExpression: aws.String("pk = :user and begins_with(sk, :credential)"),
		ExpressionAttributeValues: item{
			":user":       stringValue(userPrefix + userHandle),
			":credential": stringValue(credentialPrefix),
		},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, wrap("listing credentials", err)
		}
		for _, i := range page.Items {
			c, err := unmarshalCredential(i)
			if err != nil {
				return nil, err
			}
			if relyingPartyID == "" || c.RelyingPartyID == relyingPartyID {
				list = append(list, c)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b passkey.Credential) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return list, nil
}

// Rename implements [passkey.Store].
func (s *Store) Rename(ctx context.Context, userHandle string, id []byte, name string) error {
	if !fits(id) {
		return passkey.ErrUnknownCredential
	}
	_, err := s.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                 &s.Table,
		Key:                       credentialKey(userHandle, id),
		UpdateExpression:          aws.String("SET friendlyName = :name"),
		ConditionExpression:       aws.String("attribute_exists(pk)"),
		ExpressionAttributeValues: item{":name": stringValue(name)},
	})
	if conditionFailed(err) {
		return passkey.ErrUnknownCredential
	}
	return wrap("renaming a credential", err)
}

// Delete implements [passkey.Store].
func (s *Store) Delete(ctx context.Context, userHandle string, id []byte) error {
	if !fits(id) {
		return nil
	}
	_, err := s.Client.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &s.Table, Key: credentialKey(userHandle, id)})
	return wrap("deleting a credential", err)
}

// PutSignInChallenge implements [passkey.Store].
func (s *Store) PutSignInChallenge(ctx context.Context, challenge string, expires time.Time) error {
	i := usernamelessKey(challenge)
	i["exp"] = seconds(expires)
	_, err := s.Client.PutItem(ctx, &dynamodb.PutItemInput{TableName: &s.Table, Item: i})
	return wrap("storing a sign-in challenge", err)
}

// fits reports whether an ID can be part of a key. DynamoDB answers a longer one with an error, where it is merely unknown.
func fits(id []byte) bool { return len(id) <= passkey.MaxCredentialID }

func seconds(t time.Time) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(t.Unix(), 10)}
}

// wrap adds what was being done; nil stays nil.
func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s in DynamoDB: %w", doing, err)
}

func conditionFailed(err error) bool {
	var failed *types.ConditionalCheckFailedException
	return errors.As(err, &failed)
}

// Interface guard
var _ passkey.Store = (*Store)(nil)
