package integration

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/caddy-cognito/passwordless/internal/localpool"
)

const http3File = `{
	admin off
	default_bind 127.0.0.1
	storage file_system FOLDER/storage
	auto_https disable_redirects
	passwordless {
		portal https://auth.example.com:PORT/auth/
		applications https://app.example.com:PORT
` + backendsFile + `		passkeys {
			relying_party example.com "Example"
		}
		magic_link
		sign_up open
	}
}

https://auth.example.com:PORT {
	tls FOLDER/certificate FOLDER/key
	passwordless_portal
}

https://app.example.com:PORT {
	tls FOLDER/certificate FOLDER/key
	log {
		output file FOLDER/access
	}
	passwordless_guard /read/* {
		step_up 10s passkey {
			methods GET HEAD
		}
	}
	passwordless_guard
	reverse_proxy APPLICATION
}
`

// newHTTP3 is a single node that speaks HTTP/3. It calls reached for each request that comes to the application, and writes its access log to
// the folder.
func newHTTP3(t *testing.T, folder string, reached func()) *nodes {
	t.Helper()
	n := &nodes{t: t, port: freePort(t), roots: x509.NewCertPool(), kill: make(map[string]func())}
	n.portal, n.app = "https://auth.example.com:"+n.port, "https://app.example.com:"+n.port
	pool, err := localpool.Open(localpool.Config{
		Path: filepath.Join(folder, "pool.db"), Region: "eu-west-1", UserPoolID: "eu-west-1_Ab12Cd34E", PublicURL: "https://cognito-idp.eu-west-1.amazonaws.com",
		RedirectURIs: []string{n.portal + "/"},
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
	cognito := serve(t, pool.Handler().ServeHTTP)
	passkeys := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"Items":[],"Count":0}`) })
	application := serve(t, func(w http.ResponseWriter, r *http.Request) {
		reached()
		_, _ = io.WriteString(w, r.Header.Get("X-Passwordless-Email"))
	})
	writeCertificate(t, folder, n.roots)
	n.start("127.0.0.1", strings.NewReplacer(
		"FOLDER", folder, "PORT", n.port, "POOL", pool.UserPoolID(), "CLIENT", pool.ClientID(), "SECRET", pool.ClientSecret(),
		"COGNITO", cognito, "PASSKEYS", passkeys, "APPLICATION", strings.TrimPrefix(application, "http://"),
	).Replace(http3File))
	return n
}

// writeCertificate writes the one that httptest has for *.example.com, and trusts it.
func writeCertificate(t *testing.T, folder string, roots *x509.CertPool) {
	t.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	roots.AddCert(server.Certificate())
	key, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"certificate": {Type: "CERTIFICATE", Bytes: server.Certificate().Raw}, "key": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// ticketCache keeps what TLS needs for early data, and tells when a ticket has come.
type ticketCache struct {
	tls.ClientSessionCache
	came chan struct{}
	once sync.Once
}

func (c *ticketCache) Put(key string, state *tls.ClientSessionState) {
	c.ClientSessionCache.Put(key, state)
	if state != nil {
		c.once.Do(func() { close(c.came) })
	}
}

// heldSocket hears nothing of the server before heard is closed, so that no handshake can end before.
type heldSocket struct {
	net.PacketConn
	heard chan struct{}
}

func (s heldSocket) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := s.PacketConn.ReadFrom(p)
	<-s.heard
	return n, from, err
}

// speaker sends requests to the application over HTTP/3.
type speaker struct {
	t       *testing.T
	n       *nodes
	tickets *ticketCache
	cookie  *http.Cookie
	folder  string
}

// send sends one request on a connection of its own. Early ones go out with the first packets, and the server has answered them, by its
// access log, before anything of its handshake is heard.
func (s *speaker) send(ctx context.Context, method, path string, early bool) (status int, body string) {
	s.t.Helper()
	raw, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = raw.Close() }()
	server, err := net.ResolveUDPAddr("udp", "127.0.0.1:"+s.n.port)
	if err != nil {
		s.t.Fatal(err)
	}
	socket := heldSocket{raw, make(chan struct{})}
	hear := sync.OnceFunc(func() { close(socket.heard) })
	defer hear()
	if !early {
		hear()
	}
	conn, err := quic.DialEarly(ctx, socket, server, &tls.Config{
		RootCAs: s.n.roots, ServerName: "app.example.com", NextProtos: []string{http3.NextProtoH3}, ClientSessionCache: s.tickets,
	}, &quic.Config{HandshakeIdleTimeout: processTimeout})
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.CloseWithError(0, "") }()
	if !early {
		<-conn.HandshakeComplete()
	}
	stream, err := new(http3.Transport).NewClientConn(conn).OpenRequestStream(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(ctx, method, s.n.app+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Origin", s.n.app)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.AddCookie(&http.Cookie{Name: s.cookie.Name, Value: s.cookie.Value})
	if err := stream.SendRequestHeader(r); err != nil {
		s.t.Fatal(err)
	}
	if err := stream.Close(); err != nil {
		s.t.Fatal(err)
	}
	if early {
		s.awaitLogged(ctx, path)
		hear()
	}
	answer, err := stream.ReadResponse()
	if err != nil {
		s.t.Fatal(err)
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	<-conn.HandshakeComplete()
	if early && !conn.ConnectionState().Used0RTT {
		s.t.Fatalf("%s %s: the server took no early data", method, path)
	}
	return answer.StatusCode, string(text)
}

// awaitLogged waits until the access log has the path.
func (s *speaker) awaitLogged(ctx context.Context, path string) {
	s.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		text, err := os.ReadFile(filepath.Join(s.folder, "access"))
		if err == nil && strings.Contains(string(text), `"uri":"`+path+`"`) {
			return
		}
		select {
		case <-ctx.Done():
			s.t.Fatalf("%s was not answered: %v", path, err)
		case <-tick.C:
		}
	}
}

// Attack: whoever recorded the first packets of a connection by HTTP/3 sends them again. What they ask to be changed is not done before the
// handshake, which only the true client can end; what they only look at is answered, for nobody else can read it.
func TestAttackReplayedEarlyDataOverHTTP3(t *testing.T) {
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
	s := &speaker{t: t, n: n, cookie: cookie, folder: folder, tickets: &ticketCache{
		ClientSessionCache: tls.NewLRUClientSessionCache(1), came: make(chan struct{}),
	}}
	if status, body := s.send(ctx, http.MethodPost, "/first", false); status != http.StatusOK || body != "anna@example.com" {
		t.Fatalf("an order after the handshake: %d %s", status, body)
	}
	select {
	case <-s.tickets.came:
	case <-ctx.Done():
		t.Fatal("no ticket came")
	}
	if status, body := s.send(ctx, http.MethodGet, "/look", true); status != http.StatusOK || body != "anna@example.com" {
		t.Errorf("a look in early data: %d %s", status, body)
	}
	before := reached.Load()
	if status, body := s.send(ctx, http.MethodPost, "/order", true); status != http.StatusTooEarly || reached.Load() != before {
		t.Errorf("an order in early data: %d %s, %d reached the application", status, body, reached.Load()-before)
	}
	if status, body := s.send(ctx, http.MethodPost, "/again", false); status != http.StatusOK {
		t.Errorf("the same once more, after the handshake: %d %s", status, body)
	}
}
