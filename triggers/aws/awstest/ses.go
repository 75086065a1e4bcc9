package awstest

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// SES is a running aws-ses-v2-local.
type SES struct{ URL string }

// Mail is one that [SES] accepted.
type Mail struct {
	From        string `json:"from"`
	Destination struct {
		To, Cc, Bcc []string
	} `json:"destination"`
	Subject string `json:"subject"`
	Body    struct {
		HTML string `json:"html"`
		Text string `json:"text"`
	} `json:"body"`
}

// startTimeout is generous: Node on a busy machine takes seconds.
const startTimeout = 60 * time.Second

// StartSES runs the npm package until the test ends. A missing one fails the test; `make test` installs it.
func StartSES(t testing.TB) *SES {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	program := filepath.Join(filepath.Dir(file), "../../../bin/npm/node_modules/aws-ses-v2-local/dist/cli.js")
	if _, err := os.Stat(program); err != nil {
		t.Fatal("aws-ses-v2-local is not installed: run `make test-tools`")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	_ = listener.Close()
	command := exec.Command("node", program, "--port", fmt.Sprint(port), "--host", "127.0.0.1")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	s := &SES{URL: fmt.Sprintf("http://127.0.0.1:%d", port)}
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/health-check", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			_ = response.Body.Close()
			return s
		}
		select {
		case <-ctx.Done():
			t.Fatalf("aws-ses-v2-local does not answer: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Mails lists what was accepted, oldest first.
func (s *SES) Mails(t testing.TB) []Mail {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/store", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var store struct{ Emails []Mail }
	if err := json.NewDecoder(response.Body).Decode(&store); err != nil {
		t.Fatal(err)
	}
	return store.Emails
}
