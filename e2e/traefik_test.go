//go:build traefik

package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/websocket"
)

const asksTraefik = "passwordless_forward_auth traefik {\n\t\ttrusted_proxies 127.0.0.1\n\t}"

// traefik runs the example of the documentation, beside the dynamic configuration in more.
func traefik(t *testing.T, d *deployment, f front, more string) {
	t.Helper()
	program := "../bin/traefik"
	if _, err := os.Stat(program); err != nil {
		t.Fatal("Traefik is not built: run `go run ./traefik` in e2e")
	}
	folder := t.TempDir()
	example := block(t, "Traefik", map[string]string{
		"      tls: {}\n": "", // the story's origins are http
		"app.example.com": "front.localhost", "__Host-passwordless_session": "passwordless_session",
		"10.0.0.9:9090": f.handoff, "10.0.0.9:9091": f.ask, "10.0.0.7:9000": d.legacy,
	})
	for name, text := range map[string]string{"example.yaml": example, "more.yaml": more} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	logPath := filepath.Join(t.TempDir(), "traefik.log")
	log, err := os.Create(logPath)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	command := exec.Command(program, "--entryPoints.websecure.address=127.0.0.1"+strings.TrimPrefix(f.origin, "http://front.localhost"),
		"--providers.file.directory="+folder, "--providers.file.watch=false", "--global.checkNewVersion=false", "--global.sendAnonymousUsage=false")
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		if t.Failed() {
			t.Logf("Traefik says:\n%s", tail(logPath))
		}
	})
	// Until it has read its configuration, it answers 404.
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	eventually(ctx, func() bool {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.origin+"/api/time", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(r)
		if err != nil {
			return false
		}
		return response.Body.Close() == nil && response.StatusCode == http.StatusUnauthorized
	}, func() { t.Fatalf("Traefik does not ask about %s", f.origin) })
}

// beyond is a second upstream behind the same middleware, for what the application does not do.
type beyond struct {
	config  string       // routes of it
	reached atomic.Int64 // requests that came
	release chan struct{}
}

func newBeyond(t *testing.T) *beyond {
	u := &beyond{release: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("/beyond/headers", func(w http.ResponseWriter, r *http.Request) { _ = json.NewEncoder(w).Encode(r.Header) })
	mux.HandleFunc("/beyond/download", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "first")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-u.release:
			_, _ = io.WriteString(w, " last")
		case <-r.Context().Done():
		}
	})
	mux.Handle("/socket", websocket.Handler(func(socket *websocket.Conn) { _, _ = io.Copy(socket, socket) }))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.reached.Add(1)
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	u.config = `http:
  routers:
    beyond:
      rule: Host(` + "`front.localhost`) && (PathPrefix(`/beyond/`) || Path(`/socket`)" + `)
      entryPoints: [websecure]
      middlewares: [passwordless]
      service: beyond
  services:
    beyond:
      loadBalancer:
        servers:
          - url: ` + server.URL + "\n"
	return u
}

// signedIn is a browser with anna's session at the application.
func (d *deployment) signedIn(t *testing.T) *tab {
	t.Helper()
	b := browse(t)
	b.withoutAutofill()
	b.open(d.app + "/")
	d.signInByLink(b, anna, d.app+"/")
	return b
}

func TestTraefik(t *testing.T) {
	t.Parallel()
	d, f := deployBehind(t, asksTraefik)
	traefik(t, d, f, "")
	storyBehind(t, d)
	foreignQuestions(t, d)
}

// Attack: nobody is signed in, and a client has Traefik ask about another request than the one that it would pass on.
func TestTraefikAsksAboutTheRequestItself(t *testing.T) {
	t.Parallel()
	d, f := deployBehind(t, edit(t, "the directive", asksTraefik, "127.0.0.1\n", "127.0.0.1\n\t\tbypass /health\n"))
	u := newBeyond(t)
	traefik(t, d, f, u.config)
	if response, _ := get(t, d.app+"/health"); response.StatusCode != http.StatusNotFound {
		t.Errorf("the application says %s to what needs no session", response.Status)
	}
	for name, headers := range map[string][]string{
		"nothing":             nil,
		"path":                {"X-Forwarded-Uri", "/health"},
		"path twice":          {"X-Forwarded-Uri", "/health", "X-Forwarded-Uri", "/health"},
		"path in small":       {"x-forwarded-uri", "/health"},
		"path taken off":      {"X-Forwarded-Uri", "/health", "Connection", "X-Forwarded-Uri"},
		"headers taken off":   {"Connection", "x-forwarded-uri, x-forwarded-host, x-forwarded-method, x-forwarded-proto"},
		"cookies taken off":   {"Connection", "Cookie, X-Passwordless-User", "X-Passwordless-User", "spoofed"},
		"another host":        {"X-Forwarded-Host", "localhost", "X-Forwarded-Uri", "/health"},
		"another method":      {"X-Forwarded-Method", "OPTIONS"},
		"another scheme":      {"X-Forwarded-Proto", "https"},
		"Envoy's and nginx's": {"X-Original-Url", "/health", "X-Rewrite-Url", "/health", "X-Original-Method", "OPTIONS"},
		"an address within":   {"X-Forwarded-For", "127.0.0.1", "X-Real-Ip", "127.0.0.1", "Forwarded", "for=127.0.0.1"},
		"an identity":         {"X-Passwordless-User", "spoofed", "X-Passwordless-Email", anna},
	} {
		t.Run(name, func(t *testing.T) {
			response, body := get(t, d.app+"/beyond/headers", append(headers, "Accept", "application/json")...)
			var answer struct{ Error string }
			if err := json.Unmarshal([]byte(body), &answer); response.StatusCode != http.StatusUnauthorized || err != nil || answer.Error != "unauthenticated" {
				t.Errorf("a script gets %s %q", response.Status, body)
			}
		})
	}
	if n := u.reached.Load(); n != 0 {
		t.Errorf("%d requests reached the upstream", n)
	}
}

// Attack: who is signed in claims to be somebody else, to come from elsewhere, and to have asked for something else; or has the identity taken off.
func TestTraefikReplacesWhatTheClientSays(t *testing.T) {
	t.Parallel()
	d, f := deployBehind(t, asksTraefik)
	u := newBeyond(t)
	traefik(t, d, f, u.config)
	cookie := d.signedIn(t).cookiesOf("front.localhost")
	response, body := get(t, d.app+"/beyond/headers", "Cookie", "theirs=1; "+cookie,
		"X-Passwordless-User", "spoofed-user", "X-Passwordless-Email", "spoofed@example.com", "X-Passwordless-Groups", "spoofed-admins",
		"X-Original-Url", "/spoofed", "X-Rewrite-Url", "/spoofed",
		"X-Forwarded-For", "192.0.2.66", "X-Real-Ip", "192.0.2.66", "X-Forwarded-Host", "spoofed.example.com", "X-Forwarded-Proto", "spoofed",
		"X-Forwarded-Uri", "/spoofed", "X-Forwarded-Method", "SPOOFED", "X-Forwarded-Prefix", "/spoofed", "X-Forwarded-Port", "66", "X-Forwarded-Server", "spoofed",
		"Connection", "X-Passwordless-User, x-passwordless-email, X-Passwordless-Groups, x-forwarded-host",
	)
	var got http.Header
	if err := json.Unmarshal([]byte(body), &got); response.StatusCode != http.StatusOK || err != nil {
		t.Fatalf("the upstream's answer is %s %q", response.Status, body)
	}
	for _, claimed := range []string{"spoofed", "SPOOFED", "192.0.2.66", `"66"`, "passwordless_session"} {
		if strings.Contains(body, claimed) {
			t.Errorf("%q came to the upstream: %s", claimed, body)
		}
	}
	for name, want := range map[string]string{
		"X-Passwordless-Email": anna, "X-Passwordless-Groups": "", "Cookie": "theirs=1", "X-Forwarded-For": "127.0.0.1",
	} {
		if values := got.Values(name); strings.Join(values, "|") != want {
			t.Errorf("%s is %q, want %q", name, values, want)
		}
	}
	if got.Get("X-Passwordless-User") == "" {
		t.Error("the upstream does not learn who it is")
	}

	// Names that an upstream may fold into ours. Caddy drops these from the question before anybody sees them, so Traefik has to drop them itself.
	for _, name := range []string{
		"X_Passwordless_User", "X_Passwordless-Email", "X-Passwordless_Groups", "X.Passwordless.User", "X_Passwordless.User", "X_Original_URL", "X.Rewrite.Url",
		"X_HTTP_Method_Override",
	} {
		response, body := get(t, d.app+"/beyond/headers", "Cookie", cookie, name, "spoofed", name, "spoofed")
		if response.StatusCode != http.StatusOK || strings.Contains(body, "spoofed") {
			t.Errorf("with %s: %s %s", name, response.Status, body)
		}
	}
	// Those that Caddy does see are refused.
	reached := u.reached.Load()
	for _, name := range []string{"X-Passwordless-Other", "XPasswordlessUser", "X-Passwordless~User"} {
		if response, _ := get(t, d.app+"/beyond/headers", "Cookie", cookie, name, "spoofed"); response.StatusCode != http.StatusForbidden {
			t.Errorf("with %s: %s", name, response.Status)
		}
	}
	if u.reached.Load() != reached {
		t.Error("a look-alike reached the upstream")
	}
}

// The session's cookie is sent again when that is due, beside the application's answer.
func TestTraefikPassesTheCookieOn(t *testing.T) {
	t.Parallel()
	d, f := deployBehind(t, asksTraefik, "idle_timeout 8h", "idle_timeout 2m") // due every 12 seconds
	traefik(t, d, f, "")
	b := d.signedIn(t)
	before := b.cookiesOf("front.localhost")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	eventually(ctx, func() bool {
		if status := ask[int](b, "fetch('/api/time').then((response) => response.status)"); status != http.StatusOK {
			t.Fatalf("a script gets %d", status)
		}
		return b.cookiesOf("front.localhost") != before
	}, func() { t.Fatal("the cookie stays as it was") })
	b.open(d.app + "/reports")
	b.greets(anna, "/reports", "")
}

// What the documentation says of WebSockets and downloads: they need a session to begin, and run through the proxy alone then.
func TestTraefikStreams(t *testing.T) {
	t.Parallel()
	d, f := deployBehind(t, asksTraefik)
	u := newBeyond(t)
	traefik(t, d, f, u.config)
	response, _ := get(t, d.app+"/socket", "Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13",
		"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==", "Origin", d.app)
	if response.StatusCode != http.StatusUnauthorized || u.reached.Load() != 0 {
		t.Errorf("without a session a WebSocket gets %s", response.Status)
	}

	b := d.signedIn(t)
	b.connect()
	ask[bool](b, `(async () => {
		window.received = '';
		const response = await fetch('/beyond/download');
		const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
		(async () => { for (let part; !(part = await reader.read()).done;) window.received += part.value; })();
		return true;
	})()`)
	b.until("received === 'first'")
	d.signOut(b.beside())
	b.talks("still here")
	close(u.release)
	b.until("received === 'first last'")

	// Neither begins anew.
	ask[bool](b, "(window.another = new WebSocket('ws://' + location.host + '/socket'), true)")
	b.until("another.readyState === WebSocket.CLOSED")
	if status := ask[int](b, "fetch('/beyond/download').then((response) => response.status)"); status != http.StatusUnauthorized {
		t.Errorf("signed out, a download gets %d", status)
	}
}

// One part of the application needs a fresh passkey: a router with a middleware of its own, which asks another path.
func TestTraefikStepUp(t *testing.T) {
	t.Parallel()
	d, f := deployBehind(t, "passwordless_forward_auth /fresh traefik {\n\t\ttrusted_proxies 127.0.0.1\n\t\tstep_up 5m passkey\n\t}\n\t"+asksTraefik)
	traefik(t, d, f, `http:
  routers:
    admin:
      rule: Host(`+"`front.localhost`) && PathPrefix(`/admin`"+`)
      entryPoints: [websecure]
      middlewares: [fresh]
      service: app
  middlewares:
    fresh:
      forwardAuth:
        address: http://`+f.ask+`/fresh
        authResponseHeaders: [X-Passwordless-User, X-Passwordless-Email, X-Passwordless-Groups, Cookie, X-Original-Url, X-Rewrite-Url]
        authResponseHeadersRegex: "[_.]"
        addAuthCookiesToResponse: [passwordless_session]
`)
	b := browse(t)
	device := d.signInWithPasskey(b)
	b.open(d.app + "/reports")
	b.greets(anna, "/reports", "")
	refused := ask[string](b, `fetch('/admin').then(async (r) => r.status + ' ' + r.headers.get('WWW-Authenticate') + ' ' + (await r.json()).step_up_url)`)
	if !strings.HasPrefix(refused, "401 ") || !strings.Contains(refused, "insufficient_user_authentication") || !strings.Contains(refused, d.portal+"/auth/step-up?flow=") {
		t.Errorf("a script gets %s", refused)
	}

	target := d.app + "/admin?tab=2&q=a%20b#q3"
	b.open(target)
	b.arriveBelow(d.portal + "/auth/step-up")
	b.see("#passkey-button")
	device.verifies(false)
	b.click("#passkey-button")
	b.noticed()
	device.verifies(true)
	b.click("#passkey-button")
	b.arrive(target)
	b.greets(anna, "/admin?tab=2&q=a%20b", "#q3")
	if status := ask[int](b, "fetch('/admin').then((response) => response.status)"); status != http.StatusOK {
		t.Errorf("afterwards a script gets %d", status)
	}
}

// While nobody answers Traefik's questions, nothing passes, session or not; afterwards the session is as it was.
func TestTraefikPassesNothingUnasked(t *testing.T) {
	t.Parallel()
	d, f := deployBehind(t, asksTraefik)
	u := newBeyond(t)
	traefik(t, d, f, u.config)
	b := d.signedIn(t)
	cookie := b.cookiesOf("front.localhost")
	d.stop(t)
	for name, headers := range map[string][]string{
		"a session":  {"Cookie", cookie},
		"no session": {"X-Passwordless-User", "spoofed"},
	} {
		if response, body := get(t, d.app+"/beyond/headers", headers...); response.StatusCode < http.StatusInternalServerError {
			t.Errorf("with %s: %s %q", name, response.Status, body)
		}
	}
	if n := u.reached.Load(); n != 0 {
		t.Errorf("%d requests reached the upstream", n)
	}
	d.start(t)
	b.open(d.app + "/reports")
	b.greets(anna, "/reports", "")
}
