package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// front is a proxy that is not Caddy, before the application: it asks passwordless_forward_auth.
type front struct {
	origin       string // of the application, as browsers see it
	ask, handoff string // host:port of Caddy's two sites for the proxy
}

// deployBehind starts the example for an application behind another proxy. Edits change its Caddyfile.
func deployBehind(t *testing.T, directive string, edits ...string) (*deployment, front) {
	t.Helper()
	port := freePort(t)
	f := front{origin: "http://front.localhost:" + port, ask: "127.0.0.1:" + freePort(t), handoff: "127.0.0.1:" + freePort(t)}
	_, ask, _ := strings.Cut(f.ask, ":")
	_, handoff, _ := strings.Cut(f.handoff, ":")
	d := deployFilled(t, map[string]string{"FRONT": f.origin, "HANDOFF": handoff, "ASK": ask}, append(edits,
		"applications http://app.", "applications FRONT http://app.",
		"	passwordless_portal\n}\n", "	passwordless_portal\n}\n\nhttp://front.localhost:HANDOFF {\n	passwordless_guard\n	respond 404\n}\n\nhttp://:ASK {\n	"+directive+"\n	respond 403\n}\n",
	)...)
	d.app = f.origin
	return d, f
}

// block is the first example of a section of docs/forwardauth.md, with words of it replaced.
func block(t *testing.T, section string, words map[string]string) string {
	t.Helper()
	page, err := os.ReadFile("../docs/forwardauth.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)\n## " + section + "\n.*?```[a-z]+\n(.*?)```").FindSubmatch(page)
	if found == nil {
		t.Fatalf("docs/forwardauth.md has no example for %s", section)
	}
	return fill(t, "the example for "+section+" in docs/forwardauth.md", string(found[1]), words)
}

// caddyFront runs the example of the documentation: another Caddy before ours.
func caddyFront(t *testing.T, d *deployment, f front) {
	t.Helper()
	config := "{\n\tadmin off\n\tpersist_config off\n\tauto_https off\n}\n" + block(t, "Caddy", map[string]string{
		"https://app.example.com": f.origin, "10.0.0.9:9090": f.handoff, "10.0.0.9:9091": f.ask, "10.0.0.7:9000": d.legacy,
	})
	folder := t.TempDir()
	path, logPath := filepath.Join(folder, "Caddyfile"), filepath.Join(folder, "log")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(logPath)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	command := exec.Command("../bin/caddy", "run", "--config", path)
	command.Stdout, command.Stderr = log, log
	command.Env = append(os.Environ(), "XDG_DATA_HOME="+folder, "XDG_CONFIG_HOME="+folder)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		if t.Failed() {
			t.Logf("the Caddy in front says:\n%s", tail(logPath))
		}
	})
	waitForHTTP(t, f.origin+"/auth/sign-out", nil)
}

func TestCaddyInFront(t *testing.T) {
	t.Parallel()
	d, f := deployBehind(t, "passwordless_forward_auth traefik {\n		trusted_proxies 127.0.0.1\n	}")
	caddyFront(t, d, f)
	storyBehind(t, d)
	foreignQuestions(t, d)
}

// Attack: as with nginx, somebody else agrees.
func TestAttackCaddyInFrontAsksSomebodyElse(t *testing.T) {
	t.Parallel()
	d, f := deployBehind(t, "passwordless_forward_auth traefik {\n		trusted_proxies 127.0.0.1\n	}")
	f.ask = agreeing(t)
	caddyFront(t, d, f)
	agreedByNobody(t, d)
}

// nginx runs the example of the documentation.
func nginx(t *testing.T, d *deployment, f front) {
	t.Helper()
	program := "/usr/sbin/nginx"
	if _, err := os.Stat(program); err != nil {
		t.Fatal("nginx is not installed: run `make test-tools`")
	}
	folder := t.TempDir()
	server := block(t, "nginx", map[string]string{
		"listen 443 ssl;": "listen " + strings.TrimPrefix(f.origin, "http://front.localhost:") + ";",
		"app.example.com": "front.localhost",
		"10.0.0.9:9090":   f.handoff, "10.0.0.9:9091": f.ask, "10.0.0.7:9000": d.legacy,
	})
	config := "daemon off;\npid nginx.pid;\nerror_log error.log;\nworker_processes 1;\nevents {}\nhttp {\naccess_log off;\n"
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		config += name + "_temp_path " + folder + "/" + name + ";\n"
	}
	path := filepath.Join(folder, "nginx.conf")
	if err := os.WriteFile(path, []byte(config+server+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, "-p", folder, "-c", path)
	logPath := filepath.Join(folder, "error.log")
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) // a file: workers would hold a pipe open
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM) // the master ends its workers, which a killed one could not
		_ = command.Wait()
		if t.Failed() {
			t.Logf("nginx says:\n%s", tail(logPath))
		}
	})
	waitForHTTP(t, f.origin+"/auth/sign-out", nil)
}

func TestNginx(t *testing.T) {
	t.Parallel()
	d, f := deployBehind(t, "passwordless_forward_auth nginx {\n		trusted_proxies 127.0.0.1\n	}")
	nginx(t, d, f)
	storyBehind(t, d)
	foreignQuestions(t, d)
}

// Attack: without a session, a client asks the proxy with hosts and paths that no route of Caddy's knows, hoping for its empty 200.
func foreignQuestions(t *testing.T, d *deployment) {
	t.Helper()
	for _, host := range []string{"evil.example", "127.0.0.1", "localhost", "FRONT.localhost", "front.localhost.", "app.localhost", strings.TrimPrefix(d.portal, "http://"), "front.localhost:1"} {
		for _, path := range []string{"/", "/admin/secret", "/.passwordless", "/fresh", "/auth", "/x?y=/auth/handoff", "/health"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.app+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = host
			r.Header.Set("Accept", "text/html")
			response, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			if closed := response.Body.Close(); err != nil || closed != nil {
				t.Fatal(err, closed)
			}
			if response.StatusCode < 300 && len(body) > 0 { // a Caddy in front says an empty 200 itself to hosts that it does not know
				t.Errorf("%s%s: %s %.200s", host, path, response.Status, body)
			}
		}
	}
}

// Attack: the site that nginx asks is not the one with passwordless_forward_auth, so that Caddy agrees to everything. nginx misses the marker.
func TestAttackNginxAsksSomebodyElse(t *testing.T) {
	t.Parallel()
	d, f := deployBehind(t, "passwordless_forward_auth nginx {\n		trusted_proxies 127.0.0.1\n	}")
	f.ask = agreeing(t)
	nginx(t, d, f)
	agreedByNobody(t, d)
}

// agreeing answers every question with a 200, and some with almost the right marker.
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

func agreedByNobody(t *testing.T, d *deployment) {
	t.Helper()
	for _, path := range []string{"/", "/admin", "/almost", "/x?y=z"} {
		if response, body := get(t, d.app+path); response.StatusCode != http.StatusForbidden || strings.Contains(body, "anybody") {
			t.Errorf("%s: %s %.200s", path, response.Status, body)
		}
	}
}

// storyBehind is what a person and an attacker do before an application behind any proxy.
func storyBehind(t *testing.T, d *deployment) {
	t.Helper()
	// Without a session: scripts get 401, and nothing that they claim counts.
	response, body := get(t, d.app+"/api/time", "Accept", "application/json", "X-Passwordless-User", "spoofed")
	var answer struct{ Error string }
	if err := json.Unmarshal([]byte(body), &answer); response.StatusCode != http.StatusUnauthorized || err != nil || answer.Error != "unauthenticated" {
		t.Errorf("a script gets %s %q", response.Status, body)
	}

	// A person signs in and comes back to the very page.
	b := browse(t)
	target := d.app + "/reports?year=2026&q=a%20b#q3"
	b.open(target)
	d.signInByLink(b, anna, target)
	b.greets(anna, "/reports?year=2026&q=a%20b", "#q3")

	// Spoofed identities do not reach the application, nor do our cookies; and what a client says of the method and the path that
	// are asked about changes nothing.
	page := ask[string](b, `fetch('/', { headers: {
		'Accept': 'text/html', 'X-Passwordless-User': 'spoofed-user', 'x-passwordless-email': 'spoofed@example.com',
		'X-Passwordless-Groups': 'spoofed-admins', 'X-Original-URL': '/spoofed', 'X-Rewrite-URL': '/spoofed',
		'X_Passwordless_Email': 'spoofed-underscore', 'X.Passwordless.User': 'spoofed-dot',
		'X-Original-Method': 'OPTIONS',
	} }).then(r => r.text())`)
	if strings.Contains(page, "spoofed") || strings.Contains(strings.ToLower(page), "passwordless_session") || !strings.Contains(page, `<strong id="user">`+anna) {
		t.Errorf("the application got:\n%s", page)
	}
	for _, path := range []string{"/auth%2fhandoff", "/x%2f%2e%2e%2fadmin", "/x//y", "/x;y"} {
		if status := ask[int](b, "fetch('"+path+"').then(r => r.status)"); status < 400 {
			t.Errorf("%s gets %d", path, status)
		}
	}

	if reached := ask[string](b, `fetch('/', { headers: { 'X-Forwarded-Uri': '/spoofed', 'X-Forwarded-Prefix': '/spoofed' } }).then(r => r.text())`); strings.Contains(reached, "spoofed") {
		t.Errorf("the application is told another path: %s", reached)
	}

	// Large requests get answers that the proxy takes, and the application's own addresses below /auth/ are its own.
	status := ask[string](b, `(async () => {
		for (let i = 0; i < 2; i++) document.cookie = 'large' + i + '=' + 'z'.repeat(3000) + '; path=/';
		const cookies = (await fetch('/')).status, link = (await fetch('/reports?x=' + 'y'.repeat(1500))).status;
		for (let i = 0; i < 2; i++) document.cookie = 'large' + i + '=; path=/; max-age=0';
		const token = await fetch('/auth/token', { method: 'POST' });
		return [cookies, link, token.headers.get('Content-Type')?.includes('json') ? token.status : 'the application'].join(' ');
	})()`)
	if status != "200 200 the application" {
		t.Errorf("large cookies, a long link and POST /auth/token: %s", status)
	}

	// Signing out ends it.
	d.signOut(b)
	b.open(d.app + "/")
	b.arriveBelow(d.portal + "/auth/sign-in")
}
