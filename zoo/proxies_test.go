package zoo

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// legacy starts the example's application, which shows what reaches it, and returns its host:port.
func legacy(t *testing.T) string {
	t.Helper()
	address := "127.0.0.1:" + freePort(t)
	server := start(t, exec.Command("../bin/legacy", "-listen", address, "-host", "app.example.com"))
	answers(t, direct, "http://"+address+"/api/time", server)
	return address
}

var anotherPath = []string{"X-Forwarded-Uri", "X-Forwarded-Prefix", "X-Original-Url", "X-Rewrite-Url"}

// asked is Caddy as docs/forwardauth.md has it, for a proxy that keeps the application.
type asked struct {
	*deployment
	ask, own    string // host:port of what the proxy asks, and of the guard's own addresses
	application string // host:port
	proxy       string // host:port
}

// askedBy prepares it for one kind of proxy; Caddy runs once the proxy's page is read.
func askedBy(t *testing.T, kind string) asked {
	t.Helper()
	ask, own := freePort(t), freePort(t)
	d := prepare(t, readRecipe(t, "../forwardauth").find("```caddyfile\n(.*?)```"),
		"10.0.0.5", "127.0.0.1", ":9091", ":"+ask, ":9090", ":"+own, "passwordless_forward_auth traefik", "passwordless_forward_auth "+kind,
		`user_pool cognito eu-west-1_Ab12Cd34E {
			client_id 1example23456789
			client_secret {env.COGNITO_CLIENT_SECRET}
		}
		credential_store dynamodb AuthenticatorsTable
`, `user_pool embedded {
			inbox localhost:8025
		}
		magic_link
		sign_up open
`)
	a := asked{d, "127.0.0.1:" + ask, "127.0.0.1:" + own, legacy(t), "127.0.0.1:" + freePort(t)}
	d.front["app.example.com"] = a.proxy
	d.run()
	return a
}

// edits are those that every proxy's configuration needs, in pairs.
func (a asked) edits(more ...string) []string {
	return append(more, "10.0.0.9:9090", a.own, "10.0.0.9:9091", a.ask, "10.0.0.7:9000", a.application)
}

// bundle is the certificate with its key in one file.
func (d *deployment) bundle() string {
	d.t.Helper()
	path := filepath.Join(d.t.TempDir(), "bundle.pem")
	for _, part := range []string{d.certificate.file, d.certificate.key} {
		text, err := os.ReadFile(part)
		if err != nil {
			d.t.Fatal(err)
		}
		appendTo(d.t, path, string(text))
	}
	return path
}

func nginxAsks(t *testing.T) {
	a, example := askedBy(t, "nginx"), readRecipe(t, "../forwardauth").section("nginx")
	ends := "listen " + a.proxy + " ssl; ssl_certificate " + a.certificate.file + "; ssl_certificate_key " + a.certificate.key + ";"
	server := nginx(t, a.deployment, example.edit(t, a.edits("listen 443 ssl;", ends)...))
	a.story(anotherPath...)
	server.stop(t)
	a.ask = agreeing(t)
	nginx(t, a.deployment, example.edit(t, a.edits("listen 443 ssl;", ends)...))
	a.agreedByNobody()
}

// nginx runs Debian's nginx with these servers.
func nginx(t *testing.T, d *deployment, servers string) *process {
	t.Helper()
	debian(t, "nginx-light")
	folder := t.TempDir()
	config := "daemon off;\nuser root;\npid nginx.pid;\nerror_log stderr;\nworker_processes 1;\nevents {}\nhttp {\naccess_log off;\n"
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		config += name + "_temp_path " + folder + "/" + name + ";\n"
	}
	path := filepath.Join(folder, "nginx.conf")
	write(t, path, config+servers+"}\n")
	server := start(t, exec.Command("/usr/sbin/nginx", "-p", folder, "-c", path))
	answers(t, d.client, "https://app.example.com/auth/sign-out", server)
	return server
}

func haproxyAsks(t *testing.T) {
	debian(t, "haproxy")
	a, r := askedBy(t, "traefik"), readRecipe(t, "haproxy")
	haproxy := func(ask string) *process {
		folder := t.TempDir()
		script, config := filepath.Join(folder, "passwordless.lua"), filepath.Join(folder, "haproxy.cfg")
		write(t, script, r.file("/etc/haproxy/passwordless.lua").edit(t, "10.0.0.9:9091", ask))
		write(t, config, r.file("/etc/haproxy/haproxy.cfg").edit(t, "10.0.0.9:9090", a.own, "10.0.0.7:9000", a.application,
			"/etc/haproxy/passwordless.lua", script, "bind :443", "bind "+a.proxy, "/etc/haproxy/example.com.pem", a.bundle()))
		server := start(t, exec.Command("haproxy", "-db", "-f", config))
		answers(t, a.client, "https://app.example.com/auth/sign-out", server)
		return server
	}
	server := haproxy(a.ask)
	a.story(anotherPath...)
	server.stop(t)
	haproxy(agreeing(t))
	a.agreedByNobody()
}

func caddyAsks(t *testing.T) {
	a := askedBy(t, "traefik")
	noteVersion(t, "Caddy "+caddyVersion(t))
	folder := t.TempDir()
	path := filepath.Join(folder, "Caddyfile")
	_, port, _ := strings.Cut(a.proxy, ":")
	write(t, path, "{\n\tadmin off\n\tpersist_config off\n\tauto_https disable_redirects\n\tdefault_bind 127.0.0.1\n\thttps_port "+port+"\n}\n"+
		readRecipe(t, "../forwardauth").section("Caddy").edit(t, a.edits("https://app.example.com {", "https://app.example.com {\n\ttls "+a.certificate.file+" "+a.certificate.key)...))
	answers(t, a.client, "https://app.example.com/auth/sign-out", start(t, a.program("run", "--config", path, "--adapter", "caddyfile")))
	a.story(anotherPath...)
}

func traefikAsks(t *testing.T) {
	a := askedBy(t, "traefik")
	program, err := filepath.Abs("../bin/traefik")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		t.Log("building Traefik, which takes minutes")
		build := exec.Command("go", "run", "./traefik")
		build.Dir = "../e2e"
		output(t, build)
	}
	version := strings.Fields(strings.SplitN(output(t, exec.Command(program, "version")), "\n", 2)[0])
	noteVersion(t, "Traefik "+version[len(version)-1])
	folder := t.TempDir()
	write(t, filepath.Join(folder, "example.yaml"), readRecipe(t, "../forwardauth").section("Traefik").edit(t, a.edits()...))
	write(t, filepath.Join(folder, "tls.yaml"), fmt.Sprintf("tls:\n  certificates:\n    - certFile: %s\n      keyFile: %s\n", a.certificate.file, a.certificate.key))
	server := start(t, exec.Command(program, "--entryPoints.websecure.address="+a.proxy,
		"--providers.file.directory="+folder, "--providers.file.watch=false", "--global.checkNewVersion=false", "--global.sendAnonymousUsage=false"))
	answers(t, a.client, "https://app.example.com/", server)
	eventually(startTimeout, func() bool { // until it has read its configuration, it answers 404
		response, _ := a.get("https://app.example.com/", "Accept", "application/json")
		return response.StatusCode == http.StatusUnauthorized
	}, func() { t.Fatal("Traefik does not ask") })
	a.story(anotherPath...)
}

// story is what a person and an attacker do before an application behind another proxy.
// Headers in path are those by which an application may read another path than the one asked about.
func (d *deployment) story(path ...string) {
	d.t.Helper()
	if response, body := d.get(d.app+"/api/time", "Accept", "application/json", "X-Passwordless-User", "spoofed"); response.StatusCode != http.StatusUnauthorized || !strings.Contains(body, `"unauthenticated"`) {
		d.t.Errorf("a script without a session gets %s %.200s", response.Status, body)
	}
	b := d.browse()
	target := d.app + "/reports?year=2026&q=a%20b#q3"
	d.signIn(b, target)
	b.until("document.querySelector('#user')?.textContent === 'anna@example.com'")
	if got, at := ask[string](b, "document.querySelector('#path').textContent"), b.location(); got != "/reports?year=2026&q=a%20b" || at != target {
		d.t.Errorf("the application was asked for %q at %s", got, at)
	}

	// What a client says of itself does not reach the application, and neither does our cookie.
	page := ask[string](b, `fetch('/', {headers: {
		'Accept': 'text/html', 'X-Passwordless-User': 'spoofed-user', 'x-passwordless-email': 'spoofed@example.com',
		'X-Passwordless-Groups': 'spoofed-admins', 'X_Passwordless_Email': 'spoofed-underscore', 'X.Passwordless.User': 'spoofed-dot',
	}}).then(r => r.text())`)
	if strings.Contains(page, "spoofed") || strings.Contains(strings.ToLower(page), "passwordless_session") || !strings.Contains(page, `<strong id="user">`+anna) {
		d.t.Errorf("the application got:\n%.6000s", page)
	}
	cookies := b.cookies(d.app)
	for _, name := range path {
		if _, page := d.get(d.app+"/", "Cookie", cookies, name, "/spoofed", "Accept", "text/html"); strings.Contains(page, "spoofed") {
			d.t.Errorf("with %s the application got: %.500s", name, page)
		}
	}
	if response, _ := d.get(d.app+"/auth%2fhandoff", "Cookie", cookies); response.StatusCode < 300 {
		d.t.Errorf("another spelling of the guard's own address gets %s", response.Status)
	}

	// Large headers and a large body.
	large := ask[string](b, `(async () => {
		for (let i = 0; i < 2; i++) document.cookie = 'large' + i + '=' + 'z'.repeat(3000) + '; path=/';
		const cookies = (await fetch('/')).status, link = (await fetch('/reports?x=' + 'y'.repeat(3000))).status;
		for (let i = 0; i < 2; i++) document.cookie = 'large' + i + '=; path=/; max-age=0';
		const form = await fetch('/orders', {method: 'POST', body: new URLSearchParams({item: 'lion', note: 'r'.repeat(200000)})});
		return [cookies, link, form.status, (await form.text()).includes('r'.repeat(200000))].join(' ');
	})()`)
	if large != "200 200 200 true" {
		d.t.Errorf("large cookies, a long link, a large form: %s", large)
	}
	d.signOut(b, d.app+"/reports")
}

// agreeing answers every question with a 200, as a Caddy does that has no route for it.
func agreeing(t *testing.T) (address string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Passwordless-User", "anybody")
		if strings.Contains(r.Header.Get("X-Original-Url")+r.Header.Get("X-Forwarded-Uri"), "almost") {
			w.Header().Set("X-Passwordless-Answer", "allowed")
		}
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// agreedByNobody sees a proxy refuse the consent of somebody who is not the guard.
func (d *deployment) agreedByNobody() {
	d.t.Helper()
	for _, path := range []string{"/", "/admin", "/almost"} {
		if response, body := d.get(d.app + path); response.StatusCode < 300 || strings.Contains(body, "anybody") {
			d.t.Errorf("%s: %s %.200s", path, response.Status, body)
		}
	}
}

// endsTLS is Caddy behind a proxy that has the certificate, as docs/guides/behind-another-proxy.md has it.
func endsTLS(t *testing.T) (d *deployment, proxy string) {
	t.Helper()
	proxy = "127.0.0.1:" + freePort(t)
	d = prepare(t, readRecipe(t, "../guides/behind-another-proxy").caddyfile(), "localhost:9000", legacy(t))
	d.front["app.example.com"], d.front["auth.example.com"] = proxy, proxy
	return d, proxy
}

func nginxEndsTLS(t *testing.T) {
	d, proxy := endsTLS(t)
	d.caddy = start(t, d.program("run", "--config", d.caddyfile, "--adapter", "caddyfile"))
	nginx(t, d, readRecipe(t, "../guides/behind-another-proxy").section("nginx").edit(t,
		"listen 443 ssl;", "listen "+proxy+" ssl;", "127.0.0.1:80;", d.plain+";", "/etc/ssl/example.com.pem", d.certificate.file, "/etc/ssl/example.com.key", d.certificate.key))
	answers(t, d.client, d.portal+"/auth/sign-in", d.caddy)
	d.story()
}

func apacheEndsTLS(t *testing.T) {
	debian(t, "apache2")
	d, proxy := endsTLS(t)
	d.caddy = start(t, d.program("run", "--config", d.caddyfile, "--adapter", "caddyfile"))
	folder := t.TempDir()
	var config strings.Builder
	fmt.Fprintf(&config, "ServerRoot %q\nPidFile pid\nDefaultRuntimeDir %q\nErrorLog /dev/stderr\nServerName localhost\nListen %s\n", folder, folder, proxy)
	for _, name := range []string{"mpm_event", "authz_core", "ssl", "socache_shmcb", "headers", "proxy", "proxy_http", "proxy_wstunnel"} {
		fmt.Fprintf(&config, "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n", name, name)
	}
	config.WriteString(readRecipe(t, "../guides/behind-another-proxy").section("Apache").edit(t,
		"*:443", proxy, "127.0.0.1:80/", d.plain+"/", "/etc/ssl/example.com.pem", d.certificate.file, "/etc/ssl/example.com.key", d.certificate.key))
	path := filepath.Join(folder, "apache.conf")
	write(t, path, config.String())
	server := start(t, exec.Command("/usr/sbin/apache2", "-D", "FOREGROUND", "-f", path))
	answers(t, d.client, d.portal+"/auth/sign-in", server)
	d.story()
}
