package caddyauth

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-cognito/passwordless/userpool"
)

func init() {
	caddy.RegisterModule(new(CognitoUserPool))
}

// CognitoUserPool is an Amazon Cognito user pool with the custom-auth triggers attached. Calls go to
// https://cognito-idp.<region>.amazonaws.com, or to the endpoint of the Region's own partition (China, GovCloud, …), and need
// no AWS credentials.
type CognitoUserPool struct {
	// ID of the user pool, such as "eu-west-1_Ab12Cd34E". Required.
	UserPoolID string `json:"user_pool_id,omitempty"`

	// ID of the app client, with ALLOW_CUSTOM_AUTH enabled. Required.
	ClientID string `json:"client_id,omitempty"`

	// Secret of the app client. Empty for a public client. Use a placeholder such as {env.COGNITO_CLIENT_SECRET}.
	ClientSecret string `json:"client_secret,omitempty"`

	// Base URL to use instead of AWS's, for tests and private endpoints. Default: AWS's own.
	Endpoint string `json:"endpoint,omitempty"`

	// The "iss" of the pool's tokens, for pools other than Cognito's own, such as `caddy passwordless pool`. Default: that of Amazon
	// Cognito, https://cognito-idp.<region>.amazonaws.com/<user pool ID>.
	Issuer string `json:"issuer,omitempty"`

	// States that the pool's PreSignUp trigger enforces the same sign-up policy. A public client (one without secret) lets
	// anyone call SignUp around the portal, so a policy other than `open` needs either a client secret or this. Default: false.
	PreSignUpEnforced bool `json:"pre_sign_up_enforced,omitempty"`

	// The Lambda function that mails users about passkeys added or removed. Default: nobody is told.
	Notify *NotifyFunction `json:"notify,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*CognitoUserPool) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "passwordless.user_pools.cognito", New: func() caddy.Module { return new(CognitoUserPool) }}
}

// Provision replaces placeholders and checks the settings without any call.
func (c *CognitoUserPool) Provision(ctx caddy.Context) error {
	WarnOfLiteralSecret(ctx.Logger(), "user_pool cognito: client_secret", c.ClientSecret)
	repl := caddy.NewReplacer()
	for name, field := range map[string]*string{
		"user pool id": &c.UserPoolID, "client_id": &c.ClientID, "client_secret": &c.ClientSecret, "endpoint": &c.Endpoint,
		"issuer": &c.Issuer,
	} {
		value, err := repl.ReplaceOrErr(*field, true, true)
		if err != nil {
			return fmt.Errorf("user_pool cognito: %s: %w; is the environment variable set?", name, err)
		}
		*field = value
	}
	if c.UserPoolID == "" {
		return errors.New("user_pool cognito: the user pool ID is missing, as in `user_pool cognito eu-west-1_Ab12Cd34E`")
	}
	if c.ClientID == "" {
		return errors.New("user_pool cognito: client_id is missing")
	}
	if u, err := url.Parse(c.Issuer); c.Issuer != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Fragment != "") {
		return fmt.Errorf("user_pool cognito: issuer %q is not a URL: write the \"issuer\" of the pool's .well-known/openid-configuration", c.Issuer)
	}
	if _, err := userpool.New(c.clientConfig()); err != nil {
		return fmt.Errorf("user_pool cognito: %w", err)
	}
	if c.Notify != nil {
		if err := c.Notify.provision(); err != nil {
			return fmt.Errorf("user_pool cognito: %w", err)
		}
	}
	return nil
}

func (c *CognitoUserPool) clientConfig() userpool.Config {
	return userpool.Config{
		UserPoolID:   c.UserPoolID,
		ClientID:     c.ClientID,
		ClientSecret: c.ClientSecret,
		Endpoint:     c.Endpoint,
		Issuer:       c.Issuer,
	}
}

// OpenUserPool implements [UserPoolProvider].
func (c *CognitoUserPool) OpenUserPool(ctx context.Context, s RealmSettings) (OpenedPool, error) {
	config := c.clientConfig()
	config.Now = s.Now
	client, err := userpool.New(config)
	if err != nil {
		return OpenedPool{}, err
	}
	opened := OpenedPool{Pool: client, Issuer: client.Issuer(), JWKSURL: client.JWKSURL(), ClientID: c.ClientID}
	if c.Notify != nil {
		if opened.Notifier, err = c.Notify.open(ctx); err != nil {
			return OpenedPool{}, err
		}
	}
	return opened, nil
}

// EnforcesSignUp implements [SignUpEnforcer].
func (c *CognitoUserPool) EnforcesSignUp() bool { return c.ClientSecret != "" || c.PreSignUpEnforced }

// UnmarshalCaddyfile sets up the module from Caddyfile tokens. Syntax:
//
//	user_pool cognito <user pool ID> {
//		client_id     <id>
//		client_secret <secret>
//		endpoint      <url>
//		issuer        <url>
//		pre_sign_up_enforced
//		notify        <Lambda function> {
//			region   <region>
//			endpoint <url>
//		}
//	}
func (c *CognitoUserPool) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the module's name
	if !d.Args(&c.UserPoolID) {
		return d.Err("name the user pool, as in `user_pool cognito eu-west-1_Ab12Cd34E`")
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	for d.NextBlock(0) {
		option := d.Val()
		var target *string
		switch option {
		case "client_id":
			target = &c.ClientID
		case "client_secret":
			target = &c.ClientSecret
		case "endpoint":
			target = &c.Endpoint
		case "issuer":
			target = &c.Issuer
		case "pre_sign_up_enforced":
			c.PreSignUpEnforced = true
		case "notify":
			c.Notify = new(NotifyFunction)
			if err := c.Notify.unmarshal(d); err != nil {
				return err
			}
			continue
		default:
			return d.Errf("unknown option %q for user_pool cognito: use client_id, client_secret, endpoint, issuer, pre_sign_up_enforced or notify", option)
		}
		if target != nil && !d.AllArgs(target) {
			return d.Errf("%s takes one value", option)
		}
		if target == nil && d.NextArg() {
			return d.Errf("%s takes no value", option)
		}
	}
	if c.ClientID == "" {
		return d.Err("user_pool cognito: client_id is missing")
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner     = (*CognitoUserPool)(nil)
	_ caddyfile.Unmarshaler = (*CognitoUserPool)(nil)
	_ UserPoolProvider      = (*CognitoUserPool)(nil)
	_ SignUpEnforcer        = (*CognitoUserPool)(nil)
)
