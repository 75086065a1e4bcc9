package caddyauth

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-cognito/passwordless/internal/session/dynamo"
	"github.com/caddy-cognito/passwordless/internal/tables"
)

func init() {
	caddy.RegisterModule(new(DynamoDBSessionStore))
}

// DynamoDBSessionStore keeps sessions in a DynamoDB table with the partition key "pk" (S), the sort key "sk" (S) and a TTL on "expires":
// for fleets that are large, or share only small things through Caddy's storage. All values are sealed with keys that stay in
// Caddy's storage, which the fleet therefore still shares. AWS credentials come from the environment in the usual order
// (https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html); they need GetItem, PutItem, DeleteItem and Query.
type DynamoDBSessionStore struct {
	// Name of the sessions table. Required.
	Table string `json:"table,omitempty"`

	// AWS Region of the table. Default: the environment's.
	Region string `json:"region,omitempty"`

	// Base URL to use instead of AWS's, for tests. Default: AWS's own.
	Endpoint string `json:"endpoint,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*DynamoDBSessionStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "passwordless.session_stores.dynamodb", New: func() caddy.Module { return new(DynamoDBSessionStore) }}
}

// Provision checks the settings without any call.
func (s *DynamoDBSessionStore) Provision(caddy.Context) error {
	repl := caddy.NewReplacer()
	for _, field := range []*string{&s.Table, &s.Region, &s.Endpoint} {
		value, err := repl.ReplaceOrErr(*field, true, true)
		if err != nil {
			return fmt.Errorf("session_store dynamodb: %w", err)
		}
		*field = value
	}
	if s.Table == "" {
		return errors.New("session_store dynamodb: the table is missing, as in `session_store dynamodb Sessions`")
	}
	if s.Endpoint != "" {
		if u, err := url.Parse(s.Endpoint); err != nil || u.Host == "" {
			return fmt.Errorf("session_store dynamodb: endpoint %q is not a URL", s.Endpoint)
		}
	}
	return nil
}

// OpenSessionStore implements [SessionStoreProvider].
func (s *DynamoDBSessionStore) OpenSessionStore(ctx caddy.Context, settings RealmSettings) (SessionStorage, error) {
	var options []func(*config.LoadOptions) error
	if s.Region != "" {
		options = append(options, config.WithRegion(s.Region))
	}
	aws, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("reading the AWS configuration: %w", err)
	}
	if aws.Region == "" {
		return nil, errors.New("no AWS Region: set `region` in session_store dynamodb, or AWS_REGION")
	}
	client := tables.New(aws, func(o *dynamodb.Options) {
		if s.Endpoint != "" {
			o.BaseEndpoint = &s.Endpoint
		}
	})
	return &dynamo.Storage{Client: client, Table: s.Table, Now: settings.Now}, nil
}

// UnmarshalCaddyfile sets up the module from Caddyfile tokens. Syntax:
//
//	session_store dynamodb <table> {
//		region   <region>
//		endpoint <url>
//	}
func (s *DynamoDBSessionStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the module's name
	if !d.AllArgs(&s.Table) {
		return d.Err("name the table, as in `session_store dynamodb Sessions`")
	}
	for d.NextBlock(0) {
		var err error
		switch d.Val() {
		case "region":
			err = stringArgument(d, &s.Region)
		case "endpoint":
			err = stringArgument(d, &s.Endpoint)
		default:
			return d.Errf("unknown option %q for session_store dynamodb: use region or endpoint", d.Val())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner     = (*DynamoDBSessionStore)(nil)
	_ caddyfile.Unmarshaler = (*DynamoDBSessionStore)(nil)
	_ SessionStoreProvider  = (*DynamoDBSessionStore)(nil)
)
