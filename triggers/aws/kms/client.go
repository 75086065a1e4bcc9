package kms

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// sign is the one call of the SDK's client that is needed. The client itself would bring all its calls: see package tables.
type sign func(context.Context, *kms.SignInput, ...func(*kms.Options)) (*kms.SignOutput, error)

// Sign implements [SigningClient].
func (call sign) Sign(ctx context.Context, in *kms.SignInput, options ...func(*kms.Options)) (*kms.SignOutput, error) {
	return call(ctx, in, options...)
}

// NewSigningClient makes a client of the service.
func NewSigningClient(config aws.Config) SigningClient { return sign(kms.NewFromConfig(config).Sign) }
