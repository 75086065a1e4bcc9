package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// A script gets an answer it can read, never a redirect to a page of another origin.
func TestScriptsGet401(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	for name, headers := range map[string][]string{
		"fetch":          {"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Sec-Fetch-Site", "same-origin", "Accept", "*/*"},
		"XMLHttpRequest": {"X-Requested-With", "XMLHttpRequest", "Accept", "text/html"},
		"JSON":           {"Accept", "application/json"},
		"WebSocket":      {"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==", "Origin", d.app},
	} {
		t.Run(name, func(t *testing.T) {
			response, body := get(t, d.app+"/api/time", headers...)
			if response.StatusCode != http.StatusUnauthorized || response.Header.Get("Www-Authenticate") == "" ||
				!strings.Contains(response.Header.Get("Cache-Control"), "no-store") {
				t.Errorf("%s, headers %v", response.Status, response.Header)
			}
			var answer struct{ Error string }
			if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Error != "unauthenticated" {
				t.Errorf("body %q: %v", body, err)
			}
		})
	}
	response, _ := get(t, d.app+"/", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Accept", "text/html")
	if location := response.Header.Get("Location"); response.StatusCode/100 != 3 || !strings.HasPrefix(location, d.portal+"/auth/sign-in?") {
		t.Errorf("a navigation gets %s to %q", response.Status, location)
	}
}

// The same in a real browser: the page was loaded while signed in, then the session ends elsewhere.
func TestSessionEndsUnderAPage(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	b := browse(t)
	b.open(d.app + "/")
	d.signInByLink(b, anna, d.app+"/")
	b.click("#ask-time")
	b.until("document.querySelector('#time').dataset.status === '200'")

	d.signOut(b.beside())
	b.click("#ask-time")
	b.until("document.querySelector('#time').dataset.status === '401'")
}

// Attack: a client claims to be somebody by the very headers that the application believes, in every spelling an upstream
// might fold into them.
func TestSpoofedIdentityHeaders(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	b := browse(t)
	b.open(d.app + "/")
	d.signInByLink(b, anna, d.app+"/")
	body := ask[string](b, `fetch('/', { headers: {
		'Accept': 'text/html', 'X-Passwordless-User': 'spoofed-user', 'x-passwordless-email': 'spoofed@example.com',
		'X-Passwordless-Groups': 'spoofed-admins', 'X_Passwordless_Email': 'spoofed-underscore', 'X.Passwordless.User': 'spoofed-dot',
	} }).then(r => r.text())`)
	if strings.Contains(body, "spoofed") {
		t.Errorf("a spoofed header reached the application:\n%s", body)
	}
	if !strings.Contains(body, `<strong id="user">`+anna) {
		t.Errorf("the application does not greet %s:\n%s", anna, body)
	}

	// Our cookies and tokens stay at the guard.
	if strings.Contains(strings.ToLower(body), "passwordless_session") || strings.Contains(body, "eyJ") {
		t.Errorf("a cookie or token reached the application:\n%s", body)
	}
	// Signed out, the headers open nothing.
	response, _ := get(t, d.app+"/", "X-Passwordless-User", "spoofed-user", "X-Passwordless-Email", anna, "Accept", "application/json")
	if response.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a session: %s", response.Status)
	}
}

// Scripts of an application never see the session.
func TestCookiesAreOutOfReach(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	b := browse(t)
	b.open(d.app + "/")
	d.signInByLink(b, anna, d.app+"/")
	if cookies := ask[string](b, "document.cookie"); cookies != "" {
		t.Errorf("the page reads %q", cookies)
	}
	if kept := ask[int](b, "localStorage.length + sessionStorage.length"); kept != 0 {
		t.Errorf("%d things are kept in the application's storage", kept)
	}
}
