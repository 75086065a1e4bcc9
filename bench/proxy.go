package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Enough for ratios that come out alike within two hundredths on a machine of two processors.
const (
	rounds            = 300
	connections       = 4
	roundsAConnection = 1
	asked             = 50 // requests a round over each connection: a round is short, so that a neighbour's work meets all contenders
)

// caddyfile puts the same upstream behind the same Caddy in several ways. Sites named "give-" tell the bench its own tokens. Each site gets a port
// of its own, or it would take Caddy longer to find one than another.
const caddyfile = `{
	admin off
	default_bind 127.0.0.1
	storage file_system ./data
	log {
		level ERROR
	}
	auto_https disable_redirects
	local_certs
	skip_install_trust
	passwordless {
		portal http://portal.localhost/auth/
		applications http://cookie.localhost http://id.localhost http://access.localhost http://give-id.localhost http://give-access.localhost
		user_pool embedded ./pool.db {
			inbox localhost:INBOX
		}
		passkeys {
			relying_party portal.localhost "Example"
		}
		magic_link
		sign_up open
	}
}
http://portal.localhost {
	passwordless_portal
}
http://bare.localhost {
	reverse_proxy UPSTREAM
}
http://again.localhost {
	reverse_proxy UPSTREAM
}
http://headers.localhost {
	reverse_proxy UPSTREAM {
		header_up -Cookie
		header_up X-Passwordless-User 11111111-2222-4333-8444-555555555555
		header_up X-Passwordless-Email anna@example.com
		header_down Cache-Control private
		header_down Vary Cookie
	}
}
http://cookie.localhost {
	passwordless_guard
	reverse_proxy UPSTREAM
}
http://id.localhost {
	passwordless_guard {
		bearer id
	}
	reverse_proxy UPSTREAM
}
http://access.localhost {
	passwordless_guard {
		bearer access
	}
	reverse_proxy UPSTREAM
}
http://give-id.localhost {
	passwordless_guard {
		upstream_bearer id
	}
	reverse_proxy UPSTREAM
}
http://give-access.localhost {
	passwordless_guard {
		upstream_bearer access
	}
	reverse_proxy UPSTREAM
}
`

// site is the Caddy whose ways of serving one page are compared.
type site struct {
	*process
	scheme   string
	folder   string
	inbox    string            // its port
	ports    map[string]string // by the first part of a host's name
	upstream *upstream
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

// openSite builds and starts Caddy before an upstream of its own. Its sites have the scheme http or https.
func openSite(root, scheme string) (_ *site, err error) {
	s := &site{scheme: scheme}
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
	if s.upstream, err = newUpstream(); err != nil {
		return nil, err
	}
	text, err := s.place(caddyfile)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(s.folder, "Caddyfile")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	var addresses []string
	for name := range s.ports {
		addresses = append(addresses, s.address(name))
	}
	if s.process, err = launch(s.folder, addresses, program, "run", "--config", config, "--adapter", "caddyfile"); err != nil || scheme == "http" {
		return s, err
	}
	return s, s.awaitCertificates()
}

// awaitCertificates returns when every site can be spoken to by TLS.
func (s *site) awaitCertificates() error {
	for name := range s.ports {
		c := contender{address: s.address(name), host: s.host(name)}
		if err := s.until("it has no certificate for "+name, func(context.Context) error {
			conn, err := c.dialHTTP2()
			if err != nil {
				return err
			}
			return conn.Close()
		}); err != nil {
			return err
		}
	}
	return nil
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

// place gives every host, and the inbox, a free port. All addresses are filled in at once: none is taken for a word that is still to be replaced.
func (s *site) place(text string) (string, error) {
	s.ports = make(map[string]string)
	for _, found := range hosts.FindAllStringSubmatch(text, -1) {
		s.ports[found[1]] = ""
	}
	free, err := freePorts(len(s.ports) + 1)
	if err != nil {
		return "", err
	}
	s.inbox, free = free[0], free[1:]
	for name := range s.ports {
		s.ports[name], free = free[0], free[1:]
	}
	words := []string{"INBOX", s.inbox, "UPSTREAM", s.upstream.address}
	for _, found := range hosts.FindAllString(text, -1) {
		words = append(words, found, s.origin(hosts.FindStringSubmatch(found)[1]))
	}
	return strings.NewReplacer(words...).Replace(text), nil
}

var hosts = regexp.MustCompile(`http://([a-z-]+)\.localhost\b`)

// address is where a site listens, host its name for browsers.
func (s *site) address(name string) string { return "127.0.0.1:" + s.ports[name] }

func (s *site) host(name string) string { return name + ".localhost:" + s.ports[name] }

func (s *site) origin(name string) string { return s.scheme + "://" + s.host(name) }

// contend is somebody who asks a site of ours, with one header beyond a browser's.
func (s *site) contend(name, host, header, value string) *contender {
	return &contender{name: name, address: s.address(host), host: s.host(host), header: http.Header{header: {value}}, secure: s.scheme == "https", pid: s.command.Process.Pid}
}

// contenders are the page without a guard and with one, in pairs that send the same bytes.
func (s *site) contenders() ([]*contender, error) {
	someone, err := newPerson("http://localhost:"+s.inbox, "anna@example.com")
	if err != nil {
		return nil, err
	}
	var all []*contender
	pair := func(host, way, header, value string) {
		bare, guarded := s.contend("", "bare", header, value), s.contend(way, host, header, value)
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

// proxied compares the pages over HTTP/2 and TLS, as browsers ask for them, and over plain HTTP/1.1, where the guard's part is largest. It also weighs
// the sign-in page.
func proxied(root string) ([]row, error) {
	secure, err := withSite(root, "https", (*site).compare)
	if err != nil {
		return nil, err
	}
	plain, err := withSite(root, "http", func(s *site) ([]row, error) {
		rows, err := s.compare()
		if err != nil {
			return nil, err
		}
		page, err := s.signInPage()
		return append(rows, page), err
	})
	return append(secure, plain...), err
}

func withSite(root, scheme string, measure func(*site) ([]row, error)) (_ []row, err error) {
	s, err := openSite(root, scheme)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	return measure(s)
}

// Two that have no guard. The one with headers says how much of a guard's cost is theirs, for Caddy, for the upstream and for whoever asks, when
// Caddy itself sets and removes them and knows them beforehand; the other how far apart two measurements of the same are.
const (
	headersAlone = "no guard, but its headers for upstream and browser, set by reverse_proxy"
	nothing      = "no guard, against itself"
)

// compare is the guarded page beside the page without a guard.
func (s *site) compare() ([]row, error) {
	all, err := s.contenders()
	if err != nil {
		return nil, err
	}
	cookie := all[0].header.Get("Cookie")
	for host, name := range map[string]string{"headers": headersAlone, "again": nothing} {
		c := s.contend(name, host, "Cookie", cookie)
		c.against = all[0]
		all = append(all, c)
	}
	if err := compete(s.upstream, all, rounds, connections, asked); err != nil {
		return nil, err
	}
	var rows []row
	for _, c := range all {
		if c.against == nil {
			continue
		}
		baseline, ratio := median(c.against.rate), median(c.ratios)
		way := c.name + map[string]string{"https": ", HTTP/2 over TLS", "http": ", plain HTTP/1.1"}[s.scheme]
		one := row{Name: way, Value: median(c.rate), Unit: "1/s", Baseline: &baseline, Ratio: &ratio}
		if c.name != headersAlone && c.name != nothing {
			one.Name, one.Target = "guarded reverse_proxy against the same Caddy without the guard, by "+way, "ratio ≥ 0.95"
		}
		rows = append(rows, one)
		micro := func(seconds float64) float64 { return seconds / (rounds * connections * asked) * 1e6 }
		rows = append(rows, compared(row{Name: "Caddy's CPU for such a request: " + way, Value: micro(c.cpu), Unit: "µs"}, micro(c.against.cpu)))
	}
	return rows, nil
}
