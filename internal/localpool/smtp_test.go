package localpool

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

func (s *mailServer) mailer(mode string) *SMTP {
	return &SMTP{Host: "127.0.0.1", Port: s.port, TLS: mode, RootCAs: s.roots}
}

var welcome = Mail{
	From: `"Example, Inc." <no-reply@example.com>`, To: "alice@example.com", Locale: "de", Subject: "Anmelden bei Beispiel – jetzt",
	Text: "Hier: https://auth.example.com/auth/link#abc.def\n.\nEnde\n", HTML: `<p lang="de">Grüße <a href="https://auth.example.com/auth/link#abc.def">hier</a></p>`,
}

func send(t *testing.T, s *SMTP, m Mail) error {
	t.Helper()
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	return s.SendMail(t.Context(), m)
}

// parts reads a multipart/alternative message by media type.
func parts(t *testing.T, raw string) (*mail.Message, map[string]string) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	media, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || media != "multipart/alternative" {
		t.Fatalf("content type %q, %v", media, err)
	}
	found := make(map[string]string)
	reader := multipart.NewReader(m.Body, params["boundary"])
	for {
		part, err := reader.NextRawPart()
		if errors.Is(err, io.EOF) {
			return m, found
		}
		if err != nil {
			t.Fatal(err)
		}
		media, _, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		found[media] = strings.ReplaceAll(string(body), "\r\n", "\n")
	}
}

func TestSMTPDelivers(t *testing.T) {
	for name, server := range map[string]*mailServer{
		TLSStart: {user: "pool\x00s3cret"}, TLSImplicit: {user: "pool\x00s3cret", implicit: true}, TLSNone: {noTLS: true},
	} {
		t.Run(name, func(t *testing.T) {
			startMailServer(t, server)
			mailer := server.mailer(name)
			if server.user != "" {
				mailer.Username, mailer.Password = "pool", "s3cret"
			}
			if err := send(t, mailer, welcome); err != nil {
				t.Fatal(err)
			}
			mails := server.mails()
			if len(mails) != 1 {
				t.Fatalf("%d mails", len(mails))
			}
			got := mails[0]
			if got.encrypted != (name != TLSNone) || server.heard("AUTH") != (name != TLSNone) {
				t.Errorf("encrypted %t, signed in %t", got.encrypted, server.heard("AUTH"))
			}
			if !strings.HasPrefix(got.from, "FROM:<no-reply@example.com>") || !strings.HasPrefix(got.to, "TO:<alice@example.com>") {
				t.Errorf("envelope %q to %q", got.from, got.to)
			}
			m, bodies := parts(t, got.data)
			if strings.TrimSuffix(bodies["text/plain"], "\n") != strings.TrimSuffix(welcome.Text, "\n") || bodies["text/html"] != welcome.HTML {
				t.Errorf("bodies %q", bodies)
			}
			subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
			if err != nil || subject != welcome.Subject {
				t.Errorf("subject %q, %v", subject, err)
			}
			if at, err := m.Header.Date(); err != nil || time.Since(at) > time.Hour {
				t.Errorf("date %v, %v", at, err)
			}
			for header, want := range map[string]string{
				"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All", "Content-Language": "de", "Mime-Version": "1.0", "User-Agent": "", "Bcc": "",
			} {
				if m.Header.Get(header) != want {
					t.Errorf("%s: %q", header, m.Header.Get(header))
				}
			}
			if id := m.Header.Get("Message-Id"); len(id) < 40 || !strings.HasSuffix(id, "@example.com>") {
				t.Errorf("message ID %q", id)
			}
		})
	}
}

// Attack: somebody between pool and mail server takes STARTTLS out of the greeting, or answers with a certificate of their own.
func TestSMTPIsNeverDowngraded(t *testing.T) {
	stripped := startMailServer(t, &mailServer{noTLS: true, user: "pool\x00s3cret"})
	mailer := stripped.mailer(TLSStart)
	mailer.Username, mailer.Password = "pool", "s3cret"
	if err := send(t, mailer, welcome); err == nil || stripped.heard("AUTH") || stripped.heard("MAIL") {
		t.Errorf("sent in clear text: %v", err)
	}
	for _, mode := range []string{TLSStart, TLSImplicit} {
		forged := startMailServer(t, &mailServer{implicit: mode == TLSImplicit, user: "pool\x00s3cret"})
		mailer := forged.mailer(mode)
		mailer.Username, mailer.Password, mailer.RootCAs = "pool", "s3cret", x509.NewCertPool()
		err := send(t, mailer, welcome)
		if err == nil || !strings.Contains(err.Error(), "not trusted") || forged.heard("AUTH") || forged.heard("MAIL") {
			t.Errorf("%s: trusted a stranger: %v", mode, err)
		}
	}
}

// Errors say what to mend, and hold no address, password or anything else the server repeats.
func TestSMTPRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		server *mailServer
		want   string
	}{
		"sender":    {&mailServer{refuse: map[string]string{"MAIL": "553 5.7.1 no-reply@example.com may not send"}}, "reply code 553"},
		"recipient": {&mailServer{refuse: map[string]string{"RCPT": "550 5.1.1 alice@example.com unknown"}}, "reply code 550"},
		"busy":      {&mailServer{refuse: map[string]string{"DATA": "451 4.3.0 alice@example.com later"}}, "reply code 451"},
		"password":  {&mailServer{user: "pool\x00other"}, "check user, password"},
	} {
		t.Run(name, func(t *testing.T) {
			server := startMailServer(t, c.server)
			mailer := server.mailer(TLSStart)
			if server.user != "" {
				mailer.Username, mailer.Password = "pool", "s3cret"
			}
			err := send(t, mailer, welcome)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			for _, secret := range []string{"alice", "no-reply@", "s3cret"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error holds %q: %v", secret, err)
				}
			}
			if len(server.mails()) != 0 {
				t.Error("accepted")
			}
		})
	}
}

// A server that hangs in the middle may hold nobody longer than a trigger may take.
func TestSMTPGivesUpInTime(t *testing.T) {
	for _, verb := range []string{"EHLO", "MAIL", "DATA"} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			server := startMailServer(t, &mailServer{silent: verb})
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			mailer := server.mailer(TLSStart)
			if err := mailer.Validate(); err != nil {
				t.Fatal(err)
			}
			if err := mailer.SendMail(ctx, welcome); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// An accepted message was delivered, whatever the server says afterwards: else it would be sent again.
func TestSMTPAcceptedIsDelivered(t *testing.T) {
	server := startMailServer(t, &mailServer{refuse: map[string]string{"RSET": "500 no", "QUIT": "500 no"}})
	if err := send(t, server.mailer(TLSStart), welcome); err != nil || len(server.mails()) != 1 {
		t.Errorf("%d mails, %v", len(server.mails()), err)
	}
}

// Attack: line breaks in what a user or an operator typed become headers or recipients.
func TestSMTPHeaderInjection(t *testing.T) {
	server := startMailServer(t, new(mailServer))
	bad := welcome
	bad.Subject, bad.Locale = "Hello\r\nBcc: eve@example.org\r\n\r\nbody", "de\r\nBcc: eve@example.org"
	if err := send(t, server.mailer(TLSStart), bad); err != nil {
		t.Fatal(err)
	}
	m, _ := parts(t, server.mails()[0].data)
	if m.Header.Get("Bcc") != "" || m.Header.Get("Content-Language") != "" {
		t.Errorf("headers %v", m.Header)
	}
	for _, to := range []string{"a@example.com>\r\nRCPT TO:<eve@example.org", "a@example.com, eve@example.org", "Alice <a@example.com>", ""} {
		bad = welcome
		bad.To = to
		if err := send(t, server.mailer(TLSStart), bad); err == nil {
			t.Errorf("sent to %q", to)
		}
	}
	if n := len(server.mails()); n != 1 {
		t.Errorf("%d mails", n)
	}
}

func TestSMTPSettings(t *testing.T) {
	for name, c := range map[string]struct {
		SMTP
		want string // empty: fine
		port int
	}{
		"submission":        {SMTP: SMTP{Host: "mail.example.com"}, port: 587},
		"implicit":          {SMTP: SMTP{Host: "mail.example.com", TLS: TLSImplicit}, port: 465},
		"local relay":       {SMTP: SMTP{Host: "localhost", TLS: TLSNone}, port: 25},
		"plain":             {SMTP: SMTP{Host: "mail.example.com", TLS: TLSNone}, want: "unencrypted"},
		"plain, meant":      {SMTP: SMTP{Host: "mail.example.com", TLS: TLSNone, AllowPlaintext: true}, port: 25},
		"plain, password":   {SMTP: SMTP{Host: "localhost", TLS: TLSNone, Username: "a", Password: "b"}, want: "never sent unencrypted"},
		"no password":       {SMTP: SMTP{Host: "mail.example.com", Username: "a"}, want: "belong together"},
		"unknown mode":      {SMTP: SMTP{Host: "mail.example.com", TLS: "ssl"}, want: "starttls, tls or none"},
		"no host":           {want: "not the name"},
		"address, not host": {SMTP: SMTP{Host: "me@mail.example.com"}, want: "not the name"},
	} {
		err := c.Validate()
		if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && c.Port != c.port {
			t.Errorf("%s: port %d", name, c.Port)
		}
	}
}

// The whole way: a person asks the pool for a link, gets it by mail and signs in.
func TestMagicLinkByMail(t *testing.T) {
	server := startMailServer(t, new(mailServer))
	mailer := server.mailer(TLSStart)
	if err := mailer.Validate(); err != nil {
		t.Fatal(err)
	}
	config := testConfig(t, newClock())
	config.Mailer, config.From = mailer, "no-reply@example.com"
	p := openPool(t, config)
	signUp(t, p, alice)
	if _, err := respond(p, *mustInitiate(t, p, alice).Session, alice, challenge.AnswerAuthParameters, askForLink); err != nil {
		t.Fatal(err)
	}
	if n := len(p.Inbox().Messages()); n != 0 {
		t.Errorf("%d messages in the inbox too", n)
	}
	_, bodies := parts(t, server.mails()[0].data)
	useLink(t, p, alice, linkInMail.FindString(bodies["text/plain"]))
}
