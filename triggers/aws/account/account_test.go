package account_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/caddy-cognito/passwordless/triggers/aws/account"
)

func open(t *testing.T, endpoint string) *account.Account {
	t.Helper()
	env := map[string]string{
		"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_SESSION_TOKEN": "session",
		"AWS_ENDPOINT_URL_DYNAMODB": endpoint,
	}
	a, err := account.New(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// server answers each call by number, from 1.
func server(t *testing.T, answer func(n int64, w http.ResponseWriter)) (url string, calls *atomic.Int64) {
	t.Helper()
	calls = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		answer(calls.Add(1), w)
	}))
	t.Cleanup(s.Close)
	return s.URL, calls
}

func throttle(w http.ResponseWriter) {
	w.WriteHeader(http.StatusBadRequest)
	_, _ = io.WriteString(w, `{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"slow down"}`)
}

func get(ctx context.Context, c aws.Config) error {
	_, err := dynamodb.NewFromConfig(c).GetItem(ctx, &dynamodb.GetItemInput{
		TableName: aws.String("Secrets"), Key: map[string]types.AttributeValue{"userNameHash": &types.AttributeValueMemberB{Value: []byte{1}}},
	})
	return err
}

// A second or so of throttling is waited out within the five seconds of Cognito's triggers.
func TestThrottlingPasses(t *testing.T) {
	url, calls := server(t, func(n int64, w http.ResponseWriter) {
		if n <= 6 {
			throttle(w)
			return
		}
		_, _ = io.WriteString(w, `{}`)
	})
	if err := get(t.Context(), open(t, url).Calls("DYNAMODB", "")); err != nil || calls.Load() != 7 {
		t.Errorf("after %d calls: %v", calls.Load(), err)
	}
}

// Throttling that does not pass ends in an error that says so, before the trigger's time is over.
func TestThrottlingStays(t *testing.T) {
	url, calls := server(t, func(_ int64, w http.ResponseWriter) { throttle(w) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // far more than it may need: the count is the limit
	defer cancel()
	err := get(ctx, open(t, url).Calls("DYNAMODB", ""))
	if err == nil || !strings.Contains(err.Error(), "ProvisionedThroughputExceededException") || ctx.Err() != nil || calls.Load() != 10 {
		t.Errorf("after %d calls: %v", calls.Load(), err)
	}
}

// A message is never handed over a second time after a failure that may have come after its acceptance; after throttling it is.
func TestMessagesAreNotRepeated(t *testing.T) {
	for name, tc := range map[string]struct {
		answer func(int64, http.ResponseWriter)
		calls  int64
	}{
		"server error": {func(_ int64, w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) }, 1},
		"no answer":    {func(int64, http.ResponseWriter) { panic(http.ErrAbortHandler) }, 1},
		"throttled": {func(n int64, w http.ResponseWriter) {
			if n == 1 {
				throttle(w)
				return
			}
			_, _ = io.WriteString(w, `{}`)
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			url, calls := server(t, tc.answer)
			_ = get(t.Context(), open(t, url).Messages("DYNAMODB", ""))
			if calls.Load() != tc.calls {
				t.Errorf("%d calls, want %d", calls.Load(), tc.calls)
			}
		})
	}
}

// An error before the context's end promises that nothing was accepted.
func TestDelivery(t *testing.T) {
	refused, _ := net.Listen("tcp", "127.0.0.1:0")
	nobody := "http://" + refused.Addr().String()
	_ = refused.Close()
	badRequest, _ := server(t, func(_ int64, w http.ResponseWriter) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"__type":"ValidationException"}`)
	})
	noAnswer, _ := server(t, func(int64, http.ResponseWriter) { panic(http.ErrAbortHandler) })
	failed, _ := server(t, func(_ int64, w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) })
	for name, tc := range map[string]struct {
		url    string
		unsure bool
	}{
		"nobody there": {nobody, false}, "refused": {badRequest, false}, "no answer": {noAnswer, true}, "failed": {failed, true},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if tc.unsure {
				ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
			}
			defer cancel()
			config := open(t, tc.url).Messages("DYNAMODB", "")
			config.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
			err := account.Deliver(ctx, func(ctx context.Context) error { return get(ctx, config) })
			if err == nil || (ctx.Err() != nil) != tc.unsure {
				t.Errorf("%v, and the context: %v", err, ctx.Err())
			}
		})
	}
	if err := account.Deliver(t.Context(), func(context.Context) error { return nil }); err != nil {
		t.Error(err)
	}
	invalid := errors.New("invalid parameter")
	if err := account.Deliver(t.Context(), func(context.Context) error { return invalid }); !errors.Is(err, invalid) {
		t.Error(err)
	}
}

func TestEnvironment(t *testing.T) {
	_, err := account.New(func(string) string { return "" })
	if err == nil || !strings.Contains(err.Error(), "AWS_REGION") || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
		t.Errorf("an empty environment: %v", err)
	}
	a := open(t, "http://127.0.0.1:8000")
	if c := a.Calls("DYNAMODB", ""); c.Region != "eu-west-1" || aws.ToString(c.BaseEndpoint) != "http://127.0.0.1:8000" {
		t.Errorf("region %q, endpoint %q", c.Region, aws.ToString(c.BaseEndpoint))
	}
	if c := a.Messages("SNS", "us-east-1"); c.Region != "us-east-1" || c.BaseEndpoint != nil {
		t.Errorf("region %q, endpoint %q", c.Region, aws.ToString(c.BaseEndpoint))
	}
	keys, err := a.Retrieve(t.Context())
	if err != nil || keys.SessionToken != "session" {
		t.Errorf("credentials of %q, %v", keys.Source, err)
	}
}
