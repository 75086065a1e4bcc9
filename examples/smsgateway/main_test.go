package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/caddy-cognito/passwordless/templates"
	"github.com/caddy-cognito/passwordless/triggers/create"
	"github.com/caddy-cognito/passwordless/triggers/lambda/createlambda"
	"github.com/caddy-cognito/passwordless/triggers/lambda/environment"
)

func TestGateway(t *testing.T) {
	var got map[string]string
	status := http.StatusAccepted
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewDecoder(r.Body).Decode(&got)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "123456")
	}))
	t.Cleanup(server.Close)
	g := gateway{url: server.URL}
	if err := g.Send(t.Context(), create.Text{To: "+31612345678", Body: "123456"}); err != nil || got["to"] != "+31612345678" || got["text"] != "123456" {
		t.Errorf("the gateway got %v, %v", got, err)
	}
	status = http.StatusForbidden
	if err := g.Send(t.Context(), create.Text{To: "+31612345678", Body: "123456"}); err == nil || strings.Contains(err.Error(), "123456") {
		t.Errorf("refused: %v", err)
	}
	server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Send(ctx, create.Text{To: "+31612345678", Body: "123456"}); err == nil {
		t.Error("a gateway that is gone accepted a message")
	}
}

// The Lambda takes the parts, and does not ask for the variables of those it replaces.
func TestParts(t *testing.T) {
	variables := map[string]string{
		"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "STACK_ID": "salt", "DYNAMODB_SECRETS_TABLE": "Secrets",
		"SMS_OTP_STEP_UP_ENABLED": "TRUE", "ORIGINATION_NUMBER": "unused",
	}
	env := environment.New(func(name string) string { return variables[name] })
	h, _, err := createlambda.New(env, slog.New(slog.DiscardHandler), createlambda.Options{Texter: gateway{url: "x"}})
	if err != nil || env.Err() != nil || h.SMS == nil || h.SMS.Texter != (gateway{url: "x"}) {
		t.Errorf("%v, %v", err, env.Err())
	}
}

func TestMail(t *testing.T) {
	m, err := mail("de", templates.MagicLinkData{Product: "Example", Link: "https://example.com/#x", Host: "app.example.com"})
	if err != nil || !strings.HasPrefix(m.Subject, "[app.example.com] ") || m.Text == "" || m.HTML == "" {
		t.Errorf("%+v, %v", m, err)
	}
}

// The page shows this very program.
func TestDocumentation(t *testing.T) {
	page, err := os.ReadFile("../../docs/triggers.md")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```go\n"+string(program)+"```\n") {
		t.Error("docs/triggers.md does not show examples/smsgateway/main.go as it is")
	}
}
