// Package ses mails by Amazon SES.
package ses

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	"github.com/caddy-cognito/passwordless/triggers/aws/account"
)

// Client is what the mailer calls. [sesv2.Client] satisfies it.
type Client interface {
	SendEmail(ctx context.Context, in *sesv2.SendEmailInput, options ...func(*sesv2.Options)) (*sesv2.SendEmailOutput, error)
}

// Mail is the form that the mails of the triggers share.
type Mail interface {
	~struct {
		To      string
		Locale  string
		Subject string
		Text    string
		HTML    string
	}
}

type message struct {
	To      string
	Locale  string
	Subject string
	Text    string
	HTML    string
}

// Mailer sends the mails of one trigger, whose type M is. It needs the permission ses:SendEmail on the identity of From.
type Mailer[M Mail] struct {
	Client Client
	From   string // RFC 5322, with or without a display name: a verified identity of the account
}

// Validate tells what is wrong with the settings.
func (m *Mailer[M]) Validate() error {
	if m.Client == nil {
		return errors.New("the mailer has no client")
	}
	if _, err := mail.ParseAddress(m.From); err != nil || strings.ContainsAny(m.From, "\r\n") {
		return fmt.Errorf("%q is no sender: set it to an address such as \"Example <no-reply@example.com>\"", m.From)
	}
	return nil
}

// Send hands the mail over (https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html). It is in the form of both
// text and HTML; SES writes the headers, so that no content can add one. The recipient must be one bare address. Errors are as
// [account.Deliver] has them.
func (m *Mailer[M]) Send(ctx context.Context, mail M) error {
	letter := message(mail)
	if err := single(letter.To); err != nil {
		return err
	}
	if strings.ContainsAny(letter.Subject, "\r\n") {
		return errors.New("the subject of a mail has more than one line")
	}
	content := func(s string) *types.Content {
		return &types.Content{Data: aws.String(s), Charset: aws.String("UTF-8")}
	}
	return account.Deliver(ctx, func(ctx context.Context) error {
		_, err := m.Client.SendEmail(ctx, &sesv2.SendEmailInput{
			FromEmailAddress: aws.String(m.From),
			Destination:      &types.Destination{ToAddresses: []string{letter.To}},
			Content: &types.EmailContent{Simple: &types.Message{
				Subject: content(letter.Subject),
				Body:    &types.Body{Text: content(letter.Text), Html: content(letter.HTML)},
			}},
		})
		if err != nil {
			return fmt.Errorf("sending by SES: %w", err)
		}
		return nil
	})
}

// single refuses what could address somebody else besides. The error does not tell the address.
func single(to string) error {
	parsed, err := mail.ParseAddress(to)
	if err != nil || parsed.Name != "" || parsed.Address != to {
		return errors.New("the recipient is not one bare mail address")
	}
	return nil
}
