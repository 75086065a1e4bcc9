package embedded

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"os"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-cognito/passwordless/internal/localpool"
)

// SMTP is the mail server that delivers the pool's mails.
type SMTP struct {
	// Host and port, as in `mail.example.com:587`. Default of the port: 587, with `tls` 465, with `none` 25.
	Server string `json:"server,omitempty"`

	// `starttls` (required, never silently without), `tls` from the first byte, or `none`, which is for servers on this machine.
	// Default: `starttls`.
	TLS string `json:"tls,omitempty"`

	// User name and password, if the server wants them; use placeholders such as `{env.SMTP_PASSWORD}`.
	User     string `json:"user,omitempty"`
	Password string `json:"password,omitempty"`

	// PEM file with the authorities that may vouch for the server. Default: those of the system.
	CA string `json:"ca,omitempty"`

	// Lets `tls none` reach other machines: sign-in links can then be read on the way. Default: false.
	AllowPlaintext bool `json:"allow_plaintext,omitempty"`
}

// provision checks the settings. A configured sender is required: mail servers refuse the made-up one.
func (s *SMTP) provision(from string) (*localpool.SMTP, error) {
	repl := caddy.NewReplacer()
	for name, field := range map[string]*string{"server": &s.Server, "user": &s.User, "password": &s.Password, "ca": &s.CA} {
		value, err := repl.ReplaceOrErr(*field, true, name != "server")
		if err != nil {
			return nil, fmt.Errorf("smtp: %s: %w", name, err)
		}
		*field = value
	}
	if _, err := mail.ParseAddress(from); err != nil {
		return nil, errors.New("smtp: mail servers want a real sender; add from no-reply@example.com")
	}
	mailer := &localpool.SMTP{Host: s.Server, TLS: s.TLS, AllowPlaintext: s.AllowPlaintext, Username: s.User, Password: s.Password}
	if host, port, err := net.SplitHostPort(s.Server); err == nil {
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil || number == 0 {
			return nil, fmt.Errorf("smtp: %q is not a port; write smtp mail.example.com:587", port)
		}
		mailer.Host, mailer.Port = host, int(number)
	}
	if err := mailer.Validate(); err != nil {
		return nil, fmt.Errorf("smtp: %w", err)
	}
	return mailer, nil
}

// open reads the authorities, if there are any.
func (s *SMTP) open(mailer *localpool.SMTP) error {
	if s.CA == "" {
		return nil
	}
	pem, err := os.ReadFile(s.CA)
	if err != nil {
		return fmt.Errorf("user_pool embedded: smtp: ca: %w", err)
	}
	mailer.RootCAs = x509.NewCertPool()
	if !mailer.RootCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("user_pool embedded: smtp: ca: %s holds no certificate in PEM form", s.CA)
	}
	return nil
}

// unmarshalSMTP reads the option. Syntax:
//
//	smtp <host>[:<port>] {
//		tls starttls|tls|none
//		user <name>
//		password <password>
//		ca <PEM file>
//		allow_plaintext
//	}
func (p *UserPool) unmarshalSMTP(d *caddyfile.Dispenser) error {
	p.SMTP = new(SMTP)
	if !d.AllArgs(&p.SMTP.Server) {
		return d.Err("smtp takes the mail server, such as mail.example.com:587")
	}
	seen := make(map[string]bool)
	for d.NextBlock(1) {
		option := d.Val()
		if seen[option] {
			return d.Errf("smtp: %s is given twice", option)
		}
		seen[option] = true
		text, ok := map[string]*string{"tls": &p.SMTP.TLS, "user": &p.SMTP.User, "password": &p.SMTP.Password, "ca": &p.SMTP.CA}[option]
		switch {
		case option == "allow_plaintext":
			p.SMTP.AllowPlaintext = true
			if d.NextArg() {
				return d.Err("smtp: allow_plaintext takes no value")
			}
		case !ok:
			return d.Errf("smtp: unknown option %q: use tls, user, password, ca or allow_plaintext", option)
		case !d.AllArgs(text):
			return d.Errf("smtp: %s takes one value", option)
		}
	}
	return nil
}
