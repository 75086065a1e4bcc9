package localpool

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

func getInbox(b *Inbox, host, path string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Host = host
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return w
}

func TestInboxPage(t *testing.T) {
	c := newClock()
	b := newInbox(c.now)
	empty := getInbox(b, "localhost:8025", "/").Body.String()
	if !strings.Contains(empty, "Nothing here yet") {
		t.Errorf("%s", empty)
	}
	mail := Mail{
		From: "no-reply@example.com", To: "alice@example.com", Subject: "Sign in",
		Text: "Open this:\n\nhttps://auth.example.com/auth/link?flow=x#a.b-c\n\nBye.", HTML: `<a href="https://auth.example.com/">Go</a>`,
	}
	if err := b.SendMail(t.Context(), mail); err != nil {
		t.Fatal(err)
	}
	if err := b.SendText(t.Context(), Text{To: "+4915112345678", Body: "123456 is your code."}); err != nil {
		t.Fatal(err)
	}
	w := getInbox(b, "localhost:8025", "/")
	page := w.Body.String()
	for _, want := range []string{
		`<a href="https://auth.example.com/auth/link?flow=x#a.b-c" rel="noopener noreferrer" target="_blank">`,
		`sandbox="allow-popups allow-popups-to-escape-sandbox"`, "alice@example.com", "123456 is your code.", "2026-03-01T12:00:00Z",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s:\n%s", want, page)
		}
	}
	if strings.Index(page, "123456") > strings.Index(page, "alice@") {
		t.Error("the newest message is not first")
	}
	if strings.Contains(page, "<script>") || w.Header().Get("Cache-Control") != "no-store" || !strings.Contains(w.Header().Get("Content-Security-Policy"), "script-src 'self';") {
		t.Errorf("headers %v", w.Header())
	}
	for _, asset := range []string{"/inbox.js", "/inbox.css"} {
		if w := getInbox(b, "localhost:8025", asset); w.Code != http.StatusOK || w.Body.Len() == 0 {
			t.Errorf("%s: %d", asset, w.Code)
		}
	}
}

// Attack: HTML and script in every field that a stranger can fill.
func TestInboxEscapes(t *testing.T) {
	b := newInbox(newClock().now)
	const evil = `"><img src=x onerror=alert(1)></iframe></script><script>alert(1)</script>`
	if err := b.SendMail(t.Context(), Mail{From: evil, To: evil, Subject: evil, Text: evil + " javascript:alert(1) https://x.example/" + evil, HTML: evil}); err != nil {
		t.Fatal(err)
	}
	if err := b.SendText(t.Context(), Text{To: evil, Body: evil}); err != nil {
		t.Fatal(err)
	}
	page := getInbox(b, "localhost", "/").Body.String()
	if strings.Contains(page, "<img") || strings.Contains(page, "<script>") || strings.Contains(page, "</iframe></script>") || strings.Contains(page, `href="javascript`) {
		t.Errorf("%s", page)
	}
}

// Attack: a mail connects to its sender's host when it is looked at, which no policy forbids. The tests with a browser try it in earnest.
func TestInboxMailConnectsToNobody(t *testing.T) {
	for html, want := range map[string]string{
		`<p>Hi<link rel="preconnect" href="https://x.example">`: `<base target="_blank"><p>Hi<not-link rel="preconnect" href="https://x.example">`,
		`<LiNk/href=//x.example rel=dns-prefetch>`:              `<base target="_blank"><not-LiNk/href=//x.example rel=dns-prefetch>`,
		`<iframe srcdoc="&lt;link rel=preconnect>"></iframe>`:   `<base target="_blank"><not-iframe srcdoc="&lt;link rel=preconnect>"></iframe>`,
		`<a href="https://x.example">A link</a>`:                `<base target="_blank"><a href="https://x.example">A link</a>`,
		``:                                                      ``,
	} {
		if got := frameOf(html); got != want {
			t.Errorf("%s became %s", html, got)
		}
	}
}

// Attack: a web page points a name of its own at 127.0.0.1 and reads the sign-in links (DNS rebinding).
func TestInboxHost(t *testing.T) {
	b := newInbox(newClock().now)
	b.allowHosts("Mail.Example.com:8025")
	for host, want := range map[string]int{
		"localhost": 200, "LOCALHOST:8025": 200, "127.0.0.1:8025": 200, "[::1]:8025": 200, "mail.example.com": 200,
		"evil.example": 421, "localhost.evil.example:8025": 421, "127.0.0.1.evil.example": 421, "0.0.0.0:8025": 421, "[::]": 421, "": 421,
	} {
		for _, path := range []string{"/", "/messages.json", "/inbox.js"} {
			if w := getInbox(b, host, path); w.Code != want {
				t.Errorf("%q %s: %d, want %d", host, path, w.Code, want)
			}
		}
	}
}

func TestInboxMessages(t *testing.T) {
	b := newInbox(newClock().now)
	read := func(query string) []Message {
		t.Helper()
		w := getInbox(b, "localhost", "/messages.json"+query)
		var answer struct{ Messages []Message }
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Messages == nil {
			t.Fatalf("%s: %v", w.Body, err)
		}
		return answer.Messages
	}
	read("")
	for i := range inboxSize + 10 {
		if err := b.SendText(t.Context(), Text{To: "+1", Body: strconv.Itoa(i)}); err != nil {
			t.Fatal(err)
		}
	}
	all := read("")
	if len(all) != inboxSize || all[0].Text != strconv.Itoa(inboxSize+9) || all[0].Kind != "sms" {
		t.Errorf("%d messages, first %+v", len(all), all[0])
	}
	if later := read("?after=" + strconv.Itoa(all[2].ID)); len(later) != 2 || later[1].ID != all[1].ID {
		t.Errorf("%+v", later)
	}
	for _, bad := range []string{"?after=x", "?after=-1"} {
		if w := getInbox(b, "localhost", "/messages.json"+bad); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d", bad, w.Code)
		}
	}
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.Host = "localhost"
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}

// The pieces of a body, put together, are the body, and only http links become links.
func FuzzSegments(f *testing.F) {
	f.Add("see https://a.example/x?y#z. And http://b!")
	f.Add("javascript:alert(1) https://")
	f.Add("https://[::1/ https://%zz")
	f.Fuzz(func(t *testing.T, text string) {
		var all strings.Builder
		for _, s := range segments(text) {
			all.WriteString(s.Text)
			if s.URL != "" && !strings.HasPrefix(s.URL, "http://") && !strings.HasPrefix(s.URL, "https://") {
				t.Errorf("link %q", s.URL)
			}
		}
		if all.String() != text {
			t.Errorf("%q became %q", text, all.String())
		}
	})
}
