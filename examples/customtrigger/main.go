// Command customtrigger is a PreSignUp Lambda of an operator's own: the domains that may sign up, less the addresses that are on a list.
package main

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"github.com/aws/aws-lambda-go/events"

	"github.com/caddy-cognito/passwordless/triggers/lambda/environment"
	"github.com/caddy-cognito/passwordless/triggers/lambda/serve"
	"github.com/caddy-cognito/passwordless/triggers/presignup"
)

type event = events.CognitoEventUserPoolsPreSignup

func main() { serve.Main("presignup", build) }

func build(env *environment.Reader, _ *slog.Logger) (serve.Trigger[event, event], error) {
	policy := &presignup.Handler{AllowedDomains: env.List("SIGN_UP_ALLOWED_DOMAINS")}
	env.Check("SIGN_UP_ALLOWED_DOMAINS", policy.Validate())
	blocked := env.List("BLOCKED_ADDRESSES")
	return serve.Trigger[event, event]{
		Limit:   serve.CognitoLimit,
		Outcome: func(_, _ event) string { return "confirm" },
		Handle: func(ctx context.Context, e event) (event, error) {
			address := e.Request.UserAttributes["email"]
			if slices.ContainsFunc(blocked, func(b string) bool { return strings.EqualFold(b, address) }) {
				return e, serve.Refuse("sign-up is not open for this address")
			}
			return policy.Handle(ctx, e)
		},
	}, nil
}
