// Package npmtest runs the Lambda handlers of npm amazon-cognito-passwordless-auth for tests, as that package ships them, in a Node process.
package npmtest

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
)

// modules have a handler each.
var modules = []string{
	"define-auth-challenge", "create-auth-challenge", "verify-auth-challenge-response", "pre-signup", "pre-token", "fido2-credentials-api", "fido2-challenge-api",
}

//go:embed handlers.mjs
var script []byte

// Handlers is a process that has the handlers. It is for one goroutine.
type Handlers struct {
	in  io.Writer
	out *bufio.Reader
}

// Outcome is what a handler made of one event.
type Outcome struct {
	Event json.RawMessage `json:"event"` // of a trigger with its response only
	Error string          `json:"error"`
}

// Start runs the handlers with exactly this environment until the test ends. Missing parts fail the test; `make test` installs them.
func Start(t testing.TB, environment ...string) *Handlers {
	t.Helper()
	program, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("the other side's handlers need Node: run `make test-tools`")
	}
	_, file, _, _ := runtime.Caller(0)
	packages := filepath.Join(filepath.Dir(file), "..", "..", "bin", "npm", "node_modules")
	bundled := bundle(t, packages)
	runner := filepath.Join(bundled, "handlers.mjs")
	if err := os.WriteFile(runner, script, 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, runner, bundled)
	command.Env = append(slices.Clip(environment), "NODE_PATH="+packages)
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "node.log"))
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = command.Process.Kill()
		_ = command.Wait()
		_ = log.Close()
		if t.Failed() {
			if said, err := os.ReadFile(log.Name()); err == nil && len(said) > 0 {
				t.Logf("Node said:\n%s", said)
			}
		}
	})
	return &Handlers{in: in, out: bufio.NewReader(out)}
}

// bundle makes the handlers as their construct deploys them, with esbuild: Node itself refuses what they import from the package cbor by name.
func bundle(t testing.TB, packages string) string {
	t.Helper()
	target := t.TempDir()
	folder := filepath.Join(packages, "amazon-cognito-passwordless-auth", "dist", "cdk", "custom-auth")
	arguments := []string{"--bundle", "--platform=node", "--format=cjs", "--packages=external", "--out-extension:.js=.cjs", "--outdir=" + target}
	for _, module := range modules {
		arguments = append(arguments, filepath.Join(folder, module+".js"))
	}
	if out, err := exec.Command(filepath.Join(packages, ".bin", "esbuild"), arguments...).CombinedOutput(); err != nil {
		t.Fatalf("amazon-cognito-passwordless-auth cannot be bundled; is it installed? Run `make test-tools`: %v\n%s", err, out)
	}
	return target
}

// Run gives events to the handler of a module, one after the other.
func (h *Handlers) Run(module string, events ...any) ([]Outcome, error) {
	if events == nil {
		events = []any{}
	}
	line, err := json.Marshal(map[string]any{"module": module, "events": events})
	if err != nil {
		return nil, err
	}
	if _, err := h.in.Write(append(line, '\n')); err != nil {
		return nil, fmt.Errorf("%s: the Node process is gone: %w", module, err)
	}
	raw, err := h.out.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("%s: the Node process ended: %w", module, err)
	}
	var reply struct {
		Answers []Outcome `json:"answers"`
	}
	if err := json.Unmarshal(raw, &reply); err != nil {
		return nil, fmt.Errorf("%s: reading its answers: %w", module, err)
	}
	if len(reply.Answers) != len(events) {
		return nil, fmt.Errorf("%s: %d answers to %d events", module, len(reply.Answers), len(events))
	}
	return reply.Answers, nil
}
