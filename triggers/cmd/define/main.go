// Command define is the DefineAuthChallenge trigger as a Lambda for provided.al2023.
package main

import (
	"log/slog"

	"github.com/aws/aws-lambda-go/events"

	"github.com/caddy-cognito/passwordless/triggers/define"
	"github.com/caddy-cognito/passwordless/triggers/lambda/environment"
	"github.com/caddy-cognito/passwordless/triggers/lambda/serve"
)

type event = events.CognitoEventUserPoolsDefineAuthChallenge

func main() {
	serve.Main("define", func(*environment.Reader, *slog.Logger) (serve.Trigger[event, event], error) {
		return serve.Trigger[event, event]{Handle: define.Handle, Limit: serve.CognitoLimit, Method: method, Outcome: outcome}, nil
	})
}

func method(e event) string { return serve.Method(e.Request.ClientMetadata) }

func outcome(_, answer event) string {
	switch {
	case answer.Response.IssueTokens:
		return "issue tokens"
	case answer.Response.FailAuthentication:
		return "deny"
	default:
		return "ask"
	}
}
