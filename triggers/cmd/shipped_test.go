package cmd_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-cognito/passwordless/internal/lambdahost"
)

// Cognito may send one event three times; each answer is the same, and each call has one line in the log that names nobody.
func TestDefineAnswersAndLogs(t *testing.T) {
	f := start(t, "define")
	for range 3 {
		answer, failure := ask(t, f, lambdahost.Event{Payload: event(t, "define.json")})
		if failure != nil {
			t.Fatal(failure)
		}
		var got struct{ Response map[string]any }
		if err := json.Unmarshal([]byte(answer), &got); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{"challengeName": "CUSTOM_CHALLENGE", "issueTokens": false, "failAuthentication": false}
		if !maps.Equal(got.Response, want) {
			t.Errorf("%v", got.Response)
		}
	}
	f.Close()
	lines := lines(t, f)
	if len(lines) != 3 {
		t.Fatalf("%d lines:\n%s", len(lines), f.Output())
	}
	for _, line := range lines {
		if line["request_id"] != "8476a536-e9f4-11e8-9739-2dfe598c3fcd" || line["trigger"] != "define" || line["method"] != "MAGIC_LINK" || line["outcome"] != "ask" {
			t.Errorf("%v", line)
		}
		if ms, ok := line["duration_ms"].(float64); !ok || ms < 0 || ms > 60_000 {
			t.Errorf("duration %v", line["duration_ms"])
		}
		checkMetrics(t, line)
	}
	for _, secret := range []string{"alice", "6a0f2f5e", "31612345678", "AAECAwQFBgcICQoLDA0ODw", "auth.example.com"} {
		if strings.Contains(f.Output(), secret) {
			t.Errorf("the log tells %q:\n%s", secret, f.Output())
		}
	}
}

// A refusal is told to who signs up, in Lambda's form of an error; who it was stays out of the log.
func TestPresignupRefuses(t *testing.T) {
	f := start(t, "presignup", "SIGN_UP_ALLOWED_DOMAINS=example.org, example.net")
	_, failure := ask(t, f, lambdahost.Event{Payload: event(t, "presignup.json")})
	if failure == nil || failure.Message != "sign-up is not open for this address" || failure.Type != "Refused" {
		t.Fatalf("%+v", failure)
	}
	var form map[string]any
	if err := json.Unmarshal(failure.Raw, &form); err != nil || form["errorMessage"] == nil || form["errorType"] == nil {
		t.Errorf("%s, %v", failure.Raw, err)
	}
	allowed := []byte(strings.ReplaceAll(string(event(t, "presignup.json")), "alice@example.com", "alice@EXAMPLE.org"))
	if answer, failure := ask(t, f, lambdahost.Event{Payload: allowed}); failure != nil || !strings.Contains(answer, `"autoConfirmUser":true`) {
		t.Errorf("%s, %v", answer, failure)
	}
	f.Close()
	if strings.Contains(strings.ToLower(f.Output()), "alice") {
		t.Errorf("the log tells who it was:\n%s", f.Output())
	}
	var outcomes []string
	for _, line := range lines(t, f) {
		outcomes = append(outcomes, line["outcome"].(string))
	}
	if !slices.Equal(outcomes, []string{"refused", "confirm"}) {
		t.Errorf("%q", outcomes)
	}
}

// What is no event of the trigger, or comes too late, is refused without a word of the event, and the next call is answered.
func TestBadEventsAndDeadlines(t *testing.T) {
	f := start(t, "define")
	for name, c := range map[string]struct {
		event lambdahost.Event
		want  string
	}{
		"no JSON":          {lambdahost.Event{Payload: []byte(`{"userName":"alice@example.com"`)}, "not an event of this trigger"},
		"of another shape": {lambdahost.Event{Payload: []byte(`{"userName":["alice@example.com"]}`)}, "not an event of this trigger"},
		"too late":         {lambdahost.Event{Payload: event(t, "define.json"), Deadline: past}, "sign-in took too long: try again"},
	} {
		if answer, failure := ask(t, f, c.event); failure == nil || failure.Message != c.want || failure.Type != "Internal" || strings.Contains(string(failure.Raw), "alice") {
			t.Errorf("%s: %s, %+v", name, answer, failure)
		}
		if _, failure := ask(t, f, lambdahost.Event{Payload: event(t, "define.json")}); failure != nil {
			t.Errorf("after %s: %v", name, failure)
		}
	}
	f.Close()
	if strings.Contains(f.Output(), "alice") {
		t.Errorf("the log quotes an event:\n%s", f.Output())
	}
}

// Everything that wants mending is told at once, in one line, before any event is taken.
func TestBadEnvironment(t *testing.T) {
	f := start(t, "presignup", "LOG_LEVEL=LOUD", "SIGN_UP_MODE=sometimes")
	if err := f.Ready(t.Context()); err == nil {
		t.Fatal("the trigger takes events")
	}
	all := lines(t, f)
	if len(all) != 1 {
		t.Fatalf("%d lines:\n%s", len(all), f.Output())
	}
	text, _ := all[0]["error"].(string)
	for _, part := range []string{"LOG_LEVEL is none of DEBUG, INFO", "SIGN_UP_MODE", "want open, domains, invitation or closed"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in %q", part, text)
		}
	}
}

// LOG_LEVEL=NONE keeps metrics; METRICS_NAMESPACE=none turns them off.
func TestQuiet(t *testing.T) {
	for environment, want := range map[string]int{"LOG_LEVEL=NONE": 1, "LOG_LEVEL=NONE METRICS_NAMESPACE=none": 0} {
		f := start(t, "define", strings.Fields(environment)...)
		if _, failure := ask(t, f, lambdahost.Event{Payload: event(t, "define.json")}); failure != nil {
			t.Error(failure)
		}
		f.Close()
		if got := lines(t, f); len(got) != want {
			t.Errorf("%s: %d lines:\n%s", environment, len(got), f.Output())
		}
	}
}

// lines are those that a program which has ended wrote; each must be a JSON object.
func lines(t *testing.T, f *lambdahost.Function) []map[string]any {
	t.Helper()
	var all []map[string]any
	for text := range strings.Lines(f.Output()) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		all = append(all, line)
	}
	return all
}

// checkMetrics checks a line against CloudWatch's embedded metric format: each name must be a member of the line, dimensions being texts
// and metrics numbers.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
func checkMetrics(t *testing.T, line map[string]any) {
	t.Helper()
	raw, err := json.Marshal(line["_aws"])
	if err != nil {
		t.Fatal(err)
	}
	var aws struct {
		Timestamp         int64
		CloudWatchMetrics []struct {
			Namespace  string
			Dimensions [][]string
			Metrics    []struct{ Name, Unit string }
		}
	}
	if err := json.Unmarshal(raw, &aws); err != nil || aws.Timestamp < 1e12 || len(aws.CloudWatchMetrics) == 0 {
		t.Fatalf("%s, %v", raw, err)
	}
	for _, m := range aws.CloudWatchMetrics {
		if m.Namespace == "" || len(m.Dimensions) == 0 || len(m.Metrics) == 0 {
			t.Errorf("%+v", m)
		}
		for _, name := range slices.Concat(m.Dimensions...) {
			if _, ok := line[name].(string); !ok {
				t.Errorf("dimension %s is %v", name, line[name])
			}
		}
		for _, metric := range m.Metrics {
			if _, ok := line[metric.Name].(float64); !ok {
				t.Errorf("metric %s is %v", metric.Name, line[metric.Name])
			}
		}
	}
}
