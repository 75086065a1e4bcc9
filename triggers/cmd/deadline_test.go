package cmd_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/lambdahost"
)

// Nothing is begun that is too late: no mail, no used link. The next call is answered.
func TestTooLate(t *testing.T) {
	d := deploy(t)
	for trigger, payload := range map[string][]byte{
		"create": event(t, "create.json"), "verify": event(t, "verify.json"), "pretoken": event(t, "../pretoken/testdata/v2.json"),
	} {
		f, before := start(t, trigger, d.environment()...), len(d.ses.Mails(t))
		if answer, failure := ask(t, f, lambdahost.Event{Payload: payload, Deadline: past}); failure == nil || failure.Message != "sign-in took too long: try again" || failure.Type != "Internal" {
			t.Errorf("%s: %s, %+v", trigger, answer, failure)
		}
		if after := len(d.ses.Mails(t)); after != before {
			t.Errorf("%s: %d mails, then %d", trigger, before, after)
		}
		if _, failure := ask(t, f, lambdahost.Event{Payload: payload}); failure != nil {
			t.Errorf("%s: the next call: %+v", trigger, failure)
		}
		f.Close()
		if all := lines(t, f); all[0]["outcome"] != "late" || !strings.Contains(all[0]["error"].(string), "time for this call was over") {
			t.Errorf("%s: %v", trigger, all[0])
		}
	}
}

// A table that does not answer at all is given up in time to say so, well within Cognito's five seconds where the call's own time is shorter.
func TestSilentTable(t *testing.T) {
	released := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-released }))
	t.Cleanup(silent.Close)
	t.Cleanup(func() { close(released) })
	d := deploy(t)
	d.dynamodb = silent.URL
	for trigger, payload := range map[string][]byte{
		"create": event(t, "create.json"), "pretoken": event(t, "../pretoken/testdata/v2.json"),
	} {
		f := start(t, trigger, d.environment()...)
		_, failure := ask(t, f, lambdahost.Event{Payload: payload, Deadline: time.Now().Add(2 * time.Second)})
		if failure == nil || failure.Message != "sign-in took too long: try again" {
			t.Errorf("%s: %+v", trigger, failure)
		}
		f.Close()
		all := lines(t, f)
		last := all[len(all)-1]
		if last["outcome"] != "late" || last["duration_ms"].(float64) >= 5000 {
			t.Errorf("%s: %v", trigger, last)
		}
	}
	if mails := d.ses.Mails(t); len(mails) > 0 {
		t.Errorf("mails %+v", mails)
	}
}
