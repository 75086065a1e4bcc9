package cmd_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-cognito/passwordless/internal/lambdahost"
)

// The program of examples/smsgateway takes the place of create: codes go to the company's gateway, once each, and links by SES in its words.
func TestProgramOfAnOperator(t *testing.T) {
	program := filepath.Join(t.TempDir(), "bootstrap")
	build := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", program, "./examples/smsgateway")
	build.Dir, build.Env = filepath.Join("..", ".."), append(build.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	var mu sync.Mutex
	var sent []map[string]string
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var message map[string]string
		_ = json.NewDecoder(r.Body).Decode(&message)
		mu.Lock()
		sent = append(sent, message)
		mu.Unlock()
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(gateway.Close)
	d := deploy(t)
	f, err := lambdahost.Start(d.environment("SMS_GATEWAY_URL="+gateway.URL), program)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)

	in := change(t, event(t, "create.json"), map[string]any{"clientMetadata": map[string]string{"signInMethod": "SMS_OTP_STEPUP"}})
	for range 2 {
		public, _ := respond(t, f, in)["publicChallengeParameters"].(map[string]any)
		if public["phoneNumber"] != "a phone ending in 78" {
			t.Errorf("the page learns %v", public)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(sent) != 1 || sent[0]["to"] != "+31612345678" || sent[0]["text"] == "" || len(d.sns.Sent()) > 0 {
		t.Errorf("the gateway got %v, SNS %v", sent, d.sns.Sent())
	}
	respond(t, f, inSession(2, event(t, "create.json")))
	if mails := d.ses.Mails(t); len(mails) != 1 || !strings.HasPrefix(mails[0].Subject, "[auth.example.com] ") {
		t.Errorf("mails %+v", mails)
	}
}
