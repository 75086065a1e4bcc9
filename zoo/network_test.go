package zoo

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"
)

// startTimeout is how long a program may take until it answers.
const startTimeout = 90 * time.Second

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

// Below these ports are those of well-known services, above are those that Linux gives to clients of its own accord.
const firstPort, lastPort = 20_000, 32_000

var givenPorts sync.Map // those that freePort has given

// eventually asks until the answer is yes or the time is over; then it calls late.
func eventually(within time.Duration, ask func() bool, late func()) {
	end := time.NewTimer(within)
	defer end.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ask() {
		select {
		case <-end.C:
			late()
			return
		case <-tick.C:
		}
	}
}

// answers waits for an answer of a server that is not a server error, as long as its process runs.
func answers(t *testing.T, client *http.Client, url string, server *process) {
	t.Helper()
	last := "nothing was asked"
	eventually(startTimeout, func() bool {
		if !server.running() {
			t.Fatalf("the server of %s ended: %v", url, server.err)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(r)
		if err != nil {
			last = err.Error()
			return false
		}
		_ = response.Body.Close()
		last = "status " + response.Status
		return response.StatusCode < http.StatusInternalServerError
	}, func() { t.Fatalf("%s does not answer: %s", url, last) })
}

// tunnel is a proxy for programs that know the sites by name: it leads every CONNECT to one address.
func tunnel(t *testing.T, address string) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: startTimeout, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			http.Error(w, "only CONNECT is understood", http.StatusMethodNotAllowed)
			return
		}
		site, err := new(net.Dialer).DialContext(r.Context(), "tcp", address)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer func() { _ = site.Close() }()
		w.WriteHeader(http.StatusOK)
		client, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = client.Close() }()
		go func() {
			_, _ = io.Copy(site, buffered)
			_ = site.(*net.TCPConn).CloseWrite()
		}()
		_, _ = io.Copy(client, site)
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return fmt.Sprintf("http://%s", listener.Addr())
}

// direct asks the application itself, without Caddy.
var direct = &http.Client{
	Timeout:       30 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{DisableKeepAlives: true},
}
