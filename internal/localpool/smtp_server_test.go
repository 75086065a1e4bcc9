package localpool

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"io"
	"math/big"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"
)

// mailServer speaks SMTP (RFC 5321) with STARTTLS (RFC 3207) and AUTH PLAIN (RFC 4616), as far as a client needs it.
type mailServer struct {
	port        int
	certificate tls.Certificate
	roots       *x509.CertPool

	noTLS    bool              // does not offer STARTTLS
	implicit bool              // TLS from the first byte
	user     string            // "name\x00password" that is let in; empty: no AUTH
	refuse   map[string]string // verb → reply
	silent   string            // verb that is never answered

	mu       sync.Mutex
	accepted []envelope
	verbs    []string
}

type envelope struct {
	from, to  string
	data      string
	encrypted bool
}

// startMailServer listens on loopback with a certificate of an authority of its own.
func startMailServer(t *testing.T, s *mailServer) *mailServer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	s.certificate, s.roots = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, x509.NewCertPool()
	s.roots.AddCert(parsed)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.port = listener.Addr().(*net.TCPAddr).Port
	var sessions sync.WaitGroup
	sessions.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			sessions.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		sessions.Wait()
	})
	return s
}

func (s *mailServer) settings() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{s.certificate}, MinVersion: tls.VersionTLS12}
}

func (s *mailServer) serve(raw net.Conn) {
	defer func() { _ = raw.Close() }() // the client has all it wants
	conn, encrypted := raw, false
	if s.implicit {
		conn, encrypted = tls.Server(raw, s.settings()), true
	}
	text := textproto.NewConn(conn)
	say := func(line string) { _ = text.PrintfLine("%s", line) }
	say("220 mail ready")
	var e envelope
	for {
		line, err := text.ReadLine()
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(line, " ")
		verb = strings.ToUpper(verb)
		s.mu.Lock()
		s.verbs = append(s.verbs, verb)
		s.mu.Unlock()
		if verb == s.silent {
			_, _ = io.Copy(io.Discard, conn) // until the client gives up
			return
		}
		if reply := s.refuse[verb]; reply != "" {
			say(reply)
			continue
		}
		switch verb {
		case "EHLO":
			say("250-mail")
			if !s.noTLS && !encrypted {
				say("250-STARTTLS")
			}
			if s.user != "" {
				say("250-AUTH PLAIN")
			}
			say("250 8BITMIME")
		case "STARTTLS":
			say("220 go on")
			conn, encrypted = tls.Server(raw, s.settings()), true
			text = textproto.NewConn(conn)
		case "AUTH":
			given, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(rest, "PLAIN "))
			if string(given) != "\x00"+s.user {
				say("535 5.7.8 no such user: " + string(given))
				continue
			}
			say("235 welcome")
		case "MAIL":
			e = envelope{from: rest, encrypted: encrypted}
			say("250 ok")
		case "RCPT":
			e.to = rest
			say("250 ok")
		case "DATA":
			say("354 go on")
			body, err := text.ReadDotBytes()
			if err != nil {
				return
			}
			e.data = string(body)
			s.mu.Lock()
			s.accepted = append(s.accepted, e)
			s.mu.Unlock()
			say("250 accepted")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (s *mailServer) mails() []envelope {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]envelope(nil), s.accepted...)
}

func (s *mailServer) heard(verb string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.verbs {
		if v == verb {
			return true
		}
	}
	return false
}
