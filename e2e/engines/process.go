package engines

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const startTimeout = 90 * time.Second // a first start on a busy machine is slow

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

// announced waits for a line that contains the words and returns what follows them.
func announced(ctx context.Context, lines <-chan string, words string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var said []string
	for {
		select {
		case line, more := <-lines:
			if !more {
				return "", fmt.Errorf("it ended: %s", strings.Join(said, "\n"))
			}
			if _, rest, found := strings.Cut(line, words); found {
				return strings.TrimSpace(rest), nil
			}
			said = append(said, line)
		case <-ctx.Done():
			return "", errors.Join(ctx.Err(), errors.New(strings.Join(said, "\n")))
		}
	}
}

// stop ends the program and all that it started.
func (p *process) stop() {
	_ = syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL)
	<-p.ended
}
