package embedded

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-cognito/passwordless/internal/localpool"
)

// Lambda is a function that takes the place of one of the pool's triggers. The pool calls it by the Lambda Invoke API, as Cognito does: it waits 5
// seconds, and calls up to three times.
type Lambda struct {
	// Name or ARN of the function, with an alias after a colon if there is one.
	Function string `json:"function,omitempty"`

	// Where the Lambda API is, such as `http://127.0.0.1:3001` for `sam local start-lambda`. Default: Amazon's of the region.
	Endpoint string `json:"endpoint,omitempty"`

	// Region of the function. Default: that of the AWS configuration (environment, profile).
	Region string `json:"region,omitempty"`

	// The key that signs the calls; use placeholders such as `{env.LAMBDA_SECRET}`. Default: at an endpoint none, otherwise that of the AWS
	// configuration.
	AccessKeyID     string `json:"access_key_id,omitempty"`
	SecretAccessKey string `json:"secret_access_key,omitempty"`
}

// triggerOf is the field of a trigger by its name in the configuration.
func triggerOf(t *localpool.Triggers, name string) *localpool.Trigger {
	return map[string]*localpool.Trigger{
		"pre_sign_up": &t.PreSignUp, "define_auth_challenge": &t.DefineAuthChallenge, "create_auth_challenge": &t.CreateAuthChallenge,
		"verify_auth_challenge": &t.VerifyAuthChallenge, "pre_token_generation": &t.PreTokenGeneration,
	}[name]
}

const triggerNames = "pre_sign_up, define_auth_challenge, create_auth_challenge, verify_auth_challenge or pre_token_generation"

// provision checks the settings of one function and calls nobody.
func (l *Lambda) provision() error {
	repl := caddy.NewReplacer()
	for name, field := range map[string]*string{
		"function": &l.Function, "endpoint": &l.Endpoint, "region": &l.Region, "access_key": &l.AccessKeyID, "secret_key": &l.SecretAccessKey,
	} {
		value, err := repl.ReplaceOrErr(*field, true, true)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		*field = value
	}
	if (l.AccessKeyID == "") != (l.SecretAccessKey == "") {
		return errors.New("access_key and secret_key belong together")
	}
	f := localpool.Lambda{Function: l.Function, Endpoint: l.Endpoint, Region: "checked-when-opened", Credentials: aws.AnonymousCredentials{}}
	_, err := f.Trigger()
	return err
}

// open finds the credentials and makes the trigger.
func (l *Lambda) open(ctx context.Context) (localpool.Trigger, error) {
	f := localpool.Lambda{Function: l.Function, Endpoint: l.Endpoint, Region: l.Region}
	if l.AccessKeyID != "" {
		f.Credentials = credentials.NewStaticCredentialsProvider(l.AccessKeyID, l.SecretAccessKey, "")
	}
	if l.Endpoint == "" && (f.Credentials == nil || f.Region == "") {
		settings, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			return nil, fmt.Errorf("reading the AWS configuration: %w", err)
		}
		if f.Credentials == nil {
			f.Credentials = settings.Credentials
		}
		if f.Region == "" {
			f.Region = settings.Region
		}
	}
	return f.Trigger()
}

// openTriggers makes the triggers that are configured.
func (p *UserPool) openTriggers(ctx context.Context) (t localpool.Triggers, err error) {
	for _, name := range slices.Sorted(maps.Keys(p.Triggers)) {
		if *triggerOf(&t, name), err = p.Triggers[name].open(ctx); err != nil {
			return t, fmt.Errorf("user_pool embedded: trigger %s: %w", name, err)
		}
	}
	return t, nil
}

// provisionTriggers checks what of triggers is configured.
func (p *UserPool) provisionTriggers() error {
	for _, name := range slices.Sorted(maps.Keys(p.Triggers)) {
		if triggerOf(new(localpool.Triggers), name) == nil {
			return fmt.Errorf("trigger: there is no %q; name %s", name, triggerNames)
		}
		if p.Triggers[name] == nil {
			return fmt.Errorf("trigger %s: say which function", name)
		}
		if err := p.Triggers[name].provision(); err != nil {
			return fmt.Errorf("trigger %s: %w", name, err)
		}
	}
	switch version := localpool.PreTokenVersion(strings.ToUpper(p.PreTokenVersion)); version {
	case "", localpool.PreTokenV1, localpool.PreTokenV2:
		p.PreTokenVersion = string(version)
	default:
		return fmt.Errorf("pre_token_version: %q is not V1_0 or V2_0", p.PreTokenVersion)
	}
	return nil
}

// unmarshalTrigger reads the option. Syntax:
//
//	trigger <name> <function> {
//		endpoint   <url>
//		region     <region>
//		access_key <id> <secret>
//	}
func (p *UserPool) unmarshalTrigger(d *caddyfile.Dispenser) error {
	var name string
	l := new(Lambda)
	if !d.AllArgs(&name, &l.Function) {
		return d.Err("trigger takes a name and a function, such as trigger pre_token_generation my-function")
	}
	if triggerOf(new(localpool.Triggers), name) == nil {
		return d.Errf("there is no trigger %q; name %s", name, triggerNames)
	}
	if p.Triggers[name] != nil {
		return d.Errf("trigger %s is given twice", name)
	}
	seen := make(map[string]bool)
	for d.NextBlock(1) {
		option := d.Val()
		if seen[option] {
			return d.Errf("trigger %s: %s is given twice", name, option)
		}
		seen[option] = true
		switch option {
		case "endpoint", "region":
			text := map[string]*string{"endpoint": &l.Endpoint, "region": &l.Region}[option]
			if !d.AllArgs(text) {
				return d.Errf("trigger %s: %s takes one value", name, option)
			}
		case "access_key":
			if !d.AllArgs(&l.AccessKeyID, &l.SecretAccessKey) {
				return d.Errf("trigger %s: access_key takes an ID and a secret", name)
			}
		default:
			return d.Errf("trigger %s: unknown option %q: use endpoint, region or access_key", name, option)
		}
	}
	if p.Triggers == nil {
		p.Triggers = make(map[string]*Lambda)
	}
	p.Triggers[name] = l
	return nil
}
