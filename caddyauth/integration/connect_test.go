package integration

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// connect opens a WebSocket over HTTP/3 by extended CONNECT (RFC 9220), from a page of the application, and returns the status.
func (s *speaker) connect(ctx context.Context, path string) int {
	s.t.Helper()
	conn, err := quic.DialAddr(ctx, "127.0.0.1:"+s.n.port, &tls.Config{
		RootCAs: s.n.roots, ServerName: "app.example.com", NextProtos: []string{http3.NextProtoH3},
	}, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.CloseWithError(0, "") }()
	client := new(http3.Transport).NewClientConn(conn)
	select {
	case <-client.ReceivedSettings():
	case <-ctx.Done():
		s.t.Fatal("the server sent no settings")
	}
	if !client.Settings().EnableExtendedConnect {
		s.t.Fatal("the server takes no extended CONNECT")
	}
	stream, err := client.OpenRequestStream(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodConnect, s.n.app+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Proto, r.ProtoMajor = "websocket", 3
	r.Header.Set("Origin", s.n.app)
	r.Header.Set("Sec-Websocket-Version", "13")
	r.AddCookie(&http.Cookie{Name: s.cookie.Name, Value: s.cookie.Value})
	if err := stream.SendRequestHeader(r); err != nil {
		s.t.Fatal(err)
	}
	answer, err := stream.ReadResponse()
	if err != nil {
		s.t.Fatal(err)
	}
	return answer.StatusCode
}

// Attack: what a rule asks of GET is passed over HTTP/3, which is on by default, by a CONNECT that Caddy makes a GET of.
func TestAttackExtendedConnectOverHTTP3(t *testing.T) {
	folder := t.TempDir()
	var reached atomic.Int32
	n := newHTTP3(t, folder, func() { reached.Add(1) })
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	cookie := (&visitor{n, n.browser("127.0.0.1", jar)}).signIn("anna@example.com")
	ctx, cancel := context.WithTimeout(t.Context(), processTimeout)
	defer cancel()
	s := &speaker{t: t, n: n, cookie: cookie, folder: folder, tickets: &ticketCache{ClientSessionCache: tls.NewLRUClientSessionCache(1), came: make(chan struct{})}}
	if status, body := s.send(ctx, http.MethodGet, "/read/page", false); status != http.StatusUnauthorized || !strings.Contains(body, "step_up") {
		t.Fatalf("GET: %d %s", status, body)
	}
	if status := s.connect(ctx, "/read/page"); status != http.StatusUnauthorized || reached.Load() != 0 {
		t.Errorf("CONNECT: %d, %d reached the application", status, reached.Load())
	}
	if status := s.connect(ctx, "/open"); status != http.StatusOK || reached.Load() != 1 {
		t.Errorf("where no rule is about GET: %d, %d reached the application", status, reached.Load())
	}
}
