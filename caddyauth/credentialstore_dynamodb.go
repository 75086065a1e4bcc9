package caddyauth

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-cognito/passwordless/internal/tables"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/dynamo"
)

func init() {
	caddy.RegisterModule(new(DynamoDBCredentialStore))
}

// DynamoDBCredentialStore keeps passkeys in a DynamoDB table with the items of amazon-cognito-passwordless-auth: the one that
// the Lambda triggers read. AWS credentials come from the environment in the usual order
// (https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html).
type DynamoDBCredentialStore struct {
	// Name of the authenticators table. Required.
	Table string `json:"table,omitempty"`

	// AWS Region of the table. Default: the environment's.
	Region string `json:"region,omitempty"`

	// Base URL to use instead of AWS's, for tests. Default: AWS's own.
	Endpoint string `json:"endpoint,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*DynamoDBCredentialStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "passwordless.credential_stores.dynamodb",
		New: func() caddy.Module { return new(DynamoDBCredentialStore) },
	}
}

// Provision checks the settings without any call.
func (s *DynamoDBCredentialStore) Provision(caddy.Context) error {
	repl := caddy.NewReplacer()
	for _, field := range []*string{&s.Table, &s.Region, &s.Endpoint} {
		value, err := repl.ReplaceOrErr(*field, true, true)
		if err != nil {
			return fmt.Errorf("credential_store dynamodb: %w", err)
		}
		*field = value
	}
	if s.Table == "" {
		return errors.New("credential_store dynamodb: the table is missing, as in `credential_store dynamodb AuthenticatorsTable`")
	}
	if s.Endpoint != "" {
		if u, err := url.Parse(s.Endpoint); err != nil || u.Host == "" {
			return fmt.Errorf("credential_store dynamodb: endpoint %q is not a URL", s.Endpoint)
		}
	}
	return nil
}

// OpenCredentialStore implements [CredentialStoreProvider].
func (s *DynamoDBCredentialStore) OpenCredentialStore(ctx context.Context, _ RealmSettings) (passkey.Store, error) {
	var options []func(*config.LoadOptions) error
	if s.Region != "" {
		options = append(options, config.WithRegion(s.Region))
	}
	settings, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("reading the AWS configuration: %w", err)
	}
	if settings.Region == "" {
		return nil, errors.New("no AWS Region: set `region` in credential_store dynamodb, or AWS_REGION")
	}
	client := tables.New(settings, func(o *dynamodb.Options) {
		if s.Endpoint != "" {
			o.BaseEndpoint = &s.Endpoint
		}
	})
	return &dynamo.Store{Client: client, Table: s.Table}, nil
}

// UnmarshalCaddyfile sets up the module from Caddyfile tokens. Syntax:
//
//	credential_store dynamodb <table> {
//		region   <region>
//		endpoint <url>
//	}
func (s *DynamoDBCredentialStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the module's name
	if !d.AllArgs(&s.Table) {
		return d.Err("name the table, as in `credential_store dynamodb AuthenticatorsTable`")
	}
	for d.NextBlock(0) {
		var err error
		switch d.Val() {
		case "region":
			err = stringArgument(d, &s.Region)
		case "endpoint":
			err = stringArgument(d, &s.Endpoint)
		default:
			return d.Errf("unknown option %q for credential_store dynamodb: use region or endpoint", d.Val())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner       = (*DynamoDBCredentialStore)(nil)
	_ caddyfile.Unmarshaler   = (*DynamoDBCredentialStore)(nil)
	_ CredentialStoreProvider = (*DynamoDBCredentialStore)(nil)
)
