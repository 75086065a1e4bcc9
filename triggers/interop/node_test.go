package interop_test

import (
	"encoding/json"
	"testing"

	"github.com/caddy-cognito/passwordless/internal/npmtest"
)

// Names of the other side's handlers.
const (
	defineModule      = "define-auth-challenge"
	createModule      = "create-auth-challenge"
	verifyModule      = "verify-auth-challenge-response"
	preSignUpModule   = "pre-signup"
	preTokenModule    = "pre-token"
	credentialsModule = "fido2-credentials-api"
	challengeModule   = "fido2-challenge-api"
)

// node is a process that has the other side's handlers. It is for one goroutine.
type node struct{ handlers *npmtest.Handlers }

// startNode runs the handlers with exactly this environment until the test ends.
func startNode(t testing.TB, environment ...string) *node {
	t.Helper()
	return &node{npmtest.Start(t, environment...)}
}

// all runs a handler on the events, one after the other.
func (n *node) all(t testing.TB, module string, events ...any) []npmtest.Outcome {
	t.Helper()
	answers, err := n.handlers.Run(module, events...)
	if err != nil {
		t.Fatal(err)
	}
	return answers
}

// trigger runs a handler on one event and reads the event that it returns into answer.
func (n *node) trigger(t testing.TB, module string, event, answer any) {
	t.Helper()
	got := n.all(t, module, event)[0]
	if got.Error != "" {
		t.Fatalf("%s: %s", module, got.Error)
	}
	decode(t, got.Event, answer)
}

func decode(t testing.TB, raw []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
}
