package caddyauth

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"golang.org/x/net/websocket"
)

// streaming is a guard before Caddy's reverse proxy before an upstream with a socket, an event stream and an endless download, all
// over real connections.
type streaming struct {
	*guarded
	front *httptest.Server
	gone  chan string // what the upstream noticed the end of
}

func newStreaming(t *testing.T, http2 bool, before ...Guard) *streaming {
	t.Helper()
	s := &streaming{guarded: newGuarded(t), gone: make(chan string, 16)}
	backend := httptest.NewServer(s.backend())
	t.Cleanup(backend.Close)
	proxy := s.proxy(t, strings.TrimPrefix(backend.URL, "http://"))
	var guards []*Guard
	for _, config := range before {
		guards = append(guards, s.guard(config))
	}
	guards = append(guards, s.guard(Guard{}))
	s.front = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, new(caddyhttp.Server))
		var next caddyhttp.Handler = caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error { return proxy.ServeHTTP(w, r, nil) })
		for _, guard := range slices.Backward(guards) {
			inner := next
			next = caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error { return guard.ServeHTTP(w, r, inner) })
		}
		if err := next.ServeHTTP(w, r); err != nil {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	s.front.EnableHTTP2 = http2
	s.front.StartTLS()
	t.Cleanup(s.front.Close)
	return s
}

// backend is the application: it goes on for ever unless its connection ends.
func (s *streaming) backend() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/socket", websocket.Handler(func(conn *websocket.Conn) {
		_, _ = io.Copy(conn, conn)
		s.gone <- "socket"
	}))
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: hello\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done() // silent from now on
		s.gone <- "events"
	})
	mux.HandleFunc("/download", func(w http.ResponseWriter, _ *http.Request) {
		block := make([]byte, 64<<10)
		for {
			if _, err := w.Write(block); err != nil {
				s.gone <- "download"
				return
			}
		}
	})
	return mux
}

func (s *streaming) proxy(t testing.TB, upstream string) *reverseproxy.Handler {
	t.Helper()
	ctx, err := caddy.ProvisionContext(&caddy.Config{Admin: &caddy.AdminConfig{Disabled: true}})
	if err != nil {
		t.Fatal(err)
	}
	module, err := ctx.LoadModuleByID("http.handlers.reverse_proxy", json.RawMessage(fmt.Sprintf(`{"upstreams":[{"dial":%q}]}`, upstream)))
	if err != nil {
		t.Fatal(err)
	}
	return module.(*reverseproxy.Handler)
}

func (s *streaming) dial(t *testing.T) net.Conn {
	t.Helper()
	config := s.front.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.NextProtos, config.ServerName = []string{"http/1.1"}, "example.com"
	conn, err := tls.Dial("tcp", s.front.Listener.Addr().String(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// socket opens a WebSocket as the person of cookie and says hello.
func (s *streaming) socket(t *testing.T, cookie *http.Cookie) *websocket.Conn {
	t.Helper()
	config, err := websocket.NewConfig("wss://app.example.com/socket", appOrigin)
	if err != nil {
		t.Fatal(err)
	}
	config.Header.Set("Cookie", cookie.String())
	conn, err := websocket.NewClient(config, s.dial(t))
	if err != nil {
		t.Fatal(err)
	}
	s.echo(t, conn)
	return conn
}

func (s *streaming) echo(t *testing.T, conn *websocket.Conn) {
	t.Helper()
	var answer string
	if err := websocket.Message.Send(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	if err := websocket.Message.Receive(conn, &answer); err != nil || answer != "hello" {
		t.Fatalf("the socket answers %q, %v", answer, err)
	}
}

// get opens a stream over HTTP and returns its body.
func (s *streaming) get(t *testing.T, path, accept string, cookie *http.Cookie) io.Reader {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.front.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "app.example.com"
	r.Header.Set("Accept", accept)
	r.AddCookie(cookie)
	response, err := s.front.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	if want := s.front.EnableHTTP2; response.StatusCode != http.StatusOK || (response.ProtoMajor == 2) != want {
		t.Fatalf("%s: %s %s", path, response.Proto, response.Status)
	}
	return response.Body
}

// wantGone waits until the upstream has noticed.
func (s *streaming) wantGone(t *testing.T, what string) {
	t.Helper()
	select {
	case got := <-s.gone:
		if got != what {
			t.Errorf("%s ended, not %s", got, what)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("%s goes on", what)
	}
}

func (s *streaming) poll(t *testing.T) {
	t.Helper()
	if err := s.rt.sessions.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// wantNoneLeft waits until the handlers have returned, which is when nothing is remembered of them.
func (s *streaming) wantNoneLeft(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for len(s.rt.streams.find(anyStream)) > 0 {
		if time.Now().After(deadline) {
			t.Fatal("ended streams are still remembered")
		}
		runtime.Gosched()
	}
}
