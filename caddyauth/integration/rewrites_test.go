package integration

import (
	"bufio"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// try_files, rewrite and the like come before the guard. It recognises its own addresses all the same, so a sign-in ends where it began.
func TestSignInBesideRewrites(t *testing.T) {
	files := t.TempDir()
	if err := os.WriteFile(filepath.Join(files, "index.html"), []byte("the one page"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ site, path, want string }{
		"a single-page application": {"root * " + files + "\npasswordless_guard\ntry_files {path} /index.html\nfile_server", "/reports", "the one page"},
		"a rewrite into a folder":   {"passwordless_guard\nrewrite * /app{uri}\nreverse_proxy APPLICATION", "/reports?a=b", `"/app/reports?a=b"`},
		"a stripped prefix":         {"passwordless_guard\nuri strip_prefix /wiki\nreverse_proxy APPLICATION", "/wiki/page", `"/page"`},
		"a replaced path":           {"passwordless_guard\nuri replace /auth /elsewhere\nreverse_proxy APPLICATION", "/page", `"/page"`},
		"a subpath": {"handle_path /wiki/* {\npasswordless_guard\nreverse_proxy APPLICATION\n}\npasswordless_guard /auth/*\nrespond \"home\"", "/wiki/page",
			`"/page"`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, "\nhttp://app.localhost:PORT {\n"+c.site+"\n}\n")
			v := visitor{s.nodes, s.browser(addresses[0], s.jar)}
			v.signInAt(s.app+c.path, "anna@example.com")
			if a := s.ask(http.MethodGet, s.app+c.path); a.status != http.StatusOK || !strings.Contains(a.body, c.want) {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
}

// Attack: an address of the guard that is rewritten into the application passes nothing on without a session.
func TestAttackOwnAddressRewrittenToAProtectedPath(t *testing.T) {
	s := newSite(t, "\nhttp://app.localhost:PORT {\npasswordless_guard\nuri replace /auth /admin\nreverse_proxy APPLICATION\n}\n")
	for _, path := range []string{"/auth/handoff", "/auth/sign-out", "/auth/send-again", "/auth/assets/x", "/auth/assets/../handoff", "/auth/x", "/auth/", "/auth/handoff/x", "/auth//handoff", "/auth/handoff;x"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodOptions} {
			if a := s.ask(method, s.app+path); a.reached != nil {
				t.Errorf("%s %s reached %s", method, path, a.reached.Target)
			}
		}
	}
}

// A client that waits for leave to send its body is refused at once.
func TestExpectedContinueIsRefusedAtOnce(t *testing.T) {
	s := newSite(t, "\nhttp://app.localhost:PORT {\npasswordless_guard\nreverse_proxy APPLICATION\n}\n")
	connection, err := net.Dial("tcp", net.JoinHostPort(addresses[0], s.port))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	if err := connection.SetDeadline(time.Now().Add(processTimeout)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(connection, "PUT /upload HTTP/1.1\r\nHost: app.localhost:%s\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n", s.port); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(connection).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "HTTP/1.1 401") {
		t.Errorf("%q, %v", line, err)
	}
}

// The portal's root leads to the sign-in, unless the site has something there.
func TestPortalRoot(t *testing.T) {
	s := newSite(t, "")
	if a := s.ask(http.MethodGet, s.portal+"/"); a.status != http.StatusFound || a.location != "/auth/" {
		t.Errorf("%d %s", a.status, a.location)
	}
	if a := s.ask(http.MethodPost, s.portal+"/"); a.status != http.StatusOK || a.location != "" {
		t.Errorf("POST: %d %s", a.status, a.location)
	}
}

// A guard on a part of a site alone, and a redirect to that part, which catches the handoff: the circle ends in a page, and the log names
// the remedy.
func TestRedirectOverTheHandoffEndsInAPageThatSaysWhy(t *testing.T) {
	s := newSite(t, "\nhttp://app.localhost:PORT {\nhandle_path /wiki/* {\npasswordless_guard\nreverse_proxy APPLICATION\n}\nhandle {\nredir * /wiki/\n}\n}\n")
	v := visitor{s.nodes, s.browser(addresses[0], s.jar)}
	v.submit(v.open(s.app+"/wiki/page"), url.Values{"email": {"anna@example.com"}})
	mailed := v.link("anna@example.com")
	_, link, _ := strings.Cut(mailed, "#")
	at := v.submit(v.open(mailed), url.Values{"link": {link}})
	for range 20 {
		onward := onwardPattern.FindStringSubmatch(at.body)
		if onward == nil {
			break
		}
		at = v.open(html.UnescapeString(onward[1])) // redirected to /wiki/ and from there to the portal
	}
	if at.response.StatusCode != http.StatusForbidden || !strings.Contains(at.body, "This site cannot finish signing you in") {
		t.Errorf("the circle ends at %s with %s", at.at.Path, at.response.Status)
	}
}
