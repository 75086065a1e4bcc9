package caddyauth

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-cognito/passwordless/internal/session/dynamo"
)

func init() {
	caddy.RegisterModule(new(DynamoDBSessionStore))
}

// DynamoDBSessionStore keeps sessions in a DynamoDB table with the partition key "pk" (S), the sort key "sk" (S) and a TTL on "expires":
// for fleets that are large, or share only small things through Caddy's storage. All values are sealed with keys that stay in
// Caddy's storage, which the fleet therefore still shares. The AWS credentials need GetItem, PutItem, DeleteItem and Query.
type DynamoDBSessionStore struct{ DynamoDBTable }

const sessionStoreDynamoDB = "session_store dynamodb"

// CaddyModule returns the Caddy module information.
func (*DynamoDBSessionStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "passwordless.session_stores.dynamodb", New: func() caddy.Module { return new(DynamoDBSessionStore) }}
}

// Provision checks the settings without any call.
func (s *DynamoDBSessionStore) Provision(caddy.Context) error {
	return s.provision(sessionStoreDynamoDB)
}

// OpenSessionStore implements [SessionStoreProvider].
func (s *DynamoDBSessionStore) OpenSessionStore(ctx caddy.Context, settings RealmSettings) (SessionStorage, error) {
	client, err := s.open(ctx, sessionStoreDynamoDB)
	if err != nil {
		return nil, err
	}
	return &dynamo.Storage{Client: client, Table: s.Table, Now: settings.Now}, nil
}

// UnmarshalCaddyfile sets up the module from Caddyfile tokens. Syntax:
//
//	session_store dynamodb <table> {
//		region   <region>
//		endpoint <url>
//	}
func (s *DynamoDBSessionStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return s.unmarshal(d, sessionStoreDynamoDB)
}

// Interface guards
var (
	_ caddy.Provisioner     = (*DynamoDBSessionStore)(nil)
	_ caddyfile.Unmarshaler = (*DynamoDBSessionStore)(nil)
	_ SessionStoreProvider  = (*DynamoDBSessionStore)(nil)
)
