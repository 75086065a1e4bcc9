package caddyauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
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
	if err := checkEndpoint(f.Endpoint); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	return nil
}

// open finds the credentials.
func (f *NotifyFunction) open(ctx context.Context) (Notifier, error) {
	settings, err := loadAWS(ctx, f.Region)
	if err != nil {
		return nil, fmt.Errorf("notify: %w", err)
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
	return n.send(ctx, map[string]string{"cognitoUsername": username, "friendlyName": friendlyName, "eventType": kind})
}

// PhoneChanged implements [Notifier].
func (n functionNotifier) PhoneChanged(ctx context.Context, username, event, lastDigits string) error {
	kind, ok := map[string]string{"changed": "PHONE_NUMBER_CHANGED", "removed": "PHONE_NUMBER_REMOVED"}[event]
	if !ok {
		return fmt.Errorf("no notification is known of the event %q", event)
	}
	return n.send(ctx, map[string]string{"cognitoUsername": username, "lastDigits": lastDigits, "eventType": kind})
}

func (n functionNotifier) send(ctx context.Context, notification map[string]string) error {
	payload, err := json.Marshal(notification)
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
		if err := awsArgument(d, "notify", &f.Region, &f.Endpoint); err != nil {
			return err
		}
	}
	return nil
}
