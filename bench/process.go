package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

const (
	startTimeout = 60 * time.Second
	stopTimeout  = 20 * time.Second
)

// process is a program that serves while something is measured.
type process struct {
	command *exec.Cmd
	log     bytes.Buffer
	ended   chan struct{}
}

// launch starts a program and waits until it listens on all addresses.
func launch(folder string, addresses []string, program string, args ...string) (*process, error) {
	p := &process{command: exec.Command(program, args...), ended: make(chan struct{})}
	p.command.Dir = folder
	p.command.Stdout, p.command.Stderr = &p.log, &p.log
	p.command.Env = append(os.Environ(), "HOME="+folder, "XDG_DATA_HOME="+folder, "XDG_CONFIG_HOME="+folder) // nothing of this machine's own Caddy
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.command.Wait()
		close(p.ended)
	}()
	for _, address := range addresses {
		if err := p.waitFor(address); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", filepath.Base(program), err), p.stop())
		}
	}
	return p, nil
}

func (p *process) waitFor(address string) error {
	return p.until("it does not listen on "+address, func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// until tries again and again until there is no error, the program has ended, or it takes too long.
func (p *process) until(otherwise string, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("it ended:\n%s", p.log.String())
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", otherwise, err)
		case <-again.C:
		}
	}
}

// stop ends the program as a service manager would.
func (p *process) stop() error {
	_ = p.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		return nil
	case <-time.After(stopTimeout):
		_ = p.command.Process.Kill()
		<-p.ended
		return fmt.Errorf("%s did not stop within %s", filepath.Base(p.command.Path), stopTimeout)
	}
}

// freePorts finds that many ports of this machine's loopback which nobody listens on.
func freePorts(n int) ([]string, error) {
	var ports []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }() // all at the end, or one would be found twice
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}
