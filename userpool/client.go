package userpool

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
)

// Client is an Amazon Cognito user pool. It holds no AWS credentials and signs nothing.
type Client struct {
	api    api
	config Config
	issuer string
	jwks   string
	rand   io.Reader
}

var _ Pool = (*Client)(nil)

// New makes a client of the pool. It checks the configuration and uses no network.
func New(cfg Config) (*Client, error) {
	return newClient(cfg, retry.NewExponentialJitterBackoff(maxBackoff))
}

func newClient(cfg Config, backoff retry.BackoffDelayer) (*Client, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	issuer, err := serviceURL(cfg.Region)
	if err != nil {
		return nil, err
	}
	issuer = strings.TrimSuffix(issuer, "/") + "/" + cfg.UserPoolID
	options := cognito.Options{
		AppID:       "caddy-passwordless",
		Credentials: aws.AnonymousCredentials{},
		HTTPClient:  boundedClient(cfg.HTTPClient),
		Region:      cfg.Region,
		Retryer:     onlyThrottling(backoff),
	}
	jwks := issuer
	if cfg.Endpoint != "" {
		options.BaseEndpoint = aws.String(cfg.Endpoint)
		jwks = strings.TrimSuffix(cfg.Endpoint, "/") + "/" + cfg.UserPoolID
	}
	if cfg.Issuer != "" {
		issuer = cfg.Issuer
	}
	random := cfg.Rand
	if random == nil {
		random = rand.Reader
	}
	return &Client{
		api:    apiOf(cognito.New(options)),
		config: cfg,
		issuer: issuer,
		jwks:   jwks + "/.well-known/jwks.json",
		rand:   random,
	}, nil
}

// Issuer is the "iss" of the pool's tokens: https://cognito-idp.<region>.<DNS suffix>/<pool id>, whatever the endpoint is,
// unless the configuration names another.
func (c *Client) Issuer() string { return c.issuer }

// JWKSURL is where the pool publishes the keys of its tokens: below the endpoint when one is configured, else below the
// address of the service in the pool's region.
func (c *Client) JWKSURL() string { return c.jwks }

// serviceURL is the address of the service in a region. The SDK's rules know the partitions and their DNS suffixes, and
// resolve without network.
func serviceURL(region string) (string, error) {
	params := cognito.EndpointParameters{Region: aws.String(region)}.WithDefaults()
	endpoint, err := cognito.NewDefaultEndpointResolverV2().ResolveEndpoint(context.Background(), params)
	if err != nil {
		return "", fmt.Errorf("resolving the endpoint of region %q: %w", region, err)
	}
	u := url.URL{Scheme: endpoint.URI.Scheme, Host: endpoint.URI.Host}
	return u.String(), nil
}

// bounded bounds one operation over all its attempts: Cognito runs a trigger up to three times for up to 5 s each.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, callTimeout)
}

const callTimeout = 25 * time.Second
