package zoo

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// deployment is a recipe's Caddyfile at work: the portal, one application, the embedded user pool.
type deployment struct {
	t           *testing.T
	portal, app string            // origins
	inbox       string            // origin of the page of mails
	web         string            // host:port of Caddy's https
	plain       string            // host:port of Caddy's http
	front       map[string]string // host:port of what browsers reach instead, by host name
	admin       string            // host:port of Caddy's admin API
	caddyfile   string            // path
	certificate certificate
	client      *http.Client // finds the sites and follows no redirects
	caddy       *process
}

var applicationsOf = regexp.MustCompile(`(?m)^\s*applications (https://\S+)`)

// deploy starts Caddy with a Caddyfile of the documentation. Edits are for addresses and file names, in pairs.
func deploy(t *testing.T, caddyfile example, edits ...string) *deployment {
	t.Helper()
	d := prepare(t, caddyfile, edits...)
	d.run()
	return d
}

// prepare writes the Caddyfile.
func prepare(t *testing.T, caddyfile example, edits ...string) *deployment {
	t.Helper()
	folder := t.TempDir()
	inbox := "localhost:" + freePort(t)
	d := &deployment{
		t: t, portal: "https://auth.example.com", inbox: "http://" + inbox,
		web: "127.0.0.1:" + freePort(t), plain: "127.0.0.1:" + freePort(t), admin: "localhost:" + freePort(t), front: map[string]string{},
		caddyfile: filepath.Join(folder, "Caddyfile"), certificate: certify(t, folder),
	}
	text := example(caddyfile.edit(t, edits...)).edit(t, "localhost:8025", inbox)
	origin := applicationsOf.FindStringSubmatch(text)
	if origin == nil {
		t.Fatal("the Caddyfile lists no application")
	}
	d.app = origin[1]
	if err := os.WriteFile(d.caddyfile, []byte(d.local(text)), 0o600); err != nil {
		t.Fatal(err)
	}
	d.client = &http.Client{
		Timeout:       60 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: d.certificate.roots, MinVersion: tls.VersionTLS12},
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				host, _, err := net.SplitHostPort(address)
				if err != nil {
					return nil, err
				}
				return new(net.Dialer).DialContext(ctx, network, d.reached(host))
			},
			DisableKeepAlives: true,
		},
	}
	return d
}

// run starts Caddy and waits for the portal.
func (d *deployment) run() {
	d.t.Helper()
	d.caddy = start(d.t, d.program("run", "--config", d.caddyfile, "--adapter", "caddyfile"))
	answers(d.t, d.client, d.portal+"/auth/sign-in", d.caddy)
}

// reached is where browsers reach a host.
func (d *deployment) reached(host string) string {
	if front := d.front[host]; front != "" {
		return front
	}
	return d.web
}

var siteLine = regexp.MustCompile(`(?m)^((?:https://)?[a-z0-9*-]+\.example\.com) \{$`)

// local adds what lets a Caddyfile for public hosts run on this machine: ports, a certificate for its sites, this machine's addresses only.
func (d *deployment) local(caddyfile string) string {
	_, web, _ := strings.Cut(d.web, ":")
	_, plain, _ := strings.Cut(d.plain, ":")
	options := fmt.Sprintf("{\n\tadmin %s\n\tdefault_bind 127.0.0.1\n\thttp_port %s\n\thttps_port %s\n\tauto_https disable_redirects\n\tgrace_period 5s\n",
		d.admin, plain, web)
	caddyfile = strings.Replace(caddyfile, "{\n", options, 1)
	return siteLine.ReplaceAllString(caddyfile, "$1 {\n\ttls "+d.certificate.file+" "+d.certificate.key)
}

// program is a command of the built Caddy that sees nothing of this machine's own one.
func (d *deployment) program(args ...string) *exec.Cmd {
	d.t.Helper()
	path, err := filepath.Abs("../bin/caddy")
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		d.t.Fatal("bin/caddy is not built: run `make test-zoo`, or `make build` first")
	}
	command := exec.Command(path, args...)
	home := filepath.Dir(d.caddyfile)
	command.Env = append(os.Environ(), "HOME="+home, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home)
	return command
}

// reload replaces the running configuration by the same one, read anew.
func (d *deployment) reload() {
	d.t.Helper()
	output(d.t, d.program("reload", "--force", "--config", d.caddyfile, "--adapter", "caddyfile", "--address", d.admin))
}

// request is one without a browser. Headers come in pairs.
func (d *deployment) request(method, url string, body io.Reader, headers ...string) *http.Request {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), method, url, body)
	if err != nil {
		d.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// do sends a request and returns the whole answer.
func (d *deployment) do(r *http.Request) (*http.Response, string) {
	d.t.Helper()
	response, err := d.client.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		d.t.Fatalf("reading the answer to %s %s: %v", r.Method, r.URL, err)
	}
	return response, string(body)
}

// get asks without a browser. Headers come in pairs.
func (d *deployment) get(url string, headers ...string) (*http.Response, string) {
	d.t.Helper()
	return d.do(d.request(http.MethodGet, url, nil, headers...))
}

var linkPattern = regexp.MustCompile(`https?://\S+/auth/link\S*#\S+`)

// mails are the texts of those to an address, newest first.
func (d *deployment) mails(to string) []string {
	d.t.Helper()
	r := d.request(http.MethodGet, d.inbox+"/messages.json", nil)
	response, err := direct.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct{ Messages []struct{ To, Text string } }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		d.t.Fatalf("the inbox answers %s: %v", response.Status, err)
	}
	var texts []string
	for _, m := range answer.Messages {
		if m.To == to {
			texts = append(texts, m.Text)
		}
	}
	return texts
}

// link waits for the mail to an address that follows the first `known` ones, and returns the link in it.
func (d *deployment) link(to string, known int) string {
	d.t.Helper()
	var found string
	eventually(20*time.Second, func() bool {
		if mails := d.mails(to); len(mails) > known {
			found = linkPattern.FindString(mails[0])
		}
		return found != ""
	}, func() { d.t.Fatalf("no mail with a link came to %s: %q", to, d.mails(to)) })
	return found
}

// member makes a user with groups before the first sign-in.
func (d *deployment) member(email string, groups ...string) {
	d.t.Helper()
	for _, args := range [][]string{
		{"passwordless", "users", "add", email, "--address", d.admin},
		append([]string{"passwordless", "users", "groups", "--address", d.admin, email}, groups...),
	} {
		output(d.t, d.program(args...))
	}
}
