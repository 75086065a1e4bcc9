package verifylambda

import (
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"

	passkeytable "github.com/caddy-cognito/passwordless/passkey/dynamo"
	"github.com/caddy-cognito/passwordless/triggers/aws/account"
	"github.com/caddy-cognito/passwordless/triggers/aws/cognito/proof"
	"github.com/caddy-cognito/passwordless/triggers/aws/kms"
	"github.com/caddy-cognito/passwordless/triggers/aws/secrets"
	"github.com/caddy-cognito/passwordless/triggers/aws/secrets/redeem"
	"github.com/caddy-cognito/passwordless/triggers/lambda/environment"
	"github.com/caddy-cognito/passwordless/triggers/verify"
)

// parts makes what talks to AWS. Each method reads the variables that its part needs.
type parts struct {
	env     *environment.Reader
	account *account.Account
}

func (p *parts) salt() string {
	return p.env.Required("STACK_ID", "the salt of the secrets table, which existing deployments take from their stack's ID; the same in create and verify")
}

func (p *parts) dynamodb() *dynamodb.Client {
	return dynamodb.NewFromConfig(p.account.Calls("DYNAMODB", ""))
}

func (p *parts) secrets() redeem.Store {
	name := p.env.Required("DYNAMODB_SECRETS_TABLE", "the name of the table of magic links")
	return redeem.Store{Table: &secrets.Table{Client: p.dynamodb(), Name: name}}
}

func (p *parts) credentials() *passkeytable.Store {
	return &passkeytable.Store{Client: p.dynamodb(), Table: p.env.Required("DYNAMODB_AUTHENTICATORS_TABLE", "the name of the table of passkeys")}
}

func (p *parts) keys() *kms.Keys {
	return &kms.Keys{Client: awskms.NewFromConfig(p.account.Calls("KMS", ""))}
}

// addresses marks addresses as verified. Where there are no passkeys, there are none to delete.
func (p *parts) addresses() verify.Addresses {
	a := &proof.Addresses{Client: cognito.NewFromConfig(p.account.Calls("COGNITO_IDENTITY_PROVIDER", ""))}
	if p.env.Text("DYNAMODB_AUTHENTICATORS_TABLE", "") != "" {
		a.Credentials = p.credentials()
	}
	return a
}
