package e2e

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// scripts is a folder with some of the repository's scripts, beside the given programs, which are shell scripts.
func scripts(t *testing.T, names []string, programs map[string]string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	write := func(path string, text []byte) {
		t.Helper()
		path = filepath.Join(folder, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, text, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range names {
		text, err := os.ReadFile("../.ci/" + name)
		if err != nil {
			t.Fatal(err)
		}
		write(".ci/"+name, text)
	}
	for path, text := range programs {
		write(path, []byte("#!/bin/sh\n"+text+"\n"))
	}
	return folder
}

// runScript runs one there, with its folder `path` first in PATH.
func runScript(t *testing.T, folder, name string) (out, said string, ok bool) {
	t.Helper()
	command := exec.CommandContext(t.Context(), filepath.Join(folder, ".ci", name))
	command.Env = append(os.Environ(), "PATH="+filepath.Join(folder, "path")+":"+os.Getenv("PATH"))
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return stdout.String(), stderr.String(), err == nil
}

// `make run` a second time, or with a port that another program has: it names the port before it starts anything, promises nothing, and leaves the
// log of the first one alone.
func TestRunWithATakenPort(t *testing.T) {
	t.Parallel()
	if listener, err := net.Listen("tcp", "127.0.0.1:8025"); err == nil { // otherwise somebody has it already
		t.Cleanup(func() { _ = listener.Close() })
	}
	folder := scripts(t, []string{"run-example"}, map[string]string{"bin/caddy": "touch started", "bin/legacy": "touch started"})
	log := filepath.Join(folder, "data", "caddy.log")
	if err := errors.Join(os.Mkdir(filepath.Dir(log), 0o755), os.WriteFile(log, []byte("of the first one\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	out, said, ok := runScript(t, folder, "run-example")
	if ok || out != "" || !strings.Contains(said, "port 8025 is taken") || !strings.Contains(said, "stop that program") {
		t.Errorf("ok %t, printed %q, said %q", ok, out, said)
	}
	if kept, err := os.ReadFile(log); err != nil || string(kept) != "of the first one\n" {
		t.Errorf("the log is %q, %v", kept, err)
	}
	if _, err := os.Stat(filepath.Join(folder, "started")); err == nil {
		t.Error("a program was started")
	}
}

// What a run of continuous integration could not check is said at its end, with go test's own lines and their count.
func TestSummaryOfContinuousIntegration(t *testing.T) {
	t.Parallel()
	const unreachable = `echo 'govulncheck: fetching vulnerabilities: Get "https://vuln.go.dev/index/db.json.gz": dial tcp: no such host'; exit 1`
	const tests = `case "$1" in
test) printf 'ok  \texample.com/a\t1.0s\nok  \texample.com/b\t2.0s\n%s' "$MORE"; [ -z "$MORE" ];;
vulncheck) exec .ci/vulncheck;;
esac`
	for name, c := range map[string]struct {
		make, vulncheck string
		ok              bool
		last            string
		said, not       []string
	}{
		"all is well":          {tests, "echo No vulnerabilities found.", true, "packages: 2 passed, 0 failed", []string{"ok  \texample.com/a", "ok  \texample.com/b"}, []string{"NOT CHECKED"}},
		"the database is away": {tests, unreachable, true, "packages: 2 passed, 0 failed", []string{"!! NOT CHECKED: known vulnerabilities"}, nil},
		"a vulnerability":      {tests, "echo GO-2026-0001; exit 3", false, "packages: 2 passed, 0 failed", []string{"a step failed"}, []string{"NOT CHECKED"}},
		"a package fails":      {"MORE='FAIL\texample.com/c\t3.0s\n'\n" + tests, "exit 0", false, "packages: 2 passed, 1 failed", []string{"FAIL\texample.com/c", "a step failed"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := scripts(t, []string{"run", "vulncheck"}, map[string]string{
				"path/make": c.make, "path/go": "exit 0", "bin/tools/govulncheck": c.vulncheck,
			})
			for _, module := range []string{"e2e", "bench"} {
				if err := os.Mkdir(filepath.Join(folder, module), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			out, said, ok := runScript(t, folder, "run")
			_, summary, _ := strings.Cut(out, "== summary")
			lines := strings.Split(strings.TrimSpace(summary), "\n")
			if ok != c.ok || lines[len(lines)-1] != c.last {
				t.Errorf("ok %t, the last line is %q\n%s%s", ok, lines[len(lines)-1], out, said)
			}
			for _, want := range c.said {
				if !strings.Contains(summary, want) {
					t.Errorf("the summary does not say %q:\n%s", want, summary)
				}
			}
			for _, bad := range c.not {
				if strings.Contains(summary, bad) {
					t.Errorf("the summary says %q:\n%s", bad, summary)
				}
			}
		})
	}
}
