// Package tables calls DynamoDB.
//
// Where the SDK's client itself becomes the value of an interface, a program that uses text/template holds every call that the client has:
// the linker cannot know which methods templates look up by name. [Client] has the calls that this module makes, and is all that becomes one.
package tables

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// call is one operation of the service.
type call[I, O any] func(context.Context, *I, ...func(*dynamodb.Options)) (*O, error)

// Client satisfies the clients of packages secrets, passkey/dynamo and session/dynamo.
type Client struct {
	get           call[dynamodb.GetItemInput, dynamodb.GetItemOutput]
	put           call[dynamodb.PutItemInput, dynamodb.PutItemOutput]
	update        call[dynamodb.UpdateItemInput, dynamodb.UpdateItemOutput]
	remove        call[dynamodb.DeleteItemInput, dynamodb.DeleteItemOutput]
	query         call[dynamodb.QueryInput, dynamodb.QueryOutput]
	transactGet   call[dynamodb.TransactGetItemsInput, dynamodb.TransactGetItemsOutput]
	transactWrite call[dynamodb.TransactWriteItemsInput, dynamodb.TransactWriteItemsOutput]
}

// New makes a client.
func New(config aws.Config, options ...func(*dynamodb.Options)) *Client {
	c := dynamodb.NewFromConfig(config, options...)
	return &Client{
		get: c.GetItem, put: c.PutItem, update: c.UpdateItem, remove: c.DeleteItem, query: c.Query,
		transactGet: c.TransactGetItems, transactWrite: c.TransactWriteItems,
	}
}

// GetItem is the operation of that name, as are the others.
func (c *Client) GetItem(ctx context.Context, in *dynamodb.GetItemInput, options ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	return c.get(ctx, in, options...)
}

// PutItem implements the clients.
func (c *Client) PutItem(ctx context.Context, in *dynamodb.PutItemInput, options ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	return c.put(ctx, in, options...)
}

// UpdateItem implements the clients.
func (c *Client) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, options ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	return c.update(ctx, in, options...)
}

// DeleteItem implements the clients.
func (c *Client) DeleteItem(ctx context.Context, in *dynamodb.DeleteItemInput, options ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error) {
	return c.remove(ctx, in, options...)
}

// Query implements the clients.
func (c *Client) Query(ctx context.Context, in *dynamodb.QueryInput, options ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	return c.query(ctx, in, options...)
}

// TransactGetItems implements the clients.
func (c *Client) TransactGetItems(ctx context.Context, in *dynamodb.TransactGetItemsInput, options ...func(*dynamodb.Options)) (*dynamodb.TransactGetItemsOutput, error) {
	return c.transactGet(ctx, in, options...)
}

// TransactWriteItems implements the clients.
func (c *Client) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, options ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	return c.transactWrite(ctx, in, options...)
}
