package createlambda

import (
	"github.com/caddy-cognito/passwordless/internal/tables"
	passkeytable "github.com/caddy-cognito/passwordless/passkey/dynamo"
	"github.com/caddy-cognito/passwordless/triggers/aws/account"
	"github.com/caddy-cognito/passwordless/triggers/aws/kms"
	"github.com/caddy-cognito/passwordless/triggers/aws/secrets"
	"github.com/caddy-cognito/passwordless/triggers/aws/secrets/issue"
	"github.com/caddy-cognito/passwordless/triggers/aws/ses"
	"github.com/caddy-cognito/passwordless/triggers/aws/sns"
	"github.com/caddy-cognito/passwordless/triggers/create"
	"github.com/caddy-cognito/passwordless/triggers/lambda/environment"
)

// parts makes what talks to AWS. Each method reads the variables that its part needs.
type parts struct {
	env     *environment.Reader
	account *account.Account
}

func (p *parts) salt() string {
	return p.env.Required("STACK_ID", "the salt of the secrets table, which existing deployments take from their stack's ID; the same in create and verify")
}

func (p *parts) dynamodb() *tables.Client {
	return tables.New(p.account.Calls("DYNAMODB", ""))
}

func (p *parts) secrets() *issue.Store {
	name := p.env.Required("DYNAMODB_SECRETS_TABLE", "the name of the table of magic links")
	return &issue.Store{Table: &secrets.Table{Client: p.dynamodb(), Name: name}, KeyID: p.env.Text("KMS_KEY_ID", "")}
}

func (p *parts) credentials() create.Credentials {
	return &passkeytable.Store{Client: p.dynamodb(), Table: p.env.Required("DYNAMODB_AUTHENTICATORS_TABLE", "the name of the table of passkeys")}
}

func (p *parts) signer() create.Signer {
	return &kms.Signer{
		Client: kms.NewSigningClient(p.account.Calls("KMS", "")),
		KeyID:  p.env.Required("KMS_KEY_ID", "the ID, ARN or alias of an RSA key for SIGN_VERIFY"),
	}
}

func (p *parts) mailer() create.Mailer {
	m := &ses.Mailer[create.Mail]{
		Client: ses.NewClient(p.account.Messages("SESV2", p.env.Text("SES_REGION", ""))),
		From:   p.env.Required("SES_FROM_ADDRESS", "the address that mails come from, a verified identity of SES"),
	}
	if m.From != "" {
		p.env.Check("SES_FROM_ADDRESS", m.Validate())
	}
	return m
}

func (p *parts) texter() create.Texter {
	t := &sns.Texter{
		Client:            sns.NewClient(p.account.Messages("SNS", p.env.Text("SNS_REGION", ""))),
		OriginationNumber: p.env.Text("ORIGINATION_NUMBER", ""),
		SenderID:          p.env.Text("SENDER_ID", ""),
	}
	p.env.Check("ORIGINATION_NUMBER and SENDER_ID", t.Validate())
	return t
}
