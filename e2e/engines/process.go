package engines

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

const (
	startTimeout = 3 * time.Minute // a first start on a busy machine is slow
	stopTimeout  = 5 * time.Second
)

// process is a program with all that it starts.
type process struct {
	command *exec.Cmd
	ended   chan struct{}
}

// run starts a program in a process group of its own. Its output goes to a file of the folder, and into lines where that is not nil.
func run(folder string, lines chan<- string, environment []string, name string, args ...string) (*process, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return nil, fmt.Errorf("%w: run `make test-engines`, which installs it", err)
	}
	log, err := os.Create(filepath.Join(folder, filepath.Base(name)+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	command := exec.Command(path, args...)
	command.Env = append(os.Environ(), environment...)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	command.Stdout, command.Stderr = log, log
	var output *os.File
	if lines != nil {
		reader, writer, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		defer writer.Close()
		command.Stdout, command.Stderr = writer, writer
		output = reader
	}
	if err := command.Start(); err != nil {
		if output != nil {
			output.Close()
		}
		return nil, err
	}
	if output != nil {
		go readLines(output, lines)
	}
	p := &process{command, make(chan struct{})}
	go func() {
		_ = command.Wait()
		close(p.ended)
	}()
	return p, nil
}

// readLines reads to the end, so that the program never waits for its output to be read, and passes on the lines that fit the channel.
func readLines(output io.ReadCloser, lines chan<- string) {
	defer output.Close()
	for scanner := bufio.NewScanner(output); scanner.Scan(); {
		select {
		case lines <- scanner.Text():
		default:
		}
	}
	close(lines)
}

// announced waits for a line that matches and returns its first group.
func announced(ctx context.Context, lines <-chan string, pattern *regexp.Regexp) (string, error) {
	var said []string
	for {
		select {
		case line, more := <-lines:
			if !more {
				return "", fmt.Errorf("it ended: %s", strings.Join(said, "\n"))
			}
			if match := pattern.FindStringSubmatch(line); match != nil {
				return match[1], nil
			}
			said = append(said, line)
		case <-ctx.Done():
			return "", fmt.Errorf("no line matches %s: %w\n%s", pattern, ctx.Err(), strings.Join(said, "\n"))
		}
	}
}

// stop ends the program and all that it started.
func (p *process) stop() {
	group := -p.command.Process.Pid
	_ = syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
	}
	_ = syscall.Kill(group, syscall.SIGKILL)
	<-p.ended
}
