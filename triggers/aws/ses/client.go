package ses

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
)

// sendEmail is the one call of the SDK's client that is needed. The client itself would bring all its calls: see package tables.
type sendEmail func(context.Context, *sesv2.SendEmailInput, ...func(*sesv2.Options)) (*sesv2.SendEmailOutput, error)

// SendEmail implements [Client].
func (call sendEmail) SendEmail(ctx context.Context, in *sesv2.SendEmailInput, options ...func(*sesv2.Options)) (*sesv2.SendEmailOutput, error) {
	return call(ctx, in, options...)
}

// NewClient makes a client of the service.
func NewClient(config aws.Config) Client { return sendEmail(sesv2.NewFromConfig(config).SendEmail) }
