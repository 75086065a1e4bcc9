// Package tables calls DynamoDB.
//
// Where the SDK's client itself becomes the value of an interface, a program that uses text/template holds every call that the client has:
// the linker cannot know which methods templates look up by name. [Client] has the calls that this module makes, and is all that becomes one.
package tables

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
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

// attemptTimeout bounds one attempt, of which the SDK makes three: its own client waits for an answer without end.
const attemptTimeout = 5 * time.Second

// New makes a client. A configuration's own HTTP client keeps its own time limits, the SDK's gets one.
func New(config aws.Config, options ...func(*dynamodb.Options)) *Client {
	config.HTTPClient = bounded(config.HTTPClient)
	c := dynamodb.NewFromConfig(config, options...)
	return &Client{
		get: c.GetItem, put: c.PutItem, update: c.UpdateItem, remove: c.DeleteItem, query: c.Query,
		transactGet: c.TransactGetItems, transactWrite: c.TransactWriteItems,
	}
}

func bounded(client aws.HTTPClient) aws.HTTPClient {
	if c, ok := client.(*awshttp.BuildableClient); ok && c.GetTimeout() == 0 {
		return c.WithTimeout(attemptTimeout)
	}
	return client
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
