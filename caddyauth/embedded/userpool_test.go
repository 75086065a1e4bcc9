package embedded

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-cognito/passwordless/caddyauth"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/userpool"
)

func TestUnmarshalCaddyfile(t *testing.T) {
	for name, test := range map[string]struct{ input, want string }{
		"nothing": {`embedded`, `{}`},
		"path":    {`embedded ./data`, `{"path":"./data"}`},
		"all": {`embedded ./data/pool.db {
			inbox localhost:8025
			inbox_public
			inbox_host mail.example.com inbox.example.com
			from no-reply@example.com
			product "Example Corp"
			custom_attributes tenant plan
			writable_custom_attributes theme
			access_token_lifetime 30m
			refresh_token_rotation on
		}`, `{"path":"./data/pool.db","inbox":"localhost:8025","inbox_public":true,"inbox_hosts":["mail.example.com","inbox.example.com"],"from":"no-reply@example.com","product":"Example Corp","access_token_lifetime":1800000000000,"refresh_token_rotation":true,"custom_attributes":["tenant","plan"],"writable_custom_attributes":["theme"]}`},
	} {
		t.Run(name, func(t *testing.T) {
			var p UserPool
			if err := p.UnmarshalCaddyfile(caddyfile.NewTestDispenser(test.input)); err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(p)
			if err != nil || string(got) != test.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, test.want)
			}
		})
	}
}

func TestUnmarshalCaddyfileRefusals(t *testing.T) {
	for name, test := range map[string]struct{ input, want string }{
		"two paths":      {`embedded a b`, `not "b" as well`},
		"unknown option": {"embedded {\n imap localhost\n}", `unknown option "imap"`},
		"twice":          {"embedded {\n from a@b.c\n from a@b.c\n}", "from is given twice"},
		"no value":       {"embedded {\n inbox\n}", "inbox takes one value"},
		"two values":     {"embedded {\n product Example Corp\n}", "product takes one value"},
		"no duration":    {"embedded {\n access_token_lifetime soon\n}", `"soon" is not a duration`},
		"no switch":      {"embedded {\n refresh_token_rotation maybe\n}", "on or off"},
		"rotation":       {"embedded {\n signing_key_rotation often\n}", "is not a duration"},
		"no rotation":    {"embedded {\n signing_key_rotation\n}", "or off"},
		"no names":       {"embedded {\n inbox_host\n}", "at least one name"},
		"no attributes":  {"embedded {\n custom_attributes\n}", "at least one name"},
		"flag with text": {"embedded {\n inbox_public yes\n}", "takes no value"},
	} {
		t.Run(name, func(t *testing.T) {
			err := new(UserPool).UnmarshalCaddyfile(caddyfile.NewTestDispenser(test.input))
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "Testfile:") {
				t.Errorf("got %v, want %q with file and line", err, test.want)
			}
		})
	}
}

func FuzzUnmarshalCaddyfile(f *testing.F) {
	f.Add("embedded x {\n inbox localhost:1\n}")
	f.Add("embedded {\n inbox {\n}\n}")
	f.Add("")
	f.Fuzz(func(t *testing.T, input string) {
		_ = new(UserPool).UnmarshalCaddyfile(caddyfile.NewTestDispenser(input)) // must not panic
	})
}

func provision(t *testing.T, p *UserPool) error {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	return p.Provision(ctx)
}

// Provision, which `caddy validate` runs, checks everything and touches nothing.
func TestProvision(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("POOL_DIR", "from-env")
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for configured, want := range map[string]string{
		"":                         filepath.Join(caddy.AppDataDir(), "passwordless", "pool.db"),
		"data":                     filepath.Join(cwd, "data", "pool.db"),
		"data/users.db":            filepath.Join(cwd, "data", "users.db"),
		"/srv/pool/":               "/srv/pool/pool.db",
		"{env.POOL_DIR}":           filepath.Join(cwd, "from-env", "pool.db"),
		"/srv/pool/../x/y.db":      "/srv/x/y.db",
		"{env.POOL_DIR}/nested.db": filepath.Join(cwd, "from-env", "nested.db"),
	} {
		p := &UserPool{Path: configured, Inbox: "localhost:8025"}
		if err := provision(t, p); err != nil || p.Path != want {
			t.Errorf("%q became %q, want %q: %v", configured, p.Path, want, err)
		}
	}
	if entries, err := os.ReadDir(cwd); err != nil || len(entries) != 0 {
		t.Errorf("provisioning made %v, %v", entries, err)
	}
	for name, test := range map[string]struct {
		pool UserPool
		want string
	}{
		"unset variable":    {UserPool{Path: "{env.NOT_SET_ANYWHERE}"}, "{env.NOT_SET_ANYWHERE} is empty"},
		"inbox for all":     {UserPool{Inbox: ":8025"}, "inbox localhost:8025"},
		"inbox on a LAN":    {UserPool{Inbox: "192.168.1.10:8025"}, "inbox_public"},
		"inbox everywhere":  {UserPool{Inbox: "[::]:8025"}, "inbox_public"},
		"inbox port range":  {UserPool{Inbox: "localhost:8025-8030"}, "one port"},
		"inbox port alone":  {UserPool{Inbox: "8025"}, "write inbox localhost:8025"},
		"inbox host alone":  {UserPool{Inbox: "localhost"}, "one port"},
		"inbox over UDP":    {UserPool{Inbox: "udp/localhost:8025"}, "one port"},
		"inbox of nonsense": {UserPool{Inbox: "localhost:x"}, "inbox:"},
		"public nothing":    {UserPool{InboxPublic: true}, "without inbox"},
		"sender":            {UserPool{From: "nobody"}, "from:"},
		"hasty removal":     {UserPool{UnverifiedAccountLifetime: caddy.Duration(time.Minute)}, "unverified_account_lifetime"},
		"hasty rotation":    {UserPool{SigningKeyRotation: caddy.Duration(time.Hour)}, "signing_key_rotation"},
		"deaf scripts":      {UserPool{BrowserClient: []string{"http://localhost:3000"}}, "without protocol"},
		"script of a path":  {UserPool{Protocol: "localhost:0", BrowserClient: []string{"http://localhost:3000/app"}}, "browser_client"},
		"lifetime":          {UserPool{AccessTokenLifetime: caddy.Duration(time.Second)}, "access_token_lifetime"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := provision(t, &test.pool); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func realmSettings(t *testing.T) caddyauth.RealmSettings {
	t.Helper()
	portal, err := url.Parse("http://localhost:8080/auth/")
	if err != nil {
		t.Fatal(err)
	}
	return caddyauth.RealmSettings{
		Name: "default", Portal: portal, LinkRedirectURIs: []string{"http://localhost:8080/auth/link"}, SignUpMode: "open", Product: "Example",
		Passkeys:   passkey.Settings{RelyingParties: []passkey.RelyingParty{{ID: "localhost", Origins: []string{"http://localhost:8080"}}}},
		SignUpWait: func(string) time.Duration { return 0 },
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func opened(t *testing.T, p *UserPool, s caddyauth.RealmSettings) caddyauth.OpenedPool {
	t.Helper()
	if err := provision(t, p); err != nil {
		t.Fatal(err)
	}
	pool, err := p.OpenUserPool(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

// A reload: the new configuration opens before the old one closes. The pool, its users and the inbox stay; new settings hold.
func TestReload(t *testing.T) {
	dir, address := t.TempDir(), freePort(t)
	s := realmSettings(t)
	before := opened(t, &UserPool{Path: dir, Inbox: address}, s)
	if before.Credentials == nil || before.Notifier == nil || before.ClientID == "" || !strings.HasPrefix(before.JWKSURL, before.Issuer) {
		t.Fatalf("%+v", before)
	}
	signUp := func(pool caddyauth.OpenedPool, email string) error {
		return pool.Pool.SignUp(t.Context(), userpool.SignUp{Username: email, Attributes: map[string]string{"email": email}})
	}
	if err := signUp(before, "a@example.com"); err != nil {
		t.Fatal(err)
	}
	s.SignUpMode = "closed"
	after := opened(t, &UserPool{Path: dir, Inbox: address}, s)
	if after.ClientID != before.ClientID || after.Issuer != before.Issuer {
		t.Error("the pool has another name after a reload")
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	if err := signUp(after, "b@example.com"); err == nil {
		t.Error("the old sign-up policy holds")
	}
	if _, err := after.Pool.Initiate(t.Context(), "a@example.com"); err != nil {
		t.Error(err)
	}
	answer, err := http.Get("http://" + address + "/messages.json")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err != nil || answer.StatusCode != http.StatusOK || !strings.Contains(string(body), "messages") {
		t.Errorf("%d %s, %v", answer.StatusCode, body, err)
	}

	// A reload that fails later on gives the settings back.
	s.SignUpMode = "open"
	failed := opened(t, &UserPool{Path: dir}, s)
	if err := failed.Close(); err != nil {
		t.Fatal(err)
	}
	if err := signUp(after, "c@example.com"); err == nil {
		t.Error("the settings of a configuration that failed hold")
	}
	if err := after.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := http.Get("http://" + address + "/"); err == nil {
		t.Error("the inbox is still open")
	}
	// Nobody has it open now: the file can be opened afresh.
	again := opened(t, &UserPool{Path: dir}, realmSettings(t))
	if again.ClientID != after.ClientID {
		t.Error("the pool has another name after a restart")
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

// A port that is taken fails the start, and leaves the file free.
func TestInboxPortTaken(t *testing.T) {
	dir := t.TempDir()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	p := &UserPool{Path: dir, Inbox: taken.Addr().String()}
	if err := provision(t, p); err != nil {
		t.Fatal(err)
	}
	if _, err := p.OpenUserPool(t.Context(), realmSettings(t)); err == nil || !strings.Contains(err.Error(), "inbox") {
		t.Fatalf("got %v", err)
	}
	pool := opened(t, &UserPool{Path: dir}, realmSettings(t))
	if err := pool.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestCorruptFileFailsTheStart(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "pool.db")
	if err := os.WriteFile(file, []byte("not a database"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &UserPool{Path: dir}
	if err := provision(t, p); err != nil {
		t.Fatal(err)
	}
	if _, err := p.OpenUserPool(t.Context(), realmSettings(t)); err == nil || !strings.Contains(err.Error(), file) {
		t.Fatalf("got %v", err)
	}
	if raw, err := os.ReadFile(file); err != nil || string(raw) != "not a database" {
		t.Errorf("the file was changed: %q, %v", raw, err)
	}
}

// Keys rotate unless the operator says otherwise.
func TestSigningKeyRotation(t *testing.T) {
	for option, want := range map[string]time.Duration{
		"": 90 * 24 * time.Hour, "signing_key_rotation 30d": 30 * 24 * time.Hour, "signing_key_rotation off": 0,
	} {
		p := new(UserPool)
		if err := p.UnmarshalCaddyfile(caddyfile.NewTestDispenser("embedded {\n " + option + "\n}")); err != nil {
			t.Fatal(err)
		}
		if err := provision(t, p); err != nil || p.config(realmSettings(t)).KeyRotation != want {
			t.Errorf("%q: %s, %v", option, p.config(realmSettings(t)).KeyRotation, err)
		}
	}
}

// What the realm allows is what the pool allows to those who come past the portal.
func TestPoolHasTheRealmsRules(t *testing.T) {
	s := realmSettings(t)
	s.SMSCallingCodes, s.SignUpMode, s.SignUpDomains = []string{"+49"}, "domains", []string{"example.com"}
	c := new(UserPool).config(s)
	if !slices.Equal(c.SMSCallingCodes, s.SMSCallingCodes) || c.SignUp.Mode != "domains" || !slices.Equal(c.SignUp.Domains, s.SignUpDomains) {
		t.Errorf("countries %q, sign-up %+v", c.SMSCallingCodes, c.SignUp)
	}
}
