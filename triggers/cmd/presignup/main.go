// Command presignup is the PreSignUp trigger as a Lambda for provided.al2023.
package main

import (
	"log/slog"

	"github.com/aws/aws-lambda-go/events"

	"github.com/caddy-cognito/passwordless/triggers/lambda/environment"
	"github.com/caddy-cognito/passwordless/triggers/lambda/serve"
	"github.com/caddy-cognito/passwordless/triggers/presignup"
)

type event = events.CognitoEventUserPoolsPreSignup

func main() {
	serve.Main("presignup", func(env *environment.Reader, _ *slog.Logger) (serve.Trigger[event, event], error) {
		h := &presignup.Handler{
			Mode:           presignup.Mode(env.Text("SIGN_UP_MODE", "")),
			AllowedDomains: env.List("SIGN_UP_ALLOWED_DOMAINS"),
		}
		env.Check("SIGN_UP_MODE and SIGN_UP_ALLOWED_DOMAINS", h.Validate())
		confirmed := func(_, _ event) string { return "confirm" }
		return serve.Trigger[event, event]{Handle: h.Handle, Limit: serve.CognitoLimit, Outcome: confirmed}, nil
	})
}
