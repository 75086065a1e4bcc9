package e2e

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// standalonePool is `caddy passwordless pool`, whose data stays over several runs.
type standalonePool struct {
	Endpoint   string `json:"endpoint"`
	UserPoolID string `json:"user_pool_id"`
	ClientID   string `json:"client_id"`
}

// startStandalonePool runs until stop is called or the test ends.
func startStandalonePool(t *testing.T, listen, inbox, data, redirect string) (p standalonePool, stop func()) {
	t.Helper()
	command := program(t, "caddy", "passwordless", "pool", "--listen", listen, "--inbox", inbox, "--data", data, "--redirect-uri", redirect)
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		_ = command.Process.Signal(syscall.SIGTERM)
		timer := time.AfterFunc(stopTimeout, func() { _ = command.Process.Kill() })
		defer timer.Stop()
		if err := command.Wait(); err != nil {
			t.Errorf("the pool ended with %v", err)
		}
	}
	t.Cleanup(stop)
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil || json.Unmarshal(line, &p) != nil {
		t.Fatalf("the pool printed %q: %v", line, err)
	}
	return p, stop
}

// `user_pool cognito` speaks to our own stand-alone pool: with its issuer configured, a user signs up and in by link through the portal, and the
// pool's FIDO2 API answers scripts of any origin, by token only.
func TestPortalWithTheStandalonePool(t *testing.T) {
	t.Parallel()
	tables := startCloud(t) // DynamoDB's part: no passkeys
	listen, inbox, data := "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t), t.TempDir()
	first, stop := startStandalonePool(t, listen, inbox, data, "http://localhost/")
	d := deployFilled(t, map[string]string{"CLOUD": tables.URL, "POOL": first.UserPoolID, "CLIENT": first.ClientID, "ENDPOINT": first.Endpoint},
		"user_pool embedded ./data/pool.db {\n\t\t\tinbox localhost:8025\n\t\t}",
		"user_pool cognito POOL {\n\t\t\tclient_id CLIENT\n\t\t\tendpoint ENDPOINT\n\t\t\tissuer ENDPOINT/POOL\n\t\t}\n"+
			"\t\tcredential_store dynamodb Authenticators {\n\t\t\tregion eu-west-1\n\t\t\tendpoint CLOUD\n\t\t}")
	stop() // it must know the portal's address, which was not known before
	again, _ := startStandalonePool(t, listen, inbox, data, d.portal+"/auth/link")
	if again != first {
		t.Fatalf("the pool is another one: %+v, before %+v", again, first)
	}
	d.inbox = "http://" + inbox
	b := browse(t)
	b.withoutAutofill()
	b.open(d.app + "/reports")
	d.signInByLink(b, anna, d.app+"/reports")
	b.greets(anna, "/reports", "")

	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, first.Endpoint+"/fido2/authenticators/list?rpId=localhost", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Origin", "http://localhost:3000")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusUnauthorized || answer.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("the FIDO2 API without a token: %s %v", answer.Status, answer.Header)
	}
}
