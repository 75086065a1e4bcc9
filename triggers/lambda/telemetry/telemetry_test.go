package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/caddy-cognito/passwordless/triggers/lambda/telemetry"
)

// line reads the one line that was written.
func line(t *testing.T, out *bytes.Buffer) map[string]any {
	t.Helper()
	text := strings.TrimSuffix(out.String(), "\n")
	if strings.Contains(text, "\n") {
		t.Fatalf("several lines: %s", text)
	}
	var fields map[string]any
	if err := json.Unmarshal([]byte(text), &fields); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return fields
}

func TestInvocation(t *testing.T) {
	var out bytes.Buffer
	log := telemetry.New(&out, slog.LevelInfo, "Passwordless", "verify")
	log.Done(t.Context(), telemetry.Invocation{RequestID: "8476a536-e9f4-11e8-9739-2dfe598c3fcd", Method: "FIDO2", Outcome: "passed", Duration: 1234567 * time.Nanosecond})
	got := line(t, &out)
	for field, want := range map[string]any{
		"level": "INFO", "request_id": "8476a536-e9f4-11e8-9739-2dfe598c3fcd", "trigger": "verify", "method": "FIDO2", "outcome": "passed",
		"duration_ms": 1.234, "invocations": 1.0,
	} {
		if got[field] != want {
			t.Errorf("%s is %v, want %v", field, got[field], want)
		}
	}
	wantMetrics(t, got)
}

// wantMetrics holds a line against the specification of the embedded metric format.
func wantMetrics(t *testing.T, fields map[string]any) {
	t.Helper()
	raw, _ := json.Marshal(fields["_aws"])
	var aws struct {
		Timestamp         int64
		CloudWatchMetrics []struct {
			Namespace  string
			Dimensions [][]string
			Metrics    []struct{ Name, Unit string }
		}
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&aws); err != nil {
		t.Fatal(err)
	}
	if age := time.Since(time.UnixMilli(aws.Timestamp)); age < 0 || age > time.Minute || len(aws.CloudWatchMetrics) != 1 {
		t.Fatalf("%s", raw)
	}
	directive := aws.CloudWatchMetrics[0]
	if directive.Namespace != "Passwordless" || len(directive.Metrics) != 2 {
		t.Errorf("%s", raw)
	}
	for _, m := range directive.Metrics {
		if _, ok := fields[m.Name].(float64); !ok || !slices.Contains([]string{"Milliseconds", "Count"}, m.Unit) {
			t.Errorf("metric %s is %v, in %s", m.Name, fields[m.Name], m.Unit)
		}
	}
	for _, set := range directive.Dimensions {
		for _, name := range set {
			if v, ok := fields[name].(string); !ok || v == "" {
				t.Errorf("dimension %s is %v", name, fields[name])
			}
		}
	}
}

// Every line of a call can be told from another call's, once.
func TestLinesNameTheCall(t *testing.T) {
	var out bytes.Buffer
	log := telemetry.New(&out, slog.LevelInfo, "Passwordless", "verify")
	ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "8476a536-e9f4-11e8-9739-2dfe598c3fcd"})
	log.InfoContext(ctx, "denied", "reason", "the link is used up")
	log.Done(ctx, telemetry.Invocation{RequestID: "8476a536-e9f4-11e8-9739-2dfe598c3fcd", Outcome: "deny"})
	log.Info("before any call")
	lines := strings.SplitAfter(out.String(), "\n")
	for i, want := range []int{1, 1, 0} {
		if got := strings.Count(lines[i], `"request_id":"8476a536-e9f4-11e8-9739-2dfe598c3fcd"`); got != want {
			t.Errorf("line %d names the call %d times: %s", i, got, lines[i])
		}
	}
}

func TestMetricsDoNotDependOnTheLevel(t *testing.T) {
	var out bytes.Buffer
	level, ok := telemetry.Level("none")
	if !ok {
		t.Fatal("no such level")
	}
	log := telemetry.New(&out, level, "Passwordless", "presignup")
	log.Error("not wanted")
	log.Done(t.Context(), telemetry.Invocation{RequestID: "1", Outcome: "confirm"})
	wantMetrics(t, line(t, &out))

	out.Reset()
	quiet := telemetry.New(&out, level, "", "presignup")
	quiet.Done(t.Context(), telemetry.Invocation{RequestID: "1", Outcome: "failed", Err: errors.New("x")})
	if out.Len() > 0 {
		t.Errorf("wrote %s", &out)
	}
	loud := telemetry.New(&out, slog.LevelError, "", "presignup")
	loud.Done(t.Context(), telemetry.Invocation{RequestID: "1", Outcome: "failed", Err: errors.New("x")})
	if got := line(t, &out); got["error"] != "x" || got["_aws"] != nil {
		t.Errorf("%v", got)
	}
}

func TestLevels(t *testing.T) {
	for name, want := range map[string]slog.Level{"DEBUG": slog.LevelDebug, "": slog.LevelInfo, "info": slog.LevelInfo, "WARN": slog.LevelWarn, "ERROR": slog.LevelError} {
		if got, ok := telemetry.Level(name); got != want || !ok {
			t.Errorf("%q: %v, %v", name, got, ok)
		}
	}
	if _, ok := telemetry.Level("LOUD"); ok {
		t.Error("an unknown level")
	}
}

// apiError is an error of AWS as its SDK has it.
type apiError struct{ code, message string }

func (e apiError) Error() string     { return "api error " + e.code + ": " + e.message }
func (e apiError) ErrorCode() string { return e.code }

var secrets = []string{
	"alice@example.com", "\"Alice\" <alice+tag@sub.example.co.uk>", "mailto:alice%40example.com", "+31612345678", "123456", "5678", "0042", "+1 555-0199",
	"https://auth.example.com/auth/link?flow=abc#eyJ1c2VyTmFtZSI6ImEifQ.AAAA",
	"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl",
	"0LPjcJPurUUFGSTJ8hqMF_y4V17eu4fuiVqsPVb2-_CiA_awWcFx3UtvDHR0r5hf--ZxrZoAM_JsghyPXK6GPQ",
}

// Whatever brings a secret along, in an attribute, an error, a group or the message: none gets into a line.
func TestNothingSecretIsLogged(t *testing.T) {
	for _, secret := range secrets {
		var out bytes.Buffer
		log := telemetry.New(&out, slog.LevelDebug, "Passwordless", "create")
		cause := fmt.Errorf("sending: %w", apiError{"MessageRejected", "Email address is not verified: " + secret})
		log.Error("failed for "+secret, slog.Any("error", cause), slog.String("x", secret), slog.Group("g", slog.String("y", "="+secret)), slog.Any("z", []string{secret}))
		log.With("w", secret).WithGroup("v").Info("again", slog.Any("u", struct{ A string }{secret}))
		log.Done(t.Context(), telemetry.Invocation{RequestID: "1", Outcome: "failed", Err: cause})
		text := out.String()
		for _, part := range strings.FieldsFunc(secret, func(r rune) bool { return strings.ContainsRune(" <>\"?#", r) }) {
			if len(part) >= 4 && strings.ContainsAny(part, "@%0123456789") && strings.Contains(text, part) {
				t.Errorf("%q is in %s", part, text)
			}
		}
		if !strings.Contains(text, "MessageRejected") || !strings.Contains(text, "Email address is not verified: ") {
			t.Errorf("nothing useful is left: %s", text)
		}
	}
}

// What an operator needs stays.
func TestUsefulTextsStay(t *testing.T) {
	for _, text := range []string{
		"operation error DynamoDB: UpdateItem, exceeded maximum number of attempts, 3, https response error StatusCode: 400, ThrottlingException: Rate of requests exceeds the allowed throughput.",
		"the signature counter went back", "denied", "", "table Secrets-ABC in eu-west-1, key 6a0f2f5e-1111-4222-8333-444455556666",
		"https://kms.eu-west-1.amazonaws.com/", "über", "\xff",
	} {
		want := strings.ReplaceAll(strings.ReplaceAll(text, "-1111-4222-8333-444455556666", "-[removed]-[removed]-[removed]-[removed]"), "\xff", "\xff")
		if got := telemetry.Scrub(text); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func FuzzScrub(f *testing.F) {
	for _, s := range secrets {
		f.Add("before " + s + ", after")
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := telemetry.Scrub(text)
		if strings.Contains(got, "@") || strings.Contains(strings.ToLower(got), "%40") {
			t.Errorf("an address in %q", got)
		}
		if telemetry.Scrub(got) != got {
			t.Errorf("%q is scrubbed again to %q", got, telemetry.Scrub(got))
		}
		digits := 0
		for _, field := range strings.FieldsFunc(got, func(r rune) bool { return r < '0' || r > '9' && r < 'A' || r > 'Z' && r < 'a' || r > 'z' }) {
			digits = 0
			for _, r := range field {
				if r >= '0' && r <= '9' {
					digits++
				}
			}
			if digits == len(field) && digits >= 4 {
				t.Errorf("a number in %q", got)
			}
		}
	})
}
