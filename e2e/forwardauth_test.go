package e2e

import (
	"encoding/json"
	"net/http"
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
		"	passwordless_portal\n}\n", "	passwordless_portal\n}\n\nhttp://front.localhost:HANDOFF {\n	passwordless_guard\n	respond 404\n}\n\nhttp://:ASK {\n	"+directive+"\n}\n",
	)...)
	d.app = f.origin
	return d, f
}

// block is the first example of a language in docs/forwardauth.md, with words of it replaced.
func block(t *testing.T, language string, words map[string]string) string {
	t.Helper()
	page, err := os.ReadFile("../docs/forwardauth.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindSubmatch(page)
	if found == nil {
		t.Fatalf("docs/forwardauth.md has no example in %s", language)
	}
	return fill(t, "the "+language+" example of docs/forwardauth.md", string(found[1]), words)
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
	d, f := deployBehind(t, "passwordless_forward_auth nginx {\n		trusted_proxies 127.0.0.1\n	}")
	nginx(t, d, f)
	storyBehind(t, d)
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
		'X-Forwarded-Uri': '/auth/handoff', 'X-Original-Method': 'OPTIONS',
	} }).then(r => r.text())`)
	if strings.Contains(page, "spoofed") || strings.Contains(strings.ToLower(page), "passwordless_session") || !strings.Contains(page, `<strong id="user">`+anna) {
		t.Errorf("the application got:\n%s", page)
	}
	for _, path := range []string{"/auth%2fhandoff", "/x%2f%2e%2e%2fadmin", "/x//y", "/x;y"} {
		if status := ask[int](b, "fetch('"+path+"').then(r => r.status)"); status < 400 {
			t.Errorf("%s gets %d", path, status)
		}
	}

	// Signing out ends it.
	d.signOut(b)
	b.open(d.app + "/")
	b.arriveBelow(d.portal + "/auth/sign-in")
}
