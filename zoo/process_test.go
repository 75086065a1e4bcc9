package zoo

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// stopTimeout is how long a program may take to end when it is asked to.
const stopTimeout = 20 * time.Second

// process is a program that runs beside a test, and everything it starts.
type process struct {
	command *exec.Cmd
	log     string // path of what it prints
	ended   chan struct{}
	err     error // how it ended, once ended is closed
}

// start runs a program until the test ends. Its output is shown if the test fails.
func start(t *testing.T, command *exec.Cmd) *process {
	t.Helper()
	p := &process{command: command, ended: make(chan struct{})}
	p.log = filepath.Join(t.TempDir(), filepath.Base(command.Path)+".log")
	output, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) // a file: children would hold a pipe open
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	command.Stdout, command.Stderr = output, output
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		t.Fatalf("starting %s: %v", command.Path, err)
	}
	go func() {
		p.err = command.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			t.Logf("end of what %s printed:\n%s", filepath.Base(command.Path), p.tail())
		}
	})
	return p
}

// stop ends the program as a service manager would, and then whatever it has left behind.
func (p *process) stop(t *testing.T) {
	t.Helper()
	_ = p.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		t.Errorf("%s did not stop within %s", p.command.Path, stopTimeout)
	}
	group := -p.command.Process.Pid
	if err := syscall.Kill(group, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Errorf("stopping the children of %s: %v", p.command.Path, err)
	}
	<-p.ended
}

// running tells whether the program has not ended yet.
func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// tail is the end of what the program printed.
func (p *process) tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-40):], []byte("\n")))
}

// output runs a program to its end and returns what it prints.
func output(t *testing.T, command *exec.Cmd) string {
	t.Helper()
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}
