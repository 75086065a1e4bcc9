// Package notifylambda makes the Lambda that mails people when a passkey was added to or removed from their account, or their phone number changed. A program of an
// operator's own calls [Main] with [Options] to put other parts in.
package notifylambda

import (
	"context"
	"log/slog"

	"github.com/caddy-cognito/passwordless/templates"
	"github.com/caddy-cognito/passwordless/triggers/aws/account"
	"github.com/caddy-cognito/passwordless/triggers/aws/cognito/directory"
	"github.com/caddy-cognito/passwordless/triggers/aws/ses"
	"github.com/caddy-cognito/passwordless/triggers/lambda/environment"
	"github.com/caddy-cognito/passwordless/triggers/lambda/product"
	"github.com/caddy-cognito/passwordless/triggers/lambda/serve"
	"github.com/caddy-cognito/passwordless/triggers/notify"
)

// Options replace parts. The variables of a part that is replaced are not read.
type Options struct {
	Mailer notify.Mailer // nil: Amazon SES
	Users  notify.Users  // nil: the user pool USER_POOL_ID
	// MailContent writes the mail; nil: [templates.PasskeyMail].
	MailContent func(locale string, d templates.PasskeyMailData) (templates.Message, error)
	// PhoneMailContent writes the mail about a phone number; nil: [templates.PhoneMail].
	PhoneMailContent func(locale string, d templates.PhoneMailData) (templates.Message, error)
}

type answer struct{}

// Main runs the Lambda. It does not return. The Lambda is called asynchronously, so its own timeout is its only limit.
func Main(o Options) {
	serve.Main("notify", func(env *environment.Reader, logger *slog.Logger) (serve.Trigger[notify.Event, answer], error) {
		h, err := New(env, logger, o)
		if err != nil {
			return serve.Trigger[notify.Event, answer]{}, err
		}
		return serve.Trigger[notify.Event, answer]{
			Outcome: func(notify.Event, answer) string { return "done" },
			Handle:  func(ctx context.Context, e notify.Event) (answer, error) { return answer{}, h.Handle(ctx, e) },
		}, nil
	})
}

// New makes the handler. Everything that is wrong with the environment is collected in env; the error is of another kind.
func New(env *environment.Reader, logger *slog.Logger, o Options) (*notify.Handler, error) {
	h := &notify.Handler{Users: o.Users, Mailer: o.Mailer, Content: o.MailContent, PhoneContent: o.PhoneMailContent, Product: product.Name(env), Logger: logger}
	if h.Users != nil && h.Mailer != nil {
		return h, nil
	}
	a, err := account.New(func(name string) string { return env.Text(name, "") })
	if err != nil {
		return nil, err
	}
	if h.Users == nil {
		h.Users = &directory.Users{
			Client:     directory.NewClient(a.Calls("COGNITO_IDENTITY_PROVIDER", "")),
			UserPoolID: env.Required("USER_POOL_ID", "the ID of the user pool, such as eu-west-1_Ab12Cd34E"),
		}
	}
	if h.Mailer == nil {
		m := &ses.Mailer[notify.Mail]{
			Client: ses.NewClient(a.Messages("SESV2", env.Text("SES_REGION", ""))),
			From:   env.Required("SES_FROM_ADDRESS", "the address that mails come from, a verified identity of SES"),
		}
		if m.From != "" {
			env.Check("SES_FROM_ADDRESS", m.Validate())
		}
		h.Mailer = m
	}
	return h, nil
}
