package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// recorder is a proxy between a browser and Caddy. It collects what may be a secret: every long random-looking word in an answer's body
// or cookies, and in a request's body.
type recorder struct {
	mu     sync.Mutex
	issued map[string]string // word to where it was seen first
	paths  map[string]bool   // that were asked for
}

// opaque is what codes, proofs, cookies, seals, tokens and challenges look like: 16 random bytes or more.
var opaque = regexp.MustCompile(`[A-Za-z0-9_-]{22,}`)

func (c *recorder) collect(where, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, word := range opaque.FindAllString(text, -1) {
		if _, known := c.issued[word]; !known && strings.ContainsAny(word, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
			c.issued[word] = where
		}
	}
}

// secret collects a short one, of a mail or an SMS.
func (c *recorder) secret(where, word string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.issued[word] = where
}

func (c *recorder) saw(path string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.paths[path]
}

// read returns a body, collects its words, and puts it back.
func (c *recorder) read(where string, body *io.ReadCloser) error {
	if *body == nil {
		return nil
	}
	text, err := io.ReadAll(*body)
	if err != nil {
		return err
	}
	c.collect(where, string(text))
	*body = io.NopCloser(bytes.NewReader(text))
	return nil
}

// record starts the proxy and opens a browser that reaches everything through it.
func record(t *testing.T) (*recorder, *tab) {
	t.Helper()
	c := &recorder{issued: make(map[string]string), paths: make(map[string]bool)}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		ErrorLog:  log.New(io.Discard, "", 0), // Chromium's own calls to the world outside
		Transport: client.Transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			c.mu.Lock()
			c.paths[r.In.Method+" "+r.In.URL.Path] = true
			c.mu.Unlock()
			r.Out.Header.Del("Accept-Encoding")
			if !strings.HasPrefix(r.In.URL.Path, "/auth/") { // the application's
				return
			}
			if err := c.read("request to "+r.In.URL.Path, &r.Out.Body); err != nil {
				t.Errorf("reading a request to %s: %v", r.In.URL.Path, err)
			}
		},
		ModifyResponse: func(r *http.Response) error {
			for _, cookie := range r.Cookies() {
				c.collect("cookie "+cookie.Name, cookie.Value)
			}
			path := r.Request.URL.Path
			if !strings.HasPrefix(path, "/auth/") || strings.HasPrefix(path, "/auth/assets/") {
				return nil
			}
			return c.read("answer of "+path, &r.Body)
		},
	})
	t.Cleanup(proxy.Close)
	shared, err := sharedChromium()
	if err != nil {
		t.Fatal(err)
	}
	return c, openTab(t, shared, chromedp.WithNewBrowserContext(func(p *target.CreateBrowserContextParams) {
		p.ProxyServer, p.ProxyBypassList = proxy.URL, "<-loopback>"
	}))
}

// mailed collects the secrets of the newest mail, and returns its code.
func (c *recorder) mailed(t *testing.T, d *deployment, to, link string) (code string) {
	t.Helper()
	_, fragment, _ := strings.Cut(link, "#")
	c.secret("mail", fragment)
	code = mailedCodePattern.FindString(d.messages(t, to)[0].Text)
	if fragment == "" || code == "" {
		t.Fatal("the mail has no link or no code")
	}
	c.secret("mail", code)
	c.secret("mail", strings.NewReplacer(" ", "", "-", "").Replace(code))
	return code
}

// stored collects what Caddy's storage and the pool's file have at this time, keys included.
func (c *recorder) stored(t *testing.T, folder string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if os.IsNotExist(err) { // a one-time item that was just taken
			return nil
		}
		c.collect("file "+entry.Name(), string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sealedInURL are the sealed values that may stand in a URL, as docs/security.md explains. Nothing else may.
var sealedInURL = regexp.MustCompile(`(/auth/(?:sign-in|check-mail|step-up|link|handoff|sign-out|signed-out)\?flow=` +
	`|/auth/send-again\?kept=|/auth/signed-out\?state=|[?&]passwordless_kept=)[A-Za-z0-9_-]+`)

// usedUp is what the page that answers a form sent again has in its address, and so in the header Referer, about which the application
// decides: the form is gone by then.
var usedUp = regexp.MustCompile(`([?&]passwordless_kept=)[A-Za-z0-9_-]+`)

// logged is the log without the sealed values that may stand in it: in the address asked for and in redirects, and nowhere else.
func logged(t *testing.T, path string) (text string, access int) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for line := range strings.Lines(string(content)) {
		var entry map[string]any
		if json.Unmarshal([]byte(line), &entry) != nil {
			b.WriteString(line)
			continue
		}
		if request, ok := entry["request"].(map[string]any); ok {
			request["uri"] = sealedInURL.ReplaceAllString(request["uri"].(string), "$1")
			if headers, ok := request["headers"].(map[string]any); ok {
				if referrer, ok := headers["Referer"].([]any); ok && len(referrer) == 1 {
					headers["Referer"] = usedUp.ReplaceAllString(referrer[0].(string), "$1")
				}
			}
		}
		for _, name := range []string{"resp_headers", "headers"} {
			if headers, ok := entry[name].(map[string]any); ok {
				if location, ok := headers["Location"].([]any); ok && len(location) == 1 {
					headers["Location"] = sealedInURL.ReplaceAllString(location[0].(string), "$1")
				}
			}
		}
		if logger, _ := entry["logger"].(string); strings.HasPrefix(logger, "http.log.access") {
			access++
		}
		cleaned, err := json.Marshal(entry)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(cleaned, '\n'))
	}
	return b.String(), access
}

// auditNames are what the audit log names people, sessions, passkeys and approvals by. These names open nothing.
func (d *deployment) auditNames(t *testing.T) (names []string) {
	t.Helper()
	content, err := os.ReadFile(d.log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		var entry map[string]any
		if json.Unmarshal([]byte(line), &entry) != nil || entry["logger"] != "passwordless.default.audit" {
			continue
		}
		for _, field := range []string{"user", "subject", "session", "credential", "transaction"} {
			if name, ok := entry[field].(string); ok {
				names = append(names, name)
			}
		}
	}
	return names
}

// Somebody uses every page and endpoint, while Caddy logs all it can, access log and DEBUG included. No secret that was issued meanwhile is in
// the logs: no cookie, code, link, proof, token, challenge, seal or key.
func TestNoSecretInAnyLog(t *testing.T) {
	t.Parallel()
	d := deploy(t,
		"\tadmin localhost:2019\n", "\tadmin localhost:2019\n\tdebug\n",
		"\t\tmagic_link\n", "\t\tmagic_link {\n\t\t\tcode\n\t\t}\n\t\tsms_step_up\n",
		"\tpasswordless_portal\n", "\tlog\n\tpasswordless_portal\n",
		"\tpasswordless_guard\n", `	log
	passwordless_guard /reports* {
		step_up 5m sms
	}
	passwordless_guard /orders {
		step_up 5m passkey {
			methods POST
			transaction
		}
	}
	passwordless_guard
`)
	data := filepath.Join(filepath.Dir(d.caddyfile), "data")
	c, b := record(t)
	b.withoutAutofill()

	// Sign-in by link, which comes with a code.
	b.open(d.app + "/?tab=2#q3")
	link := d.signInByLink(b, anna, d.app+"/?tab=2#q3")
	c.mailed(t, d, anna, link)

	// The account: a passkey, a phone number.
	device := attach(b)
	b.open(d.portal + "/auth/account")
	b.click("#add-passkey")
	b.see(".passkey[data-id]")
	b.open(d.portal + "/auth/account")
	b.rename("Laptop")
	b.click("#change-phone")
	b.fill("#phone", annasPhone)
	b.click("#phone-send")
	sms := d.code(t, annasPhone, 0)
	c.secret("SMS", sms)
	b.fill("#phone-code", sms)
	b.click("#phone-verify")
	b.arriveBelow(d.portal + "/auth/account?notice=phone_verified")
	d.later(t)

	// Step-ups: by SMS, by passkey that the application asks for, for a transaction whose form is sent again.
	b.open(d.app + "/reports?year=2026#q3")
	b.see("#send-code")
	b.click("#send-code")
	b.see("#code")
	sms = d.code(t, annasPhone, 1)
	c.secret("SMS", sms)
	b.fill("#code", sms)
	b.click("#verify-code")
	b.arrive(d.app + "/reports?year=2026#q3")
	b.open(d.app + "/salary")
	b.click("#passkey-button")
	b.arrive(d.app + "/salary")
	d.order(b, "tea", "")
	c.stored(t, data)
	b.click("#passkey-button")
	b.click("#send-again")
	b.see("#received")

	// Out, in again by passkey; the passkey and the number go.
	d.signOut(b)
	b.open(d.app + "/")
	b.click("#passkey-button")
	b.arrive(d.app + "/")
	b.open(d.portal + "/auth/account")
	b.click("#remove-phone")
	b.arriveBelow(d.portal + "/auth/account?notice=phone_removed")
	b.delete()
	device.detach()
	d.signOut(b)

	// Another person signs in by code.
	b.forgetCookies("localhost")
	b.open(d.app + "/")
	b.fill("#email", "bea@example.com")
	b.click("#send-link")
	b.arriveBelow(d.portal + "/auth/check-mail")
	c.stored(t, data)
	code := c.mailed(t, d, "bea@example.com", d.link(t, "bea@example.com", 0))
	b.fill("#code", code)
	b.click("#verify-code")
	b.arrive(d.app + "/")
	c.stored(t, data)

	for _, want := range []string{
		"GET /auth/sign-in", "POST /auth/sign-in", "GET /auth/check-mail", "GET /auth/handoff", "POST /auth/handoff", "GET /auth/step-up",
		"GET /auth/account", "GET /auth/send-again", "POST /orders", "GET /auth/sign-out", "POST /auth/sign-out", "GET /auth/signed-out",
	} {
		if !c.saw(want) {
			t.Errorf("the story leaves out %s", want)
		}
	}
	text, access := logged(t, d.log)
	if access < 40 || len(d.auditLines(t, "signed_in")) == 0 || len(c.issued) < 60 {
		t.Fatalf("%d lines of access log, %d words collected", access, len(c.issued))
	}
	names := d.auditNames(t)
	for word, where := range c.issued {
		if slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, word) }) { // in the pool's file a page may cut it
			continue
		}
		if at := strings.Index(text, word); at >= 0 {
			start := strings.LastIndexByte(text[:at], '\n') + 1
			line, _, _ := strings.Cut(text[start:], "\n")
			t.Errorf("%s (%s) is in the log: …%s…", word, where, line[max(0, at-start-100):min(len(line), at-start+len(word)+20)])
		}
	}
}
