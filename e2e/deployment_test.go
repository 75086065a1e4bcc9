package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 20 * time.Second
)

// deployment is the example of `make run`, on free ports and with data of its own.
type deployment struct {
	configuration
	portal, app, inbox string // origins
	admin              string // host:port
	legacy             string // host:port of the application itself
	caddyfile, log     string // paths
	caddy              *exec.Cmd
	ended              chan error // Caddy's exit
}

// deploy starts the example and stops it when the test ends. Edits change the Caddyfile: old text, new text, and so on.
func deploy(t *testing.T, edits ...string) *deployment {
	t.Helper()
	return deployFilled(t, nil, edits...)
}

// deployFilled is deploy with edits that contain addresses of this run, which stand there as words.
func deployFilled(t *testing.T, words map[string]string, edits ...string) *deployment {
	t.Helper()
	folder := t.TempDir()
	web, admin, inbox, legacy := freePort(t), freePort(t), freePort(t), freePort(t)
	d := &deployment{
		portal:    "http://localhost:" + web,
		app:       "http://app.localhost:" + web,
		inbox:     "http://localhost:" + inbox,
		admin:     "localhost:" + admin,
		legacy:    "127.0.0.1:" + legacy,
		caddyfile: filepath.Join(folder, "Caddyfile"),
		log:       filepath.Join(folder, "caddy.log"),
	}
	d.configuration = configuration{source: "../Caddyfile.example", edits: edits, words: map[string]string{
		"localhost:8080": "localhost:" + web,
		"localhost:2019": d.admin,
		"localhost:8025": "localhost:" + inbox,
		"127.0.0.1:9000": d.legacy,
		"./data/":        folder + "/data/",
	}}
	maps.Copy(d.words, words)
	d.write(t, d.caddyfile)
	d.startLegacy(t)
	d.start(t)
	t.Cleanup(func() { d.stop(t) })
	waitForHTTP(t, "http://127.0.0.1:"+legacy+"/api/time", nil)
	return d
}

// startLegacy starts the application, and has the end of Caddy's log told if the test fails.
func (d *deployment) startLegacy(t *testing.T, args ...string) {
	t.Helper()
	app := program(t, "legacy", append([]string{"-listen", d.legacy, "-account", d.portal + "/auth/account"}, args...)...)
	if err := app.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = app.Process.Kill()
		_ = app.Wait()
	})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("end of Caddy's log:\n%s", tail(d.log))
		}
	})
}

func (d *deployment) start(t *testing.T) {
	t.Helper()
	d.run(t)
	waitForHTTP(t, d.portal+"/auth/sign-in", d.ended)
}

// run starts Caddy and does not wait for it to answer.
func (d *deployment) run(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(d.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	d.caddy = program(t, "caddy", "run", "--config", d.caddyfile, "--adapter", "caddyfile")
	d.caddy.Stdout, d.caddy.Stderr = log, log
	if err := d.caddy.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func(caddy *exec.Cmd) { ended <- caddy.Wait() }(d.caddy)
	d.ended = ended
}

// stop ends Caddy as a service manager would.
func (d *deployment) stop(t *testing.T) {
	t.Helper()
	if d.caddy == nil {
		return
	}
	_ = d.caddy.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(stopTimeout, func() {
		_ = d.caddy.Process.Kill()
		t.Errorf("Caddy did not stop within %s", stopTimeout)
	})
	err := <-d.ended
	if timer.Stop() && err != nil && !t.Failed() {
		t.Errorf("Caddy ended with %v", err)
	}
	d.caddy = nil
}

func (d *deployment) restart(t *testing.T) {
	t.Helper()
	d.stop(t)
	d.start(t)
}

// reload replaces the running configuration by the same one, read anew.
func (d *deployment) reload(t *testing.T) {
	t.Helper()
	out, err := program(t, "caddy", "reload", "--force", "--config", d.caddyfile, "--adapter", "caddyfile", "--address", d.admin).CombinedOutput()
	if err != nil {
		t.Fatalf("caddy reload: %v\n%s", err, out)
	}
}

// program is one of the built programs.
func program(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := filepath.Abs("../bin/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is not built: run `make test`, or `make build` first", name)
	}
	command := exec.Command(path, args...)
	// Nothing of this machine's own Caddy, nor of its AWS account.
	home := t.TempDir()
	command.Env = append(os.Environ(), "HOME="+home, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home,
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test")
	return command
}

// get asks without a browser and without following redirects. Headers come in pairs.
func get(t *testing.T, url string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

// client knows, like a browser, that names below .localhost are this machine.
var client = &http.Client{
	Timeout:       10 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
		},
	},
}

// waitForHTTP waits for an answer that is no server error, as long as the process behind it runs.
func waitForHTTP(t *testing.T, url string, ended chan error) {
	t.Helper()
	waitForAnswer(t, client, url, ended)
}

func waitForAnswer(t *testing.T, client *http.Client, url string, ended chan error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	var last error
	eventually(ctx, func() bool {
		select {
		case err := <-ended:
			ended <- err // for stop
			t.Fatalf("the server of %s ended: %v", url, err)
		default:
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(r)
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode < http.StatusInternalServerError {
				return true
			}
			err = fmt.Errorf("status %s", response.Status)
		}
		last = err
		return false
	}, func() { t.Fatalf("%s does not answer: %v", url, last) })
}

// eventually asks until the answer is yes or the context ends; then it calls late.
func eventually(ctx context.Context, ask func() bool, late func()) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ask() {
		select {
		case <-ctx.Done():
			late()
			return
		case <-tick.C:
		}
	}
}

// freePort is one that nobody listens on, and never the same one twice: its server may not have started yet.
func freePort(t *testing.T) string {
	t.Helper()
	for range 1000 {
		port := strconv.Itoa(firstPort + rand.IntN(lastPort-firstPort+1))
		if _, given := givenPorts.LoadOrStore(port, true); given {
			continue
		}
		if listener, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			_ = listener.Close()
			return port
		}
	}
	t.Fatalf("no port from %d to %d is free", firstPort, lastPort)
	return ""
}

// Below these ports are those of well-known services, above are those that Linux gives to clients of its own accord (net.ipv4.ip_local_port_range): there
// another's connection could take a port between its choice and Caddy's start.
const firstPort, lastPort = 20_000, 32_000

var givenPorts sync.Map // those that freePort has given

func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-40):], []byte("\n")))
}
