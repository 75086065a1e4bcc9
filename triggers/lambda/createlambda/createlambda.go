// Package createlambda makes the CreateAuthChallenge trigger out of a Lambda's environment. A program of an operator's own calls [Main] with
// [Options] to put other parts in.
package createlambda

import (
	"context"
	"log/slog"

	"github.com/aws/aws-lambda-go/events"

	"github.com/caddy-cognito/passwordless/templates"
	"github.com/caddy-cognito/passwordless/triggers/create"
	"github.com/caddy-cognito/passwordless/triggers/lambda/environment"
	"github.com/caddy-cognito/passwordless/triggers/lambda/pooltoken"
	"github.com/caddy-cognito/passwordless/triggers/lambda/serve"
)

// Options replace parts. The variables of a part that is replaced are not read.
type Options struct {
	Mailer create.Mailer // nil: Amazon SES
	Texter create.Texter // nil: Amazon SNS
	// MailContent writes the mail with the link; nil: [templates.MagicLinkMail].
	MailContent func(locale string, d templates.MagicLinkData) (templates.Message, error)
	// TextContent writes the SMS with the code; nil: [templates.SMSText].
	TextContent func(locale string, d templates.SMSData) (string, error)
	// Challenge makes the challenge of a passkey sign-in, in base64url without padding; nil: 64 random bytes.
	Challenge func(ctx context.Context) (string, error)
	// PhoneMask is what the page shows of a phone number; nil: its last digits. It gets made-up numbers, too.
	PhoneMask func(number string) string
}

type event = events.CognitoEventUserPoolsCreateAuthChallenge

// Main runs the Lambda. It does not return.
func Main(o Options) {
	serve.Main("create", func(env *environment.Reader, logger *slog.Logger) (serve.Trigger[event, event], error) {
		h, secret, err := New(env, logger, o)
		if err != nil {
			return serve.Trigger[event, event]{}, err
		}
		return serve.Trigger[event, event]{
			Limit:   serve.CognitoLimit,
			Method:  func(e event) string { return serve.Method(e.Request.ClientMetadata) },
			Outcome: outcome,
			Handle: func(ctx context.Context, e event) (event, error) {
				if err := secret.Into(ctx, h); err != nil {
					return e, err
				}
				return h.Handle(pooltoken.WithAudience(ctx, e.UserPoolID, e.CallerContext.ClientID), e)
			},
		}, nil
	})
}

// outcome does not tell whether something was sent: the line stands beside a user's request.
func outcome(question, _ event) string {
	if len(question.Request.Session) == 0 {
		return "offer"
	}
	return "ask"
}
