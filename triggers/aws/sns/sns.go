// Package sns sends SMS by Amazon SNS.
package sns

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"github.com/caddy-cognito/passwordless/triggers/aws/account"
	"github.com/caddy-cognito/passwordless/triggers/create"
)

// Client is what the texter calls. [sns.Client] satisfies it.
type Client interface {
	Publish(ctx context.Context, in *sns.PublishInput, options ...func(*sns.Options)) (*sns.PublishOutput, error)
}

// Texter sends SMS as transactional messages. It needs the permission sns:Publish, which for phone numbers cannot be limited to a
// resource.
type Texter struct {
	Client Client
	// OriginationNumber is a number of the account in E.164; "": SNS chooses.
	OriginationNumber string
	// SenderID is what phones show as the sender, where the country knows that: 1 to 11 letters and digits. "": none.
	SenderID string
}

var (
	e164     = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	senderID = regexp.MustCompile(`^[A-Za-z0-9-]{1,11}$`)
)

// Validate tells what is wrong with the settings.
func (t *Texter) Validate() error {
	switch {
	case t.Client == nil:
		return errors.New("the texter has no client")
	case t.OriginationNumber != "" && !e164.MatchString(t.OriginationNumber):
		return fmt.Errorf("%q is no origination number: set it to E.164, such as +15551234567", t.OriginationNumber)
	case t.SenderID != "" && !senderID.MatchString(t.SenderID):
		return fmt.Errorf("%q is no sender ID: set it to 1 to 11 letters, digits or hyphens", t.SenderID)
	}
	return nil
}

// Send hands the SMS over (https://docs.aws.amazon.com/sns/latest/dg/sms_sending-overview.html). Errors are as [account.Deliver] has
// them, and do not tell the number.
func (t *Texter) Send(ctx context.Context, text create.Text) error {
	if !e164.MatchString(text.To) {
		return errors.New("the phone number is not in E.164")
	}
	attributes := map[string]types.MessageAttributeValue{"AWS.SNS.SMS.SMSType": value("Transactional")}
	if t.SenderID != "" {
		attributes["AWS.SNS.SMS.SenderID"] = value(t.SenderID)
	}
	if t.OriginationNumber != "" {
		attributes["AWS.MM.SMS.OriginationNumber"] = value(t.OriginationNumber)
	}
	return account.Deliver(ctx, func(ctx context.Context) error {
		_, err := t.Client.Publish(ctx, &sns.PublishInput{
			PhoneNumber: aws.String(text.To), Message: aws.String(text.Body), MessageAttributes: attributes,
		})
		if err != nil {
			return fmt.Errorf("sending by SNS: %w", err)
		}
		return nil
	})
}

func value(s string) types.MessageAttributeValue {
	return types.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String(s)}
}

var _ create.Texter = (*Texter)(nil)
