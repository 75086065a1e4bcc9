package caddyauth

import (
	"context"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/dynamo"
)

func init() {
	caddy.RegisterModule(new(DynamoDBCredentialStore))
}

// DynamoDBCredentialStore keeps passkeys in a DynamoDB table with the items of amazon-cognito-passwordless-auth: the one that
// the Lambda triggers read.
type DynamoDBCredentialStore struct{ DynamoDBTable }

const credentialStoreDynamoDB = "credential_store dynamodb"

// CaddyModule returns the Caddy module information.
func (*DynamoDBCredentialStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "passwordless.credential_stores.dynamodb",
		New: func() caddy.Module { return new(DynamoDBCredentialStore) },
	}
}

// Provision checks the settings without any call.
func (s *DynamoDBCredentialStore) Provision(caddy.Context) error {
	return s.provision(credentialStoreDynamoDB)
}

// OpenCredentialStore implements [CredentialStoreProvider].
func (s *DynamoDBCredentialStore) OpenCredentialStore(ctx context.Context, _ RealmSettings) (passkey.Store, error) {
	client, err := s.open(ctx, credentialStoreDynamoDB)
	if err != nil {
		return nil, err
	}
	return &dynamo.Store{Client: client, Table: s.Table}, nil
}

// UnmarshalCaddyfile sets up the module from Caddyfile tokens. Syntax:
//
//	credential_store dynamodb <table> {
//		region   <region>
//		endpoint <url>
//	}
func (s *DynamoDBCredentialStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return s.unmarshal(d, credentialStoreDynamoDB)
}

// Interface guards
var (
	_ caddy.Provisioner       = (*DynamoDBCredentialStore)(nil)
	_ caddyfile.Unmarshaler   = (*DynamoDBCredentialStore)(nil)
	_ CredentialStoreProvider = (*DynamoDBCredentialStore)(nil)
)
