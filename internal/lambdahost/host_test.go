package lambdahost_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/lambdahost"
)

// program is a function in another language, so that the host is not tested against what it was written beside.
const program = `
const base = "http://" + process.env.AWS_LAMBDA_RUNTIME_API + "/2018-06-01/runtime/";
const post = (path, body) => fetch(base + path, { method: "POST", body: JSON.stringify(body) });
console.log("began");
(async () => {
	for (;;) {
		const r = await fetch(base + "invocation/next");
		const id = r.headers.get("lambda-runtime-aws-request-id"), event = await r.json();
		if (event === "exit") process.exit(3);
		if (event === "fail") await post("invocation/" + id + "/error", { errorMessage: "as asked", errorType: "Asked" });
		else if (event === "wrong id") await post("invocation/other/response", "x");
		else await post("invocation/" + id + "/response", { event, id, deadline: r.headers.get("lambda-runtime-deadline-ms") });
	}
})();
`

func TestProtocol(t *testing.T) {
	file := t.TempDir() + "/program.js"
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := lambdahost.Start(nil, "node", file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := f.Ready(ctx); err != nil {
		t.Fatal(err, f.Output())
	}
	got, err := f.Invoke(ctx, lambdahost.Event{RequestID: "one", Payload: []byte(`{"a":1}`), Deadline: time.UnixMilli(1795346768123)})
	if want := `{"event":{"a":1},"id":"one","deadline":"1795346768123"}`; err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
	_, err = f.Invoke(ctx, lambdahost.Event{RequestID: "two", Payload: []byte(`"fail"`)})
	var failure *lambdahost.FunctionError
	if !errors.As(err, &failure) || failure.Message != "as asked" || failure.Type != "Asked" {
		t.Errorf("%v", err)
	}
	if _, err = f.Invoke(ctx, lambdahost.Event{RequestID: "three", Payload: []byte(`"wrong id"`)}); err == nil || errors.As(err, &failure) {
		t.Errorf("an answer to another call: %v", err)
	}
	if got, err = f.Invoke(ctx, lambdahost.Event{RequestID: "four", Payload: []byte(`4`)}); err != nil || !strings.Contains(string(got), `"event":4`) {
		t.Errorf("after an error: %s, %v", got, err)
	}
	if _, err = f.Invoke(ctx, lambdahost.Event{RequestID: "five", Payload: []byte(`"exit"`)}); !errors.Is(err, lambdahost.ErrExited) {
		t.Errorf("%v", err)
	}
	if f.Output() != "began\n" {
		t.Errorf("output %q", f.Output())
	}
	if _, err := f.Invoke(ctx, lambdahost.Event{Payload: []byte(`1`)}); !errors.Is(err, lambdahost.ErrExited) {
		t.Errorf("a call after the end: %v", err)
	}
}

// A program that never asks for an event, as one with a bad environment.
func TestProgramThatDoesNotStart(t *testing.T) {
	f, err := lambdahost.Start([]string{"WORD=seen"}, "sh", "-c", `echo "$WORD $HOME" >&2; exit 1`)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Ready(t.Context()); !errors.Is(err, lambdahost.ErrExited) {
		t.Errorf("%v", err)
	}
	if got := f.Output(); got != fmt.Sprintln("seen ") {
		t.Errorf("output %q", got)
	}
}
