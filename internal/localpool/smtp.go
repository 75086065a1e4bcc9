package localpool

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// How a connection to a mail server is encrypted.
const (
	TLSStart    = "starttls" // RFC 3207, required: never silently without
	TLSImplicit = "tls"      // from the first byte, RFC 8314
	TLSNone     = "none"
)

// smtpTimeout bounds a delivery, connection included. It is less than the 5 seconds that a trigger may take.
const smtpTimeout = 4500 * time.Millisecond

// SMTP delivers mails through a mail server (RFC 5321), over a connection of its own each.
type SMTP struct {
	Host string // required
	Port int    // default: 587, with "tls" 465, with "none" 25
	// TLS is "starttls" (default), "tls" or "none". Without encryption the mails, and so the sign-in links in them, can be read on the
	// way: "none" is for loopback addresses unless AllowPlaintext is set.
	TLS            string
	AllowPlaintext bool
	// Username and Password, if the server wants them. They are never sent unencrypted.
	Username, Password string
	// RootCAs that may vouch for the server. Default: those of the system.
	RootCAs *x509.CertPool
}

// Validate fills in what was left out and refuses what cannot work.
func (s *SMTP) Validate() error {
	setDefault(&s.TLS, TLSStart)
	ports := map[string]int{TLSStart: 587, TLSImplicit: 465, TLSNone: 25}
	if ports[s.TLS] == 0 {
		return fmt.Errorf("tls must be starttls, tls or none, got %q", s.TLS)
	}
	setDefault(&s.Port, ports[s.TLS])
	switch {
	case s.Host == "" || strings.ContainsAny(s.Host, " \t\r\n/@"):
		return fmt.Errorf("%q is not the name of a mail server; write it as mail.example.com:587", s.Host)
	case s.Port < 1 || s.Port > 65535:
		return fmt.Errorf("%d is not a port", s.Port)
	case s.TLS == TLSNone && !LoopbackAddress(s.Host) && !s.AllowPlaintext:
		return fmt.Errorf("mails to %s would travel unencrypted with the sign-in links in them: use tls starttls, or add allow_plaintext if you mean it", s.Host)
	case s.Password != "" && s.Username == "", s.Username != "" && s.Password == "":
		return errors.New("user and password belong together; one of them is empty")
	case s.TLS == TLSNone && s.Username != "":
		return errors.New("a password is never sent unencrypted: use tls starttls, or leave out user and password")
	}
	return nil
}

// SendMail implements [Mailer]. Errors name neither the recipient nor anything the server said but its reply code.
func (s *SMTP) SendMail(ctx context.Context, m Mail) error {
	ctx, cancel := context.WithTimeout(ctx, smtpTimeout)
	defer cancel()
	message, err := smtpMessage(m)
	if err != nil {
		return err
	}
	client, err := s.client(ctx)
	if err != nil {
		return fmt.Errorf("sending mail: %w", err)
	}
	connection, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return s.failure(ctx, "connecting to", err)
	}
	err = client.SendWithSMTPClient(connection, message)
	if message.IsDelivered() {
		err = nil // accepted: what went wrong after that is no reason to send it twice
	}
	_ = client.CloseWithSMTPClient(connection) // the message is accepted or refused by now
	if err != nil {
		return s.failure(ctx, "sending mail through", err)
	}
	return nil
}

func (s *SMTP) client(ctx context.Context) (*gomail.Client, error) {
	settings := &tls.Config{ServerName: s.Host, RootCAs: s.RootCAs, MinVersion: tls.VersionTLS12}
	options := []gomail.Option{
		gomail.WithPort(s.Port), gomail.WithTimeout(smtpTimeout), gomail.WithTLSConfig(settings), gomail.WithoutNoop(),
		gomail.WithDialContextFunc(s.dial(ctx, settings)),
	}
	switch s.TLS {
	case TLSImplicit, TLSNone:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS)) // no STARTTLS inside TLS
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if s.Username != "" {
		options = append(options, gomail.WithUsername(s.Username), gomail.WithPassword(s.Password),
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin))
	}
	return gomail.NewClient(s.Host, options...)
}

// dial connects, and closes the connection when the delivery's time is over: go-mail gives every command a deadline of its own, which
// a slow server could use up one after the other.
func (s *SMTP) dial(delivery context.Context, settings *tls.Config) gomail.DialContextFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		var conn net.Conn
		var err error
		if s.TLS == TLSImplicit {
			conn, err = (&tls.Dialer{Config: settings}).DialContext(ctx, network, address)
		} else {
			conn, err = new(net.Dialer).DialContext(ctx, network, address)
		}
		if err != nil {
			return nil, err
		}
		context.AfterFunc(delivery, func() { _ = conn.Close() })
		return conn, nil
	}
}

// failure is what may be logged of an error. Servers repeat addresses in their replies, and so does go-mail.
func (s *SMTP) failure(ctx context.Context, doing string, err error) error {
	server := net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
	var refused *gomail.SendError
	var network *net.OpError
	var certificate *tls.CertificateVerificationError
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s mail server %s: no answer in time: %w", doing, server, ctx.Err())
	case errors.As(err, &refused) && refused.ErrorCode() != 0:
		return fmt.Errorf("%s mail server %s: it refused the message with reply code %d", doing, server, refused.ErrorCode())
	case errors.As(err, &certificate):
		return fmt.Errorf("%s mail server %s: its certificate is not trusted: %w", doing, server, certificate)
	case errors.As(err, &network):
		return fmt.Errorf("%s mail server %s: %w", doing, server, network)
	}
	if code := replyCode(err); code != "" {
		return fmt.Errorf("%s mail server %s: it answered with reply code %s; check user, password and tls", doing, server, code)
	}
	return fmt.Errorf("%s mail server %s: it does not speak SMTP as configured; check tls, user and password", doing, server)
}

// replyCode is the code at the beginning of a server's reply (RFC 5321, section 4.2), or empty.
func replyCode(err error) string {
	for err != nil {
		text := err.Error()
		if len(text) > 3 && text[0] >= '2' && text[0] <= '5' && text[3] == ' ' {
			if _, nerr := strconv.ParseUint(text[:3], 10, 16); nerr == nil {
				return text[:3]
			}
		}
		err = errors.Unwrap(err)
	}
	return ""
}

// smtpMessage is a mail as text and HTML. Its headers say that no person wrote it (RFC 3834), so that nobody is told of absences.
func smtpMessage(m Mail) (*gomail.Msg, error) {
	from, err := mail.ParseAddress(m.From)
	if err != nil {
		return nil, errors.New("sending mail: the sender is not an address")
	}
	if !isEmail(m.To) {
		return nil, errors.New("sending mail: the recipient is not an address")
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	domain := from.Address[strings.LastIndexByte(from.Address, '@')+1:]
	message := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	message.FromMailAddress(from)
	message.ToMailAddress(&mail.Address{Address: m.To})
	message.Subject(strings.Map(printable, m.Subject))
	message.SetDate()
	message.SetMessageIDWithValue(hex.EncodeToString(id[:]) + "@" + domain)
	message.SetGenHeader("Auto-Submitted", "auto-generated")
	message.SetGenHeader(gomail.HeaderXAutoResponseSuppress, "All")
	if m.Locale != "" && !strings.ContainsFunc(m.Locale, notLocale) {
		message.SetGenHeader(gomail.HeaderContentLang, m.Locale)
	}
	message.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		message.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	return message, nil
}

// printable makes spaces of control characters: a line break would begin a header of somebody else's.
func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}

// notLocale says what cannot be in a language tag (RFC 5646).
func notLocale(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-'
}

// Interface guards
var _ Mailer = (*SMTP)(nil)
