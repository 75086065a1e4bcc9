// Command pretoken is the PreTokenGeneration trigger, for events of version 1 and later, as a Lambda for provided.al2023.
package main

import (
	"encoding/json"
	"errors"
	"log/slog"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/caddy-cognito/passwordless/triggers/aws/account"
	"github.com/caddy-cognito/passwordless/triggers/aws/secrets"
	"github.com/caddy-cognito/passwordless/triggers/aws/secrets/receipts"
	"github.com/caddy-cognito/passwordless/triggers/lambda/environment"
	"github.com/caddy-cognito/passwordless/triggers/lambda/serve"
	"github.com/caddy-cognito/passwordless/triggers/pretoken"
)

func main() {
	serve.Main("pretoken", func(env *environment.Reader, logger *slog.Logger) (serve.Trigger[json.RawMessage, any], error) {
		h := &pretoken.Handler{
			PersistedKeys:         env.List("CLIENT_METADATA_PERSISTED_KEYS"),
			CustomAuthOnlyClients: env.List("CUSTOM_AUTH_ONLY_CLIENT_IDS"),
			MagicLinkCode:         env.Flag("MAGIC_LINK_CODE_ENABLED"),
			Logger:                logger,
		}
		var err error
		if table := env.Text("DYNAMODB_SECRETS_TABLE", ""); table != "" {
			h.Receipts, err = store(env, table)
		}
		env.Check("CLIENT_METADATA_PERSISTED_KEYS", h.Validate())
		done := func(json.RawMessage, any) string { return "claims" }
		return serve.Trigger[json.RawMessage, any]{Handle: h.HandleJSON, Limit: serve.CognitoLimit, Outcome: done}, err
	})
}

func store(env *environment.Reader, table string) (pretoken.Receipts, error) {
	a, err := account.New(func(name string) string { return env.Text(name, "") })
	if err != nil {
		return nil, errors.Join(errors.New("reading receipts of the secrets table"), err)
	}
	return receipts.Store{Table: &secrets.Table{Client: dynamodb.NewFromConfig(a.Calls("DYNAMODB", "")), Name: table}}, nil
}
