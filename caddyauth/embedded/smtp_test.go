package embedded

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-cognito/passwordless/caddyauth"
)

func TestSMTPInTheCaddyfile(t *testing.T) {
	t.Setenv("SMTP_USER", "pool")
	t.Setenv("SMTP_PASSWORD", "s3cret{}")
	var p UserPool
	err := p.UnmarshalCaddyfile(caddyfile.NewTestDispenser(`embedded ./data {
		smtp mail.example.com:2525 {
			tls tls
			user {env.SMTP_USER}
			password {env.SMTP_PASSWORD}
		}
		from no-reply@example.com
	}`))
	if err != nil {
		t.Fatal(err)
	}
	// The configuration, which the admin API shows, keeps the placeholder and not the password.
	shown, err := json.Marshal(p.SMTP)
	if err != nil || string(shown) != `{"server":"mail.example.com:2525","tls":"tls","user":"{env.SMTP_USER}","password":"{env.SMTP_PASSWORD}"}` {
		t.Errorf("%s, %v", shown, err)
	}
	if err := provision(t, &p); err != nil {
		t.Fatal(err)
	}
	m := p.mailer
	if m.Host != "mail.example.com" || m.Port != 2525 || m.TLS != "tls" || m.Username != "pool" || m.Password != "s3cret{}" {
		t.Errorf("%s:%d over %s as %s", m.Host, m.Port, m.TLS, m.Username)
	}
}

func TestSMTPRefusals(t *testing.T) {
	for input, want := range map[string]string{
		"smtp":                                          "takes the mail server",
		"smtp a b":                                      "takes the mail server",
		"smtp a {\n tls\n}":                             "tls takes one value",
		"smtp a {\n tls tls\n tls tls\n}":               "given twice",
		"smtp a {\n verify off\n}":                      `unknown option "verify"`,
		"smtp a {\n allow_plaintext yes\n}":             "takes no value",
		"smtp a\n smtp b":                               "smtp is given twice",
		"smtp mail.example.com":                         "want a real sender",
		"from a@b.example\n smtp a:mail":                "is not a port",
		"from a@b.example\n smtp a:0":                   "is not a port",
		"from a@b.example\n smtp {env.POOL_NOT_SET}":    "server",
		"from a@b.example\n smtp a {\n tls none\n}":     "unencrypted",
		"from a@b.example\n smtp a {\n user x\n}":       "belong together",
		"from a@b.example\n smtp a {\n tls ssl3\n}":     "starttls, tls or none",
		"from a@b.example\n smtp me@mail.example.com:1": "not the name of a mail server",
	} {
		var p UserPool
		err := p.UnmarshalCaddyfile(caddyfile.NewTestDispenser("embedded ./data {\n " + input + "\n}"))
		if err == nil {
			err = provision(t, &p)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", input, err, want)
		}
	}
}

// Authorities are read when the pool opens, and a file without any trusts nobody rather than everybody.
func TestSMTPAuthorities(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.pem")
	p := &UserPool{Path: t.TempDir(), From: "a@b.example", SMTP: &SMTP{Server: "localhost", CA: file}}
	if err := provision(t, p); err != nil {
		t.Fatal(err)
	}
	if _, err := p.OpenUserPool(t.Context(), caddyauth.RealmSettings{}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("missing: %v", err)
	}
	if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := p.OpenUserPool(t.Context(), caddyauth.RealmSettings{}); err == nil || !strings.Contains(err.Error(), "no certificate") {
		t.Errorf("empty: %v", err)
	}
}

// Two realms of one configuration cannot share users by accident; `caddy validate` tells.
func TestTwoRealmsWithOneFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users.db")
	realm := func(portal string) *caddyauth.Realm {
		return &caddyauth.Realm{
			Portal: "https://" + portal + ".example.com/auth/", Applications: []string{"https://app.example.com"},
			UserPoolRaw: json.RawMessage(`{"provider":"embedded","path":"` + file + `"}`),
			Passkeys:    &caddyauth.Passkeys{RelyingParties: []caddyauth.RelyingParty{{ID: "example.com"}}},
		}
	}
	app := &caddyauth.App{Realms: map[string]*caddyauth.Realm{"staff": realm("staff"), "guests": realm("guests")}}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	err := app.Provision(ctx)
	if err == nil || !strings.Contains(err.Error(), `realms "guests" and "staff" use the same data file `+file) {
		t.Errorf("got %v", err)
	}
}
