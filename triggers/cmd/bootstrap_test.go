package cmd_test

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/lambdahost"
)

// folder holds the zip files once they are built; TestMain removes it.
var folder string

// shipped builds the zip files of all triggers, once for all tests.
var shipped = sync.OnceValue(func() error {
	var err error
	if folder, err = os.MkdirTemp("", "triggers"); err != nil {
		return err
	}
	command := exec.Command("go", "run", "./internal/zipper", "-out", folder, "-arch", runtime.GOARCH)
	command.Dir = filepath.Join("..", "..")
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("building the triggers: %w\n%s", err, out)
	}
	return nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if folder != "" {
		_ = os.RemoveAll(folder)
	}
	os.Exit(code)
}

var unpacking sync.Mutex

// unpack writes the bootstrap of a trigger's zip file as Lambda does, unless a test has done so before, and returns its path.
func unpack(t *testing.T, trigger string) string {
	t.Helper()
	if err := shipped(); err != nil {
		t.Fatal(err)
	}
	unpacking.Lock()
	defer unpacking.Unlock()
	program := filepath.Join(folder, trigger, "bootstrap")
	if _, err := os.Stat(program); err == nil {
		return program
	}
	z, err := zip.OpenReader(filepath.Join(folder, trigger+"-"+runtime.GOARCH+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = z.Close() }()
	from, err := z.Open("bootstrap")
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Dir(program), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, content, 0o700); err != nil {
		t.Fatal(err)
	}
	return program
}

// start runs a trigger under the environment until the test ends.
func start(t *testing.T, trigger string, environment ...string) *lambdahost.Function {
	t.Helper()
	f, err := lambdahost.Start(environment, unpack(t, trigger))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// event reads a recorded event.
func event(t *testing.T, name string) []byte {
	t.Helper()
	payload, err := os.ReadFile(filepath.Join("..", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

// ask sends one event and returns the answer, or the function error.
func ask(t *testing.T, f *lambdahost.Function, e lambdahost.Event) (string, *lambdahost.FunctionError) {
	t.Helper()
	e.RequestID = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
	answer, err := f.Invoke(t.Context(), e)
	var failure *lambdahost.FunctionError
	if err != nil && !errors.As(err, &failure) {
		t.Fatalf("%v; the program said:\n%s", err, f.Output())
	}
	return string(answer), failure
}

// past is a deadline that is long over.
var past = time.UnixMilli(1_500_000_000_000)
