package localpool

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// Lambda is a function behind the Lambda Invoke API: Amazon's, or one on this machine that speaks it (AWS SAM, LocalStack, the runtime
// interface emulator).
type Lambda struct {
	// Function is a name, with an alias after a colon if there is one, or an ARN.
	Function string
	// Endpoint of the API. Default: Amazon's of the region.
	Endpoint string
	// Region. Default: "us-east-1" at an endpoint; without one it must be given.
	Region string
	// Credentials sign the calls. Default: none, which only an endpoint takes that checks no signatures.
	Credentials aws.CredentialsProvider
	// HTTPClient makes the calls. Default: the SDK's.
	HTTPClient *http.Client
}

// functionName is what the Invoke API takes, without room for a path or a query.
var functionName = regexp.MustCompile(`^[A-Za-z0-9$_:-]{1,170}$`)

// Trigger checks the settings and makes a trigger that calls the function.
func (l Lambda) Trigger() (Trigger, error) {
	if !functionName.MatchString(l.Function) {
		return nil, fmt.Errorf("%q is not the name or ARN of a Lambda function", l.Function)
	}
	o := lambda.Options{
		Region: cmp.Or(l.Region, "us-east-1"), Credentials: l.Credentials,
		Retryer: aws.NopRetryer{}, // the pool calls again itself, as Cognito does
	}
	if l.HTTPClient != nil {
		o.HTTPClient = l.HTTPClient
	}
	switch {
	case l.Endpoint != "":
		u, err := url.Parse(l.Endpoint)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return nil, fmt.Errorf("function %s: that is not an endpoint of the Lambda API; write it as http://127.0.0.1:3001", l.Function)
		}
		o.BaseEndpoint = aws.String(l.Endpoint)
	case l.Region == "":
		return nil, fmt.Errorf("function %s: say in which region it is, or at which endpoint", l.Function)
	case l.Credentials == nil:
		return nil, fmt.Errorf("function %s: Amazon wants credentials", l.Function)
	}
	if o.Credentials == nil {
		o.Credentials = aws.AnonymousCredentials{}
	}
	client := lambda.New(o)
	return func(ctx context.Context, event []byte) ([]byte, error) {
		out, err := client.Invoke(ctx, &lambda.InvokeInput{
			FunctionName: aws.String(l.Function), InvocationType: types.InvocationTypeRequestResponse, Payload: event,
		})
		if err != nil {
			return nil, fmt.Errorf("invoking function %s: %w", l.Function, err)
		}
		if out.FunctionError != nil {
			return nil, thrown(out.Payload)
		}
		if len(out.Payload) == 0 {
			return nil, errors.New("the function answered nothing")
		}
		return out.Payload, nil
	}, nil
}

// thrown is what a function threw: the message that its runtime put into the answer.
// https://docs.aws.amazon.com/lambda/latest/dg/nodejs-exceptions.html
func thrown(payload []byte) *FunctionError {
	var e struct {
		Message *string `json:"errorMessage"`
		Type    string  `json:"errorType"`
	}
	_ = json.Unmarshal(payload, &e) // a runtime that answers otherwise has no message
	if e.Message != nil {
		return &FunctionError{Text: *e.Message}
	}
	return &FunctionError{Text: cmp.Or(e.Type, "null")}
}
