// Package account points the AWS clients of a Lambda at its account: region, credentials and endpoints come from the environment that the
// Lambda runtime sets. Reading no files and asking no metadata service, it starts faster than the SDK's own configuration.
package account

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// Limits of calls, made for the five seconds that Cognito gives a trigger
// (https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pools-working-with-lambda-triggers.html).
const (
	dialTime    = time.Second
	attemptTime = 1500 * time.Millisecond
	// Throttling of a second or two is waited out: ten attempts with pauses of up to 400 ms each.
	attempts   = 10
	mostPaused = 400 * time.Millisecond
)

// Errors of the environment.
var (
	errRegion      = errors.New("AWS_REGION is missing: the Lambda runtime sets it; elsewhere set it to the region of the user pool")
	errCredentials = errors.New("AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY is missing: the Lambda runtime sets them from the function's role")
)

// Account is where clients point. The zero value is not usable: see [New].
type Account struct {
	lookup      func(name string) string
	region      string
	credentials aws.Credentials
	calls       *awshttp.BuildableClient
	messages    *awshttp.BuildableClient
}

// New reads the environment by lookup, which is [os.Getenv] in a Lambda.
func New(lookup func(name string) string) (*Account, error) {
	a := &Account{
		lookup: lookup,
		region: first(lookup, "AWS_REGION", "AWS_DEFAULT_REGION"),
		credentials: aws.Credentials{
			AccessKeyID:     lookup("AWS_ACCESS_KEY_ID"),
			SecretAccessKey: lookup("AWS_SECRET_ACCESS_KEY"),
			SessionToken:    lookup("AWS_SESSION_TOKEN"),
			Source:          "environment",
		},
	}
	var problems []error
	if a.region == "" {
		problems = append(problems, errRegion)
	}
	if !a.credentials.HasKeys() {
		problems = append(problems, errCredentials)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	dialer := func(d *net.Dialer) { d.Timeout = dialTime }
	transport := func(t *http.Transport) { t.TLSHandshakeTimeout = dialTime }
	a.messages = awshttp.NewBuildableClient().WithDialerOptions(dialer).WithTransportOptions(transport)
	a.calls = a.messages.WithTimeout(attemptTime)
	return a, nil
}

func first(lookup func(string) string, names ...string) string {
	for _, name := range names {
		if v := lookup(name); v != "" {
			return v
		}
	}
	return ""
}

// Calls configures a client whose calls may be repeated: short attempts, as many as fit. The service is named as in
// AWS_ENDPOINT_URL_<service>, such as DYNAMODB
// (https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html); region overrides that of the Lambda unless empty.
func (a *Account) Calls(service, region string) aws.Config {
	c := a.config(service, region)
	c.HTTPClient = a.calls
	c.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff = attempts, mostPaused
		})
	}
	return c
}

// Messages configures a client whose calls must not be repeated unless they were certainly refused: an attempt lasts as long as its
// context, and only throttling is tried again.
func (a *Account) Messages(service, region string) aws.Config {
	c := a.config(service, region)
	c.HTTPClient = a.messages
	c.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff = attempts, mostPaused
			o.Retryables = []retry.IsErrorRetryable{retry.RetryableErrorCode{Codes: retry.DefaultThrottleErrorCodes}}
		})
	}
	return c
}

func (a *Account) config(service, region string) aws.Config {
	c := aws.Config{Region: a.region, Credentials: a}
	if region != "" {
		c.Region = region
	}
	if url := first(a.lookup, "AWS_ENDPOINT_URL_"+strings.ToUpper(service), "AWS_ENDPOINT_URL"); url != "" {
		c.BaseEndpoint = aws.String(url)
	}
	return c
}

// Retrieve implements [aws.CredentialsProvider]: the keys of a Lambda's environment last as long as its process.
func (a *Account) Retrieve(context.Context) (aws.Credentials, error) { return a.credentials, nil }
