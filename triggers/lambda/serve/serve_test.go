package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/triggers/lambda/serve"
	"github.com/caddy-cognito/passwordless/triggers/lambda/telemetry"
)

type question struct {
	Ask string `json:"ask"`
}

type reply struct {
	Told string `json:"told"`
}

// invoke runs one call and returns the answer, the function error and the log line.
func invoke(t *testing.T, ctx context.Context, payload string, handle func(context.Context, question) (reply, error)) (string, *messages.InvokeResponse_Error, map[string]any) {
	t.Helper()
	var out bytes.Buffer
	h := serve.Handler(serve.Trigger[question, reply]{
		Handle:  handle,
		Method:  func(question) string { return "FIDO2" },
		Outcome: func(question, reply) string { return "told" },
		Limit:   serve.CognitoLimit,
	}, telemetry.New(&out, slog.LevelInfo, "Passwordless", "test"))
	ctx = lambdacontext.NewContext(ctx, &lambdacontext.LambdaContext{AwsRequestID: "request"})
	answer, err := h.Invoke(ctx, []byte(payload))
	var fields map[string]any
	if jerr := json.Unmarshal(out.Bytes(), &fields); jerr != nil {
		t.Fatalf("%v: %s", jerr, &out)
	}
	if fields["request_id"] != "request" || fields["trigger"] != "test" {
		t.Errorf("line %s", &out)
	}
	if err == nil {
		return string(answer), nil, fields
	}
	var failure messages.InvokeResponse_Error
	if !errors.As(err, &failure) {
		t.Fatalf("%T is not reported as it is", err)
	}
	if answer != nil {
		t.Error("an answer beside an error")
	}
	return "", &failure, fields
}

func TestAnswer(t *testing.T) {
	answer, failure, line := invoke(t, t.Context(), `{"ask":"x"}`, func(ctx context.Context, q question) (reply, error) {
		end, ok := ctx.Deadline()
		if left := time.Until(end); !ok || left > serve.CognitoLimit || left < serve.CognitoLimit/2 {
			t.Errorf("%v left", left)
		}
		return reply{"to " + q.Ask}, nil
	})
	if answer != `{"told":"to x"}` || failure != nil || line["outcome"] != "told" || line["method"] != "FIDO2" || line["level"] != "INFO" {
		t.Errorf("%s, %v, %v", answer, failure, line)
	}
}

// Cognito shows the text of an error to whoever signs in: what is not meant for them stays in the log, scrubbed.
func TestErrorsAreNeutral(t *testing.T) {
	secret := errors.New("table arn:aws:dynamodb:eu-west-1:123456789012:table/x: alice@example.com")
	for name, tc := range map[string]struct {
		payload string
		err     error
		want    messages.InvokeResponse_Error
		outcome string
	}{
		"refusal":           {`{}`, &challenge.Failure{Text: "sign-up is not open"}, messages.InvokeResponse_Error{Message: "sign-up is not open", Type: "Refused"}, "refused"},
		"wrapped refusal":   {`{}`, fmt.Errorf("%w: %w", secret, &challenge.Failure{Text: "no"}), messages.InvokeResponse_Error{Message: "no", Type: "Refused"}, "refused"},
		"failure":           {`{}`, &challenge.Failure{Text: "not at the moment", Cause: secret}, messages.InvokeResponse_Error{Message: "not at the moment", Type: "Internal"}, "failed"},
		"anything else":     {`{}`, secret, messages.InvokeResponse_Error{Message: "sign-in is not available at the moment", Type: "Internal"}, "failed"},
		"deadline exceeded": {`{}`, &challenge.Failure{Text: "x", Cause: context.DeadlineExceeded}, messages.InvokeResponse_Error{Message: "sign-in took too long: try again", Type: "Internal"}, "failed"},
		"not JSON":          {`{"ask":"alice@example.com`, nil, messages.InvokeResponse_Error{Message: "not an event of this trigger", Type: "Internal"}, "failed"},
		"another event":     {`{"ask":{"alice@example.com":1}}`, nil, messages.InvokeResponse_Error{Message: "not an event of this trigger", Type: "Internal"}, "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			_, failure, line := invoke(t, t.Context(), tc.payload, func(context.Context, question) (reply, error) { return reply{}, tc.err })
			if failure == nil || failure.Message != tc.want.Message || failure.Type != tc.want.Type || failure.ShouldExit || failure.StackTrace != nil {
				t.Errorf("got %+v", failure)
			}
			if line["outcome"] != tc.outcome || line["level"] != "ERROR" || strings.Contains(fmt.Sprint(line), "alice@") {
				t.Errorf("line %v", line)
			}
		})
	}
}

// A panic answers like any failure and the process lives on.
func TestPanic(t *testing.T) {
	for name, panics := range map[string]func(){
		"value": func() { panic("for alice@example.com") }, "index": func() { _ = t.Name()[len(t.Name()):][0] }, "error": func() { panic(&challenge.Failure{Text: "alice@example.com"}) },
	} {
		_, failure, line := invoke(t, t.Context(), `{}`, func(context.Context, question) (reply, error) { panics(); return reply{}, nil })
		if failure == nil || failure.Message != "sign-in is not available at the moment" || failure.ShouldExit {
			t.Errorf("%s: %+v", name, failure)
		}
		text := fmt.Sprint(line["error"])
		if line["outcome"] != "panic" || strings.Contains(text, "alice") || !strings.Contains(text, "serve_test.TestPanic") {
			t.Errorf("%s: line %v", name, line)
		}
	}
}

// Nothing is begun that cannot be answered in time: Cognito has given up and calls again.
func TestExpiredDeadline(t *testing.T) {
	for name, left := range map[string]time.Duration{"long over": -time.Hour, "nearly over": 50 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), left)
		_, failure, line := invoke(t, ctx, `{}`, func(context.Context, question) (reply, error) {
			t.Errorf("%s: began", name)
			return reply{}, nil
		})
		cancel()
		if failure == nil || failure.Message != "sign-in took too long: try again" || line["outcome"] != "late" {
			t.Errorf("%s: %+v, %v", name, failure, line)
		}
	}
}

// The call ends before the time is over, so that there is an answer.
func TestDeadlineDuringACall(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, failure, line := invoke(t, ctx, `{}`, func(inner context.Context, _ question) (reply, error) {
		<-inner.Done()
		if ctx.Err() != nil {
			t.Error("no time is left to answer")
		}
		return reply{}, &challenge.Failure{Text: "the magic link could not be sent", Cause: inner.Err()}
	})
	if failure == nil || failure.Message != "sign-in took too long: try again" || line["outcome"] != "late" {
		t.Errorf("%+v, %v", failure, line)
	}
}

func FuzzInvoke(f *testing.F) {
	for _, s := range []string{`{}`, `null`, `{"ask":"x"}`, `[`, `{"ask":{"a":1}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		answer, failure, _ := invoke(t, t.Context(), string(payload), func(_ context.Context, q question) (reply, error) { return reply{q.Ask}, nil })
		if failure != nil && failure.Message != "not an event of this trigger" {
			t.Errorf("%+v", failure)
		}
		if failure == nil && !json.Valid([]byte(answer)) {
			t.Errorf("answer %s", answer)
		}
	})
}

func TestMethodIsNotTheCallersText(t *testing.T) {
	for said, want := range map[string]string{"FIDO2": "FIDO2", "MAGIC_LINK": "MAGIC_LINK", "SMS_OTP_STEPUP": "SMS_OTP_STEPUP", "": "none", "alice@example.com": "other"} {
		if got := serve.Method(map[string]string{"signInMethod": said}); got != want {
			t.Errorf("%q: %q", said, got)
		}
	}
}
