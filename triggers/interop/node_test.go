package interop_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/caddy-cognito/passwordless/internal/dynamotest"
)

// npmPackage is where the other side's compiled handlers are, from this package's folder.
var npmPackage = filepath.Join("..", "..", dynamotest.Folder, "node_modules", "amazon-cognito-passwordless-auth", "dist", "cdk", "custom-auth")

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
type node struct {
	in  io.Writer
	out *bufio.Reader
}

// outcome is what a handler made of one event.
type outcome struct {
	Event json.RawMessage `json:"event"`
	Error string          `json:"error"`
}

// startNode runs the handlers with exactly this environment until the test ends.
func startNode(t testing.TB, environment ...string) *node {
	t.Helper()
	program, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("the other side's handlers need Node: run `make test-tools`")
	}
	folder, err := filepath.Abs(npmPackage)
	if err != nil {
		t.Fatal(err)
	}
	bundled := bundle(t, folder)
	command := exec.Command(program, "testdata/triggers.mjs", bundled)
	command.Env = append(slices.Clip(environment), "NODE_PATH="+filepath.Join(folder, "..", "..", "..", ".."))
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
	return &node{in: in, out: bufio.NewReader(out)}
}

// bundle makes the handlers as their construct deploys them, with esbuild: Node itself refuses what they import from the package cbor by name.
func bundle(t testing.TB, folder string) string {
	t.Helper()
	target := t.TempDir()
	arguments := []string{"--bundle", "--platform=node", "--format=cjs", "--packages=external", "--out-extension:.js=.cjs", "--outdir=" + target}
	for _, module := range []string{defineModule, createModule, verifyModule, preSignUpModule, preTokenModule, credentialsModule, challengeModule} {
		arguments = append(arguments, filepath.Join(folder, module+".js"))
	}
	program := filepath.Join(folder, "..", "..", "..", "..", ".bin", "esbuild")
	if out, err := exec.Command(program, arguments...).CombinedOutput(); err != nil {
		t.Fatalf("amazon-cognito-passwordless-auth cannot be bundled; is it installed? Run `make test-tools`: %v\n%s", err, out)
	}
	return target
}

// all runs a handler on the events, one after the other.
func (n *node) all(t testing.TB, module string, events ...any) []outcome {
	t.Helper()
	answers, err := n.exchange(module, events...)
	if err != nil {
		t.Fatal(err)
	}
	return answers
}

func (n *node) exchange(module string, events ...any) ([]outcome, error) {
	if events == nil {
		events = []any{}
	}
	line, err := json.Marshal(map[string]any{"module": module, "events": events})
	if err != nil {
		return nil, err
	}
	if _, err := n.in.Write(append(line, '\n')); err != nil {
		return nil, fmt.Errorf("%s: the Node process is gone: %w", module, err)
	}
	raw, err := n.out.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("%s: the Node process ended: %w", module, err)
	}
	var reply struct {
		Answers []outcome `json:"answers"`
	}
	if err := json.Unmarshal(raw, &reply); err != nil || len(reply.Answers) != len(events) {
		return nil, fmt.Errorf("%s: %d answers to %d events: %w", module, len(reply.Answers), len(events), err)
	}
	return reply.Answers, nil
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
