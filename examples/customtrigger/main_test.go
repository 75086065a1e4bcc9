package main

import (
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/caddy-cognito/passwordless/triggers/lambda/environment"
)

// The example does what it says: its list and the policy of the library both hold.
func TestBlockedAddresses(t *testing.T) {
	variables := map[string]string{"SIGN_UP_ALLOWED_DOMAINS": "example.com", "BLOCKED_ADDRESSES": "mallory@example.com"}
	env := environment.New(func(name string) string { return variables[name] })
	trigger, err := build(env, slog.New(slog.DiscardHandler))
	if err != nil || env.Err() != nil {
		t.Fatal(err, env.Err())
	}
	for address, want := range map[string]bool{"alice@example.com": true, "Mallory@example.com": false, "mallory@example.com": false, "alice@example.org": false} {
		var e event
		e.TriggerSource = "PreSignUp_SignUp"
		e.Request.UserAttributes = map[string]string{"email": address}
		answer, err := trigger.Handle(t.Context(), e)
		if (err == nil) != want || answer.Response.AutoConfirmUser != want {
			t.Errorf("%s: %v, %v", address, answer.Response, err)
		}
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
		t.Error("docs/triggers.md does not show examples/customtrigger/main.go as it is")
	}
}
