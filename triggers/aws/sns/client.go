package sns

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
)

// publish is the one call of the SDK's client that is needed. The client itself would bring all its calls: see package tables.
type publish func(context.Context, *sns.PublishInput, ...func(*sns.Options)) (*sns.PublishOutput, error)

// Publish implements [Client].
func (call publish) Publish(ctx context.Context, in *sns.PublishInput, options ...func(*sns.Options)) (*sns.PublishOutput, error) {
	return call(ctx, in, options...)
}

// NewClient makes a client of the service.
func NewClient(config aws.Config) Client { return publish(sns.NewFromConfig(config).Publish) }
