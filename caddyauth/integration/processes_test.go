package integration

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/caddy-cognito/passwordless/internal/localpool"
)

const (
	accessLifetime = 5 * time.Minute // the pool's least
	processTimeout = 2 * time.Minute // of what takes a second on a machine that is not busy
)

// TestMain makes the test binary the command `caddy` as well, so that a test can have Caddy in processes of their own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"caddy": caddycmd.Main})
}

// nodes are two Caddys, each a process of its own, with one storage, before one user pool and one application.
type nodes struct {
	t           *testing.T
	port        string
	portal, app string         // origins
	roots       *x509.CertPool // of https
	pool        *localpool.Pool
	ahead       atomic.Int64                  // nanoseconds that the pool's clock is before ours
	refreshes   atomic.Int64                  // that the pool was asked for
	held        atomic.Pointer[chan struct{}] // if set, answers to them are held back until it is closed; the pool has given new tokens by then
	kill        map[string]func()             // by address
}

// addresses of the nodes on this machine; the sites are the same on both.
var addresses = []string{"127.0.0.1", "127.0.0.2"}

func newNodes(t *testing.T) *nodes {
	t.Helper()
	return newNodesOf(t, nodeFile, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("X-Passwordless-Email"))
	}, addresses...)
}

// newNodesOf starts a Caddy on each address with a Caddyfile, in which the words in capitals are replaced.
func newNodesOf(t *testing.T, file string, application http.HandlerFunc, addresses ...string) *nodes {
	t.Helper()
	n := &nodes{t: t, port: freePort(t)}
	n.portal, n.app = "http://localhost:"+n.port, "http://app.localhost:"+n.port
	pool, err := localpool.Open(localpool.Config{
		Path: filepath.Join(t.TempDir(), "pool.db"), Region: "eu-west-1", UserPoolID: "eu-west-1_Ab12Cd34E", PublicURL: "https://cognito-idp.eu-west-1.amazonaws.com",
		RedirectURIs: []string{n.portal + "/"}, AccessTokenLifetime: accessLifetime, RotateRefresh: true,
		Now:           func() time.Time { return time.Now().Add(time.Duration(n.ahead.Load())) },
		RotationGrace: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	n.pool = pool
	t.Cleanup(func() {
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	})
	cognito := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetTokensFromRefreshToken") {
			n.refreshes.Add(1)
			if held := n.held.Load(); held != nil {
				answer := httptest.NewRecorder()
				pool.Handler().ServeHTTP(answer, r)
				<-*held
				w.Header().Set("Content-Type", answer.Header().Get("Content-Type"))
				w.WriteHeader(answer.Code)
				_, _ = w.Write(answer.Body.Bytes())
				return
			}
		}
		pool.Handler().ServeHTTP(w, r)
	})
	passkeys := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"Items":[],"Count":0}`) })
	words := []string{
		"STORAGE", t.TempDir(), "PORT", n.port, "POOL", pool.UserPoolID(), "CLIENT", pool.ClientID(), "SECRET", pool.ClientSecret(),
		"COGNITO", cognito, "PASSKEYS", passkeys, "APPLICATION", strings.TrimPrefix(serve(t, application), "http://"),
	}
	for _, address := range addresses {
		n.start(address, strings.NewReplacer(append(words, "ADDRESS", address)...).Replace(file))
	}
	return n
}

// backendsFile is where a realm's users and passkeys are.
const backendsFile = `		user_pool cognito POOL {
			client_id CLIENT
			client_secret SECRET
			endpoint COGNITO
		}
		credential_store dynamodb Authenticators {
			region eu-west-1
			endpoint PASSKEYS
		}
`

const nodeFile = `{
	admin off
	default_bind ADDRESS
	storage file_system STORAGE
	passwordless {
		portal http://localhost:PORT/auth/
		applications http://app.localhost:PORT
` + backendsFile + `		passkeys {
			relying_party localhost "Example"
		}
		magic_link
		sign_up open
	}
}

http://localhost:PORT {
	passwordless_portal
}

http://app.localhost:PORT {
	passwordless_guard
	reverse_proxy APPLICATION
}
`

func serve(t *testing.T, answer http.HandlerFunc) (address string) {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return server.URL
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// start runs a node until the test ends, and waits until it serves its sites.
func (n *nodes) start(address, caddyfile string) {
	n.t.Helper()
	caddy, err := exec.LookPath("caddy") // testscript.Main put it first in PATH
	if err != nil {
		n.t.Fatal(err)
	}
	home := n.t.TempDir()
	logFile, err := os.Create(filepath.Join(home, "log")) // a file, for the test reads it while the process writes
	if err != nil {
		n.t.Fatal(err)
	}
	command := exec.Command(caddy, "run", "--config", write(n.t, "Caddyfile", caddyfile), "--adapter", "caddyfile")
	command.Stdout, command.Stderr = logFile, logFile
	command.Env = append(os.Environ(), "HOME="+home, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home, "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b")
	if err := command.Start(); err != nil {
		n.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	killed := false
	if n.kill == nil {
		n.kill = make(map[string]func())
	}
	n.kill[address] = func() {
		killed = true
		if err := command.Process.Kill(); err != nil {
			n.t.Fatal(err)
		}
		if err := <-ended; err == nil {
			n.t.Error("a killed node ended by itself")
		}
	}
	n.t.Cleanup(func() {
		if killed {
			_ = logFile.Close()
			return
		}
		_ = command.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			if err != nil {
				n.t.Errorf("the node on %s: %v", address, err)
			}
		case <-time.After(processTimeout):
			_ = command.Process.Kill()
			n.t.Errorf("the node on %s does not stop", address)
		}
		if text, err := os.ReadFile(logFile.Name()); n.t.Failed() {
			n.t.Logf("the node on %s: %v\n%s", address, err, text)
		}
		_ = logFile.Close()
	})
	ctx, cancel := context.WithTimeout(n.t.Context(), processTimeout)
	defer cancel()
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		if response, err := n.browser(address, nil).Get(n.portal + "/auth/sign-in"); err == nil {
			_ = response.Body.Close()
			tick.Stop()
			return
		}
		select {
		case err := <-ended:
			ended <- err
			n.t.Fatalf("the node on %s ended: %v", address, err)
		case <-ctx.Done():
			n.t.Fatalf("the node on %s does not listen", address)
		case <-tick.C:
		}
	}
}

// browser speaks to one node, whatever the name, and follows no redirect.
func (n *nodes) browser(address string, jar http.CookieJar) *http.Client {
	dial := func(ctx context.Context, network, target string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(target)
		if err != nil {
			return nil, err
		}
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(address, port))
	}
	return &http.Client{
		Jar: jar, Timeout: processTimeout, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: n.roots}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Two processes share the storage. A person's tokens are due, and 50 requests of the same cookie come at once, to both: the pool, which
// takes each refresh token once, is asked once, and nobody is signed out. That holds for the cookie of before, too, as tabs have it whose
// answer got lost.
func TestOneRefreshOverTwoProcesses(t *testing.T) {
	const requests = 50
	n := newNodes(t)
	n.ahead.Store(int64(40*time.Second - accessLifetime)) // the tokens that it gives out have 40 seconds left, which is too little
	old := n.signIn("anna@example.com")
	n.ahead.Store(0)
	if asked := n.refreshes.Load(); asked != 0 {
		t.Fatalf("the sign-in alone asked for %d refreshes", asked)
	}

	begin := make(chan struct{})
	answers := make(chan answer, requests)
	var wg sync.WaitGroup
	for i := range requests {
		wg.Go(func() {
			<-begin
			answers <- n.ask(addresses[i%len(addresses)], old)
		})
	}
	close(begin)
	wg.Wait()
	close(answers)
	var renewed []*http.Cookie
	for a := range answers {
		if a.err != nil || a.status != http.StatusOK || a.body != "anna@example.com" {
			t.Fatalf("%s: %d %.200s %v", a.address, a.status, a.body, a.err)
		}
		if a.session != nil {
			renewed = append(renewed, a.session)
		}
	}
	for _, address := range addresses { // which come in the background
		n.until("new tokens are there", func() bool {
			a := n.ask(address, old)
			if a.session != nil {
				renewed = append(renewed, a.session)
			}
			return a.session != nil
		})
	}
	for _, address := range addresses {
		for _, cookie := range append(renewed, old) {
			if a := n.ask(address, cookie); a.err != nil || a.status != http.StatusOK || a.body != "anna@example.com" {
				t.Errorf("afterwards %s: %d %.200s %v", address, a.status, a.body, a.err)
			}
		}
	}
	if asked := n.refreshes.Load(); asked != 1 {
		t.Errorf("the pool was asked for %d refreshes", asked)
	}
}

// kill -9 hits the node that has just been given new tokens and has not stored them. The other takes over: the dead node's lock holds
// it up for 5 seconds at most, far less than the pool's grace for the old refresh token.
func TestKilledNodeIsReplacedWithinSeconds(t *testing.T) {
	n := newNodes(t)
	n.ahead.Store(int64(50*time.Second - accessLifetime)) // the tokens that it gives out are due, and good for 50 seconds
	cookie := n.signIn("anna@example.com")
	n.ahead.Store(0)
	held := make(chan struct{})
	n.held.Store(&held)
	n.wantServed(addresses[0], cookie)
	n.until("the pool is asked", func() bool { return n.refreshes.Load() == 1 })
	n.wantServed(addresses[1], cookie) // it waits for the lock, in the background
	n.held.Store(nil)
	n.kill[addresses[0]]()
	close(held)
	died := time.Now()
	n.until("the other node has new tokens", func() bool { return n.wantServed(addresses[1], cookie).session != nil })
	if took := time.Since(died); took > 7*time.Second { // 5, and what a busy machine adds; Caddy's own lock would be respected for 10
		t.Errorf("it took %s", took)
	}
	if asked := n.refreshes.Load(); asked != 2 {
		t.Errorf("the pool was asked for %d refreshes", asked)
	}
}

func (n *nodes) wantServed(address string, cookie *http.Cookie) answer {
	n.t.Helper()
	a := n.ask(address, cookie)
	if a.err != nil || a.status != http.StatusOK || a.body != "anna@example.com" {
		n.t.Fatalf("%s: %d %.200s %v", address, a.status, a.body, a.err)
	}
	return a
}

func (n *nodes) until(what string, is func() bool) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), processTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-ctx.Done():
			n.t.Fatalf("it never comes to that %s", what)
		case <-tick.C:
		}
	}
}

type answer struct {
	address string
	status  int
	body    string
	session *http.Cookie // set by the answer, nil if it is not
	err     error
}

// ask opens the application on one node.
func (n *nodes) ask(address string, cookie *http.Cookie) answer {
	a := answer{address: address}
	r, err := http.NewRequest(http.MethodGet, n.app+"/", nil)
	if err != nil {
		a.err = err
		return a
	}
	r.Header.Set("Accept", "application/json")
	r.AddCookie(&http.Cookie{Name: cookie.Name, Value: cookie.Value})
	response, err := n.browser(address, nil).Do(r)
	if err != nil {
		a.err = err
		return a
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	a.status, a.body, a.err, a.session = response.StatusCode, string(body), err, sessionOf(response)
	return a
}

func sessionOf(response *http.Response) *http.Cookie {
	for _, c := range response.Cookies() {
		if strings.TrimPrefix(c.Name, "__Host-") == "passwordless_session" {
			return c
		}
	}
	return nil
}
