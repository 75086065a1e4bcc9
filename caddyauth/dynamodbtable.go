package caddyauth

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-cognito/passwordless/internal/tables"
)

// DynamoDBTable is a table and how to reach it. AWS credentials come from the environment in the usual order
// (https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html).
type DynamoDBTable struct {
	// Name of the table. Required.
	Table string `json:"table,omitempty"`

	// AWS Region of the table. Default: the environment's.
	Region string `json:"region,omitempty"`

	// Base URL to use instead of AWS's, for tests. Default: AWS's own.
	Endpoint string `json:"endpoint,omitempty"`
}

// provision replaces placeholders and checks the settings without any call. Errors name the option, such as "session_store dynamodb".
func (t *DynamoDBTable) provision(option string) error {
	repl := caddy.NewReplacer()
	for _, field := range []*string{&t.Table, &t.Region, &t.Endpoint} {
		value, err := repl.ReplaceOrErr(*field, true, true)
		if err != nil {
			return fmt.Errorf("%s: %w; is the environment variable set?", option, err)
		}
		*field = value
	}
	if t.Table == "" {
		return fmt.Errorf("%s: the table is missing, as in `%s MyTable`", option, option)
	}
	if err := checkEndpoint(t.Endpoint); err != nil {
		return fmt.Errorf("%s: %w", option, err)
	}
	return nil
}

// open finds the credentials and makes the client.
func (t *DynamoDBTable) open(ctx context.Context, option string) (*tables.Client, error) {
	settings, err := loadAWS(ctx, t.Region)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", option, err)
	}
	return tables.New(settings, func(o *dynamodb.Options) {
		if t.Endpoint != "" {
			o.BaseEndpoint = &t.Endpoint
		}
	}), nil
}

// unmarshal reads what follows the option's name.
func (t *DynamoDBTable) unmarshal(d *caddyfile.Dispenser, option string) error {
	d.Next() // consume the module's name
	if !d.AllArgs(&t.Table) {
		return d.Errf("name the table, as in `%s MyTable`", option)
	}
	for d.NextBlock(0) {
		if err := awsArgument(d, option, &t.Region, &t.Endpoint); err != nil {
			return err
		}
	}
	return nil
}

// awsArgument reads the options that every service of AWS takes.
func awsArgument(d *caddyfile.Dispenser, of string, region, endpoint *string) error {
	switch d.Val() {
	case "region":
		return stringArgument(d, region)
	case "endpoint":
		return stringArgument(d, endpoint)
	}
	return d.Errf("unknown option %q for %s: use region or endpoint", d.Val(), of)
}

// checkEndpoint refuses what is no base URL; "" is AWS's own.
func checkEndpoint(endpoint string) error {
	if endpoint == "" {
		return nil
	}
	if u, err := url.Parse(endpoint); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return fmt.Errorf("endpoint %q is no http or https URL", endpoint)
	}
	return nil
}

// loadAWS reads the AWS configuration of the environment; a region goes before the one there.
func loadAWS(ctx context.Context, region string) (aws.Config, error) {
	var options []func(*config.LoadOptions) error
	if region != "" {
		options = append(options, config.WithRegion(region))
	}
	settings, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return aws.Config{}, fmt.Errorf("reading the AWS configuration: %w", err)
	}
	if settings.Region == "" {
		return aws.Config{}, errors.New("no AWS Region: set `region` there, or AWS_REGION")
	}
	return settings, nil
}
