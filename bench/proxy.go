package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Enough for ratios that come out alike within two hundredths on a machine of two processors.
const (
	rounds            = 300
	connections       = 4
	roundsAConnection = 10
	asked             = 50 // requests a round over each connection: a round is short, so that a neighbour's work meets all contenders
)

// caddyfile puts the same upstream behind the same Caddy in several ways. Sites named "give-" tell the bench its own tokens.
const caddyfile = `{
	admin off
	default_bind 127.0.0.1
	storage file_system ./data
	log {
		level ERROR
	}
	passwordless {
		portal http://localhost:PORT/auth/
		applications http://cookie.localhost:PORT http://id.localhost:PORT http://access.localhost:PORT http://give-id.localhost:PORT http://give-access.localhost:PORT
		user_pool embedded ./pool.db {
			inbox localhost:INBOX
		}
		passkeys {
			relying_party localhost "Example"
		}
		magic_link
		sign_up open
	}
}
http://localhost:PORT {
	passwordless_portal
}
http://bare.localhost:PORT {
	reverse_proxy UPSTREAM
}
http://headers.localhost:PORT {
	reverse_proxy UPSTREAM {
		header_up -Cookie
		header_up X-Passwordless-User 11111111-2222-4333-8444-555555555555
		header_up X-Passwordless-Email anna@example.com
		header_down Cache-Control private
		header_down Vary Cookie
	}
}
http://cookie.localhost:PORT {
	passwordless_guard
	reverse_proxy UPSTREAM
}
http://id.localhost:PORT {
	passwordless_guard {
		bearer id
	}
	reverse_proxy UPSTREAM
}
http://access.localhost:PORT {
	passwordless_guard {
		bearer access
	}
	reverse_proxy UPSTREAM
}
http://give-id.localhost:PORT {
	passwordless_guard {
		upstream_bearer id
	}
	reverse_proxy UPSTREAM
}
http://give-access.localhost:PORT {
	passwordless_guard {
		upstream_bearer access
	}
	reverse_proxy UPSTREAM
}
`

// site is the Caddy whose ways of serving one page are compared.
type site struct {
	*process
	folder, port, inbox string
	upstream            *upstream
}

// upstream answers every request with the same page, and says on its own path which credential came.
type upstream struct {
	http.Server
	address string
	page    string
}

func newUpstream() (*upstream, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u := &upstream{address: l.Addr().String(), page: strings.Repeat("<p>An application's page, as it might be.</p>\n", 100)}
	u.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := u.page
		if r.URL.Path == "/credential" {
			answer = r.Header.Get("Authorization")
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
		_, _ = io.WriteString(w, answer)
	})
	go func() { _ = u.Serve(l) }()
	return u, nil
}

// openSite builds and starts Caddy before an upstream of its own.
func openSite(root string) (_ *site, err error) {
	s := new(site)
	if s.folder, err = os.MkdirTemp("", "bench"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	program := filepath.Join(s.folder, "caddy")
	build := exec.Command("go", "build", "-tags", tags, "-trimpath", "-ldflags", "-s -w", "-o", program, "./cmd/caddy")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building Caddy: %w\n%s", err, out)
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	s.port, s.inbox = ports[0], ports[1]
	if s.upstream, err = newUpstream(); err != nil {
		return nil, err
	}
	config := filepath.Join(s.folder, "Caddyfile")
	text := strings.NewReplacer("PORT", s.port, "INBOX", s.inbox, "UPSTREAM", s.upstream.address).Replace(caddyfile)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	s.process, err = launch(s.folder, "127.0.0.1:"+s.port, program, "run", "--config", config, "--adapter", "caddyfile")
	return s, err
}

func (s *site) close() error {
	var errs []error
	if s.process != nil {
		errs = append(errs, s.stop())
	}
	if s.upstream != nil {
		errs = append(errs, s.upstream.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(s.folder))...)
}

func (s *site) origin(name string) string { return "http://" + name + ".localhost:" + s.port }

// contenders are the page without a guard and with one, in pairs that send the same bytes.
func (s *site) contenders() ([]*contender, error) {
	someone, err := newPerson("http://localhost:"+s.inbox, "anna@example.com")
	if err != nil {
		return nil, err
	}
	var all []*contender
	pair := func(host, way, header, value string) {
		contend := func(host string) *contender {
			c := &contender{name: way, address: "127.0.0.1:" + s.port, host: host + ".localhost:" + s.port, header: make(http.Header), pid: s.command.Process.Pid}
			c.header.Set(header, value)
			return c
		}
		bare, guarded := contend("bare"), contend(host)
		guarded.against = bare
		all = append(all, bare, guarded)
	}
	if _, err := someone.arrive(s.origin("cookie") + "/"); err != nil {
		return nil, err
	}
	value, err := someone.cookies(s.origin("cookie") + "/")
	if err != nil {
		return nil, err
	}
	pair("cookie", "cookie", "Cookie", value)
	for _, use := range []string{"id", "access"} {
		at, err := someone.arrive(s.origin("give-"+use) + "/credential")
		if err != nil {
			return nil, err
		}
		pair(use, map[string]string{"id": "ID token", "access": "access token"}[use], "Authorization", at.body)
	}
	return all, nil
}

// proxied opens the site, compares, and weighs the sign-in page.
func proxied(root string) (_ []row, err error) {
	s, err := openSite(root)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	rows, err := s.compare()
	if err != nil {
		return nil, err
	}
	page, err := s.signInPage()
	if err != nil {
		return nil, err
	}
	return append(rows, page), nil
}

// headersAlone is no guard: Caddy itself sets and removes the headers that a guard sets and removes, and knows them beforehand. It says how
// much of a guard's cost is that of the headers, for Caddy, for the upstream and for whoever asks.
const headersAlone = "no guard, but its headers for upstream and browser, set by reverse_proxy"

// compare is the guarded page beside the page without a guard.
func (s *site) compare() ([]row, error) {
	all, err := s.contenders()
	if err != nil {
		return nil, err
	}
	headers := *all[1]
	headers.name, headers.host = headersAlone, "headers.localhost:"+s.port
	all = append(all, &headers)
	if err := compete(all, rounds, connections, asked, len(s.upstream.page)); err != nil {
		return nil, err
	}
	var rows []row
	for _, c := range all {
		if c.against == nil {
			continue
		}
		baseline, ratio := median(c.against.rate), median(c.ratios)
		one := row{Name: c.name, Value: median(c.rate), Unit: "1/s", Baseline: &baseline, Ratio: &ratio}
		if c.name != headersAlone {
			one.Name, one.Target = "guarded reverse_proxy against the same Caddy without the guard, by "+c.name, "ratio ≥ 0.95"
		}
		rows = append(rows, one)
		micro := func(seconds float64) float64 { return seconds / (rounds * connections * asked) * 1e6 }
		rows = append(rows, compared(row{Name: "Caddy's CPU for such a request: " + c.name, Value: micro(c.cpu), Unit: "µs"}, micro(c.against.cpu)))
	}
	return rows, nil
}
