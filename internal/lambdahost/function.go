package lambdahost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// Function is a running program. It answers one call at a time, as a Lambda's sandbox does.
type Function struct {
	server  *server
	command *exec.Cmd
	output  *buffer
	wait    sync.Once
	err     error
	mu      sync.Mutex // one call at a time
}

// Start runs the program with exactly the environment given, and those variables that Lambda sets. Close ends it.
func Start(environment []string, program string, arguments ...string) (*Function, error) {
	s, err := listen()
	if err != nil {
		return nil, err
	}
	// #nosec G204 -- running what the caller names is the purpose
	f := &Function{server: s, command: exec.Command(program, arguments...), output: &buffer{}}
	// Later entries win.
	f.command.Env = append([]string{
		"AWS_LAMBDA_RUNTIME_API=" + s.address, "AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local",
		"AWS_LAMBDA_FUNCTION_NAME=test", "AWS_LAMBDA_FUNCTION_VERSION=$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128", "PATH=/usr/bin:/bin",
	}, environment...)
	f.command.Stdout, f.command.Stderr = f.output, f.output
	if err := f.command.Start(); err != nil {
		_ = s.http.Close()
		return nil, err
	}
	go func() {
		f.finish()
		close(s.ended)
	}()
	return f, nil
}

func (f *Function) finish() { f.wait.Do(func() { f.err = f.command.Wait() }) }

// Invoke hands over one event and waits for the answer. A [*FunctionError] is what the program reports; [ErrExited].
func (f *Function) Invoke(ctx context.Context, e Event) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.server.invoke(ctx, e)
}

// Ready waits until the program asks for its first event, or has ended: ErrExited.
func (f *Function) Ready(ctx context.Context) error {
	select {
	case <-f.server.ready:
		return nil
	case <-f.server.ended:
		return ErrExited
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Output is what the program has written so far.
func (f *Function) Output() string { return f.output.String() }

// Pid is the program's process.
func (f *Function) Pid() int { return f.command.Process.Pid }

// CPU is the processor time that the program took, user and system. Call it after Close.
func (f *Function) CPU() time.Duration {
	return f.command.ProcessState.UserTime() + f.command.ProcessState.SystemTime()
}

// Close kills the program and waits for its end.
func (f *Function) Close() {
	_ = f.command.Process.Kill()
	<-f.server.ended
	_ = f.server.http.Close()
}

// buffer keeps what several writers write.
type buffer struct {
	mu   sync.Mutex
	data bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.String()
}

// Memory is the most that the program has had resident so far, in bytes (Linux: VmHWM).
func (f *Function) Memory() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", f.Pid()))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			var kilobytes int64
			if _, err := fmt.Sscanf(rest, "%d kB", &kilobytes); err != nil {
				return 0, fmt.Errorf("reading VmHWM: %w", err)
			}
			return kilobytes << 10, nil
		}
	}
	return 0, errors.New("the process has no VmHWM")
}
