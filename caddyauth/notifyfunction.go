package caddyauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// NotifyFunction is the Lambda function that tells users by mail of a passkey that was added or removed: the trigger `notify` of this
// project, or that of amazon-cognito-passwordless-auth. It is invoked asynchronously, with the permission lambda:InvokeFunction
// (https://docs.aws.amazon.com/lambda/latest/dg/invocation-async.html).
type NotifyFunction struct {
	// Name or ARN of the function, with an alias after a colon if there is one. Required.
	Function string `json:"function,omitempty"`

	// AWS Region of the function. Default: that of the AWS configuration (environment, profile).
	Region string `json:"region,omitempty"`

	// Base URL to use instead of AWS's, for tests and private endpoints. Default: AWS's own.
	Endpoint string `json:"endpoint,omitempty"`
}

// provision replaces placeholders and checks the settings without any call.
func (f *NotifyFunction) provision() error {
	repl := caddy.NewReplacer()
	for name, field := range map[string]*string{"function": &f.Function, "region": &f.Region, "endpoint": &f.Endpoint} {
		value, err := repl.ReplaceOrErr(*field, true, true)
		if err != nil {
			return fmt.Errorf("notify: %s: %w; is the environment variable set?", name, err)
		}
		*field = value
	}
	if f.Function == "" {
		return errors.New("notify: name the function, as in `notify passwordless-notify`")
	}
	if f.Endpoint != "" {
		if u, err := url.Parse(f.Endpoint); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return fmt.Errorf("notify: endpoint %q is no http or https URL", f.Endpoint)
		}
	}
	return nil
}

// open finds the credentials.
func (f *NotifyFunction) open(ctx context.Context) (Notifier, error) {
	var options []func(*config.LoadOptions) error
	if f.Region != "" {
		options = append(options, config.WithRegion(f.Region))
	}
	settings, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("notify: reading the AWS configuration: %w", err)
	}
	if settings.Region == "" {
		return nil, errors.New("notify: no AWS Region: set `region` there, or AWS_REGION")
	}
	client := lambda.NewFromConfig(settings, func(o *lambda.Options) {
		if f.Endpoint != "" {
			o.BaseEndpoint = &f.Endpoint
		}
	})
	return functionNotifier{client.Invoke, f.Function}, nil
}

// functionNotifier keeps one operation of the client: an interface value that holds the client itself would hold all of them.
type functionNotifier struct {
	invoke   func(context.Context, *lambda.InvokeInput, ...func(*lambda.Options)) (*lambda.InvokeOutput, error)
	function string
}

// PasskeyChanged implements [Notifier].
func (n functionNotifier) PasskeyChanged(ctx context.Context, username, event, friendlyName string) error {
	kind, ok := map[string]string{"created": "FIDO2_CREDENTIAL_CREATED", "deleted": "FIDO2_CREDENTIAL_DELETED"}[event]
	if !ok {
		return fmt.Errorf("no notification is known of the event %q", event)
	}
	payload, err := json.Marshal(map[string]string{"cognitoUsername": username, "friendlyName": friendlyName, "eventType": kind})
	if err != nil {
		return fmt.Errorf("encoding a notification: %w", err)
	}
	_, err = n.invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String(n.function), InvocationType: types.InvocationTypeEvent, Payload: payload})
	if err != nil {
		return fmt.Errorf("invoking the function %s: %w", n.function, err)
	}
	return nil
}

// unmarshal reads the option's argument and block.
func (f *NotifyFunction) unmarshal(d *caddyfile.Dispenser) error {
	if !d.AllArgs(&f.Function) {
		return d.Err("notify takes the name or ARN of a Lambda function")
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		var err error
		switch d.Val() {
		case "region":
			err = stringArgument(d, &f.Region)
		case "endpoint":
			err = stringArgument(d, &f.Endpoint)
		default:
			return d.Errf("unknown option %q for notify: use region or endpoint", d.Val())
		}
		if err != nil {
			return err
		}
	}
	return nil
}
