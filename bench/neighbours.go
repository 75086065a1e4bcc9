package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The neighbours' releases; bench/neighbours/go.mod has the same.
const (
	caddySecurity = "caddy-security v1.1.64"
	oauth2Proxy   = "oauth2-proxy v7.15.3"
)

// securityFile is the same upstream behind caddy-security, which takes a token from its cookie and remembers that it was valid. As from
// the guard, the upstream learns from headers who it is.
const securityFile = `{
	admin off
	default_bind 127.0.0.1
	storage file_system ./security-data
	log {
		level ERROR
	}
	security {
		authorization policy guarded {
			set auth url http://localhost:PORT/auth
			crypto key verify SECRET
			allow roles authp/user
			inject headers with claims
		}
	}
}
http://cookie.localhost:PORT {
	route {
		authorize with guarded
		reverse_proxy UPSTREAM
	}
}
`

// besideNeighbours compares guarded requests with what other software makes of them, before the same upstream.
func besideNeighbours(root string) (_ []row, err error) {
	s, err := openSite(root, "http")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	own, err := s.contenders()
	if err != nil {
		return nil, err
	}
	cookie, bearer := own[1], own[3]
	security, stopSecurity, err := s.startCaddySecurity(root)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", caddySecurity, err)
	}
	defer func() { err = errors.Join(err, stopSecurity()) }()
	byCookie, byBearer, stopProxy, err := s.startOAuth2Proxy(root)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", oauth2Proxy, err)
	}
	defer func() { err = errors.Join(err, stopProxy()) }()
	pairs := []struct{ ours, theirs *contender }{{cookie, security}, {cookie, byCookie}, {bearer, byBearer}}
	var all []*contender
	for _, pair := range pairs {
		ours := *pair.ours
		ours.against, ours.name = pair.theirs, "guarded request by "+ours.name+", against "+pair.theirs.name
		all = append(all, pair.theirs, &ours)
	}
	if err := compete(s.upstream, all, rounds/3, connections, asked); err != nil {
		return nil, err
	}
	var rows []row
	for _, c := range all {
		if c.against != nil {
			baseline, ratio := median(c.against.rate), median(c.ratios)
			rows = append(rows, row{Name: c.name, Value: median(c.rate), Unit: "1/s", Baseline: &baseline, Ratio: &ratio, Target: "ratio > 1"})
		}
	}
	return rows, nil
}

// neighbour builds a program of the module neighbours.
func (s *site) neighbour(root, name, source string) (string, error) {
	program := filepath.Join(s.folder, name)
	build := exec.Command("go", "build", "-tags", tags, "-trimpath", "-ldflags", "-s -w", "-o", program, source)
	build.Dir = filepath.Join(root, "bench", "neighbours")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building: %w\n%s", err, out)
	}
	return program, nil
}

func (s *site) startCaddySecurity(root string) (*contender, func() error, error) {
	program, err := s.neighbour(root, "caddy-security", ".")
	if err != nil {
		return nil, nil, err
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, nil, err
	}
	const secret = "4f0c1a6e2b7d4c0f9a1e3b5d7f9a1c3e" // of this benchmark alone
	config := filepath.Join(s.folder, "security.caddyfile")
	text := strings.NewReplacer("PORT", ports[0], "SECRET", secret, "UPSTREAM", s.upstream.address).Replace(securityFile)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, nil, err
	}
	token, err := sharedSecretToken(secret)
	if err != nil {
		return nil, nil, err
	}
	address := "127.0.0.1:" + ports[0]
	p, err := launch(s.folder, []string{address}, program, "run", "--config", config, "--adapter", "caddyfile")
	if err != nil {
		return nil, nil, err
	}
	c := &contender{name: caddySecurity, address: address, host: "cookie.localhost:" + ports[0], header: make(http.Header)}
	c.header.Set("Cookie", "access_token="+token)
	return c, p.stop, nil
}

// startOAuth2Proxy has two contenders: somebody who signed in, and a client with a token of the same provider.
func (s *site) startOAuth2Proxy(root string) (cookie, bearer *contender, stop func() error, err error) {
	program, err := s.neighbour(root, "oauth2-proxy", "github.com/oauth2-proxy/oauth2-proxy/v7")
	if err != nil {
		return nil, nil, nil, err
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, nil, nil, err
	}
	op, err := newProvider()
	if err != nil {
		return nil, nil, nil, err
	}
	address := "127.0.0.1:" + ports[0]
	p, err := launch(s.folder, []string{address}, program,
		"--provider=oidc", "--skip-oidc-discovery", "--oidc-issuer-url="+op.address, "--login-url="+op.address+"/authorize", "--redeem-url="+op.address+"/token",
		"--oidc-jwks-url="+op.address+"/jwks", "--client-id=bench", "--client-secret=bench", "--cookie-secret=0123456789abcdef0123456789abcdef",
		"--cookie-secure=false", "--email-domain=*", "--upstream=http://"+s.upstream.address, "--http-address="+address,
		"--redirect-url=http://"+address+"/oauth2/callback", "--skip-provider-button", "--skip-jwt-bearer-tokens",
		"--standard-logging=false", "--request-logging=false", "--auth-logging=false")
	if err != nil {
		return nil, nil, nil, errors.Join(err, op.Close())
	}
	stop = func() error { return errors.Join(p.stop(), op.Close()) }
	defer func() {
		if err != nil {
			err = errors.Join(err, stop())
		}
	}()
	someone, err := newPerson("", "")
	if err != nil {
		return nil, nil, nil, err
	}
	if err := reach(someone.client, "http://"+address+"/", s.upstream.page); err != nil {
		return nil, nil, nil, err
	}
	value, err := someone.cookies("http://" + address + "/")
	if err != nil {
		return nil, nil, nil, err
	}
	token, err := op.idToken("")
	cookie = &contender{name: oauth2Proxy + " by cookie", address: address, host: address, header: http.Header{"Cookie": {value}}}
	bearer = &contender{name: oauth2Proxy + " by ID token", address: address, host: address, header: http.Header{"Authorization": {"Bearer " + token}}}
	return cookie, bearer, stop, err
}

// reach opens an address, by whatever redirects, and wants the upstream's page there.
func reach(client *http.Client, address, want string) error {
	response, err := client.Get(address)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err == nil && string(body) != want {
		err = fmt.Errorf("%s%s answers %s and not the upstream's page", response.Request.URL.Host, response.Request.URL.Path, response.Status)
	}
	return err
}
