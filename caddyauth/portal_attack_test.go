package caddyauth

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

// posts are all addresses that change something.
func posts() []string {
	var all []string
	for below, r := range portalRoutes {
		if r.post != nil {
			all = append(all, "/auth/"+below)
		}
	}
	for below := range fido2Routes {
		all = append(all, "/auth/fido2/"+below)
	}
	return all
}

// Attack: a page of another origin, an application's included, posts with the cookies of somebody who is signed in (CSRF).
func TestCrossOriginPostsChangeNothing(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	b.signInByLink(anna)
	calls := len(p.pool.calls)
	for _, target := range posts() {
		for _, headers := range [][2]string{{"https://evil.example", "cross-site"}, {appOrigin, "same-site"}, {"null", "cross-site"}, {"https://evil.example", ""}} {
			r := posted(target, "application/json", `{"credentialId":"AAAA","purpose":"add"}`)
			r.Header.Set("Origin", headers[0])
			r.Header.Del("Sec-Fetch-Site")
			if headers[1] != "" {
				r.Header.Set("Sec-Fetch-Site", headers[1])
			}
			if w := b.send(r); w.Code != http.StatusForbidden {
				t.Errorf("%s from %v: %d %s", target, headers, w.Code, w.Body)
			}
		}
	}
	if _, ok := b.session(); !ok || len(p.pool.calls) != calls {
		t.Errorf("signed in %v, calls %v", ok, p.pool.calls[calls:])
	}
}

// Attack: an image or a link makes the browser GET what must be posted.
func TestGetChangesNothing(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	b.signInByLink(anna)
	before := p.storage.Calls("store")
	for _, target := range posts() {
		below := strings.TrimPrefix(target, "/auth/")
		w := b.get(target)
		if portalRoutes[below].get == nil && w.Code != http.StatusMethodNotAllowed {
			t.Errorf("GET %s: %d", target, w.Code)
		}
		if w.Code == http.StatusMethodNotAllowed && !strings.Contains(w.Header().Get("Allow"), "POST") {
			t.Errorf("GET %s: Allow %q", target, w.Header().Get("Allow"))
		}
	}
	if _, ok := b.session(); !ok || p.storage.Calls("store") != before {
		t.Error("a GET changed something")
	}
}

// Attack: bodies of 64 KiB and more, and of types that a plain form of another site can send.
func TestHugeAndForeignBodies(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	b.signInByLink(anna)
	for _, target := range posts() {
		form := portalRoutes[strings.TrimPrefix(target, "/auth/")].post != nil && !portalRoutes[strings.TrimPrefix(target, "/auth/")].script
		if target == "/auth/sessions/end-all" {
			continue // reads no body
		}
		contentType, body := "application/json", `{"flow":"`+strings.Repeat("x", maxPortalBody)+`"}`
		if form {
			contentType, body = "application/x-www-form-urlencoded", "flow="+strings.Repeat("x", maxPortalBody)
		}
		if w := b.send(posted(target, contentType, body)); w.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("%s with a huge body: %d", target, w.Code)
		}
		if strings.HasSuffix(target, "/start") || strings.HasSuffix(target, "/list") || strings.HasSuffix(target, "sign-in-challenge") {
			continue // want no body
		}
		for _, contentType := range []string{"", "text/plain", "multipart/form-data; boundary=x", "application/json, text/plain"} {
			if w := b.send(posted(target, contentType, `{"flow":"x"}`)); w.Code != http.StatusUnsupportedMediaType {
				t.Errorf("%s as %q: %d", target, contentType, w.Code)
			}
		}
	}
	for _, body := range []string{"", "{", "[]", `{"flow":1}`, `{} {}`, strings.Repeat("[", 20000)} {
		if w := b.send(posted("/auth/passkey/options", "application/json", body)); w.Code != http.StatusBadRequest {
			t.Errorf("%.20q: %d", body, w.Code)
		}
	}
}

// Every answer, errors too, carries the headers that keep pages apart.
func TestSecurityHeaders(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	answers := map[string]*httptest.ResponseRecorder{
		"page": b.get("/auth/sign-in"), "missing": b.get("/auth/x"), "method": b.get("/auth/passkey/options"),
		"script": b.call("/auth/passkey/options", map[string]string{}), "api": b.call("/auth/fido2/authenticators/list", nil),
		"link": b.get("/auth/link"), "account": b.get("/auth/account"),
	}
	for name, w := range answers {
		h := w.Header()
		policy := h.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self';", "frame-ancestors 'none'", "form-action 'self';", "base-uri 'none'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: policy %q lacks %s", name, policy, want)
			}
		}
		for header, want := range map[string]string{
			"Cache-Control": "no-store", "Referrer-Policy": "strict-origin", "X-Content-Type-Options": "nosniff",
			"Cross-Origin-Opener-Policy": "same-origin", "Strict-Transport-Security": strictHTTPS,
		} {
			if got := h.Get(header); got != want {
				t.Errorf("%s: %s is %q", name, header, got)
			}
		}
		if body := w.Body.String(); strings.Contains(body, "<script>") || strings.Contains(body, " style=") || strings.Contains(body, "javascript:") {
			t.Errorf("%s: inline script or style", name)
		}
	}
}

// Attack: a script of the host is registered as a service worker that would control the sign-in pages (rule 11).
func TestServiceWorkersAreRefused(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	for _, target := range []string{"/auth/assets/sign-in.js", "/auth/sign-in", "/sw.js"} {
		r := navigation(absolute(target))
		r.Header.Set("Service-Worker", "script")
		if w := b.send(r); b.passed || w.Code != http.StatusForbidden {
			t.Errorf("%s: passed %v, %d", target, b.passed, w.Code)
		}
	}
}

// Attack: the victim's browser is made to use the attacker's link under the victim's own flow, or the other way round (login CSRF).
func TestLinkOfAnotherAccountSignsNobodyIn(t *testing.T) {
	p := newPortal(t)
	victim, attacker := p.browser(), p.browser()
	attacker.askForLink(bob, appOrigin+"/")
	attackersLink := p.pool.lastLink
	_, mailed := victim.askForLink(anna, appOrigin+"/")
	calls := len(p.pool.calls)
	w := victim.useLink(mailed, attackersLink)
	if w.Code != http.StatusForbidden || w.Header().Get("Location") != "" {
		t.Fatalf("got %d to %q", w.Code, w.Header().Get("Location"))
	}
	if _, ok := victim.session(); ok {
		t.Error("the victim is signed in as the attacker")
	}
	if p.pool.revoked != 0 || len(p.pool.calls) != calls {
		t.Errorf("the pool was asked %v", p.pool.calls[calls:])
	}
}

// Attack: a link is used twice, or an older one after a newer, or altered.
func TestUsedReplacedAndAlteredLinks(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	_, mailed := b.askForLink(anna, appOrigin+"/")
	first := p.pool.lastLink
	if w := b.useLink(mailed, first); p.passedOn(w) == "" {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	c := p.browser()
	wantPage := func(w *httptest.ResponseRecorder, status int, code string) {
		t.Helper()
		text := p.rt.pages.Text("", code)
		if w.Code != status || !strings.Contains(w.Body.String(), text) {
			t.Errorf("got %d, want %d %q in %s", w.Code, status, text, w.Body)
		}
		if _, ok := c.session(); ok {
			t.Error("somebody is signed in")
		}
	}
	wantPage(c.useLink(mailed, first), http.StatusGone, "link_used")

	p.clock.Advance(resendAfter)
	_, mailed = c.askForLink(anna, appOrigin+"/")
	older := p.pool.lastLink
	p.clock.Advance(2 * time.Minute)
	c.askForLink(anna, appOrigin+"/")
	delete(p.pool.links, older)
	wantPage(c.useLink(mailed, older), http.StatusGone, "link_replaced")

	forged := p.newLink(poolUser{annaSub, anna}, p.clock.Now())
	wantPage(c.useLink(mailed, forged), http.StatusForbidden, "invalid")
	expired := p.newLink(poolUser{annaSub, anna}, p.clock.Now().Add(-time.Hour))
	wantPage(c.useLink(mailed, expired), http.StatusGone, "link_expired")
	for _, raw := range []string{"", "x", "a.b", "<script>alert(1)</script>", strings.Repeat("x", maxLink+1)} {
		wantPage(c.useLink(mailed, raw), http.StatusBadRequest, "link_malformed")
	}
	p.clock.Advance(flowLifetime)
	wantPage(c.get(mailed), http.StatusGone, "link_expired")
	wantPage(c.get("/auth/link?flow=forged"), http.StatusBadRequest, "link_malformed")
}

// The same button pressed twice, the first answer lost: not an error for who is signed in by it.
func TestLinkPressedTwice(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	_, mailed := b.askForLink(anna, appOrigin+"/")
	b.useLink(mailed, p.pool.lastLink)
	w := b.submit("/auth/link", "flow", mailedFlow(t, mailed), "link", p.pool.lastLink)
	if w.Code != http.StatusSeeOther || !strings.HasPrefix(w.Header().Get("Location"), "/auth/sign-in?flow=") {
		t.Errorf("got %d to %q", w.Code, w.Header().Get("Location"))
	}
}

func mailedFlow(t *testing.T, mailed string) string {
	t.Helper()
	u, err := url.Parse(mailed)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("flow")
}

// Changing accounts is said before it happens, and ends the session that was there. The session is a new one every time: a
// planted cookie gains nothing (session fixation).
func TestNewSessionAtEverySignIn(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	first := b.signInByLink(anna)
	planted := b.cookies[p.rt.sessionCookie.Name]
	_, mailed := b.askForLinkSignedIn(bob)
	if page := b.get(mailed).Body.String(); !strings.Contains(page, anna) || !strings.Contains(page, bob) {
		t.Errorf("the page does not name both accounts: %s", page)
	}
	if w := b.useLink(mailed, p.pool.lastLink); p.passedOn(w) == "" {
		t.Fatalf("got %d", w.Code)
	}
	second, ok := b.session()
	if !ok || second.Email != bob || second.ID == first.ID {
		t.Errorf("session %+v", second)
	}
	if _, err := p.rt.sessions.Open(planted, p.rt.portal.Host); !errors.Is(err, session.ErrDenied) {
		t.Errorf("the session before still opens: %v", err)
	}
}

// askForLinkSignedIn asks in another tab that was open before.
func (b *browser) askForLinkSignedIn(email string) (flow, mailed string) {
	b.Helper()
	held := b.cookies[b.rt.sessionCookie.Name]
	delete(b.cookies, b.rt.sessionCookie.Name)
	flow, mailed = b.askForLink(email, appOrigin+"/")
	b.cookies[b.rt.sessionCookie.Name] = held
	return flow, mailed
}

// Attack: a flow that was stolen, or sent by an attacker, is used in another browser.
func TestStolenFlow(t *testing.T) {
	p := newPortal(t)
	b, thief := p.browser(), p.browser()
	flow, _ := b.askForLink(anna, appOrigin+"/secret")
	thief.get("/auth/sign-in") // has a browser cookie of its own
	calls := len(p.pool.calls)
	if w := thief.submit("/auth/sign-in", "flow", flow, "email", bob); w.Code != http.StatusBadRequest {
		t.Errorf("form: %d", w.Code)
	}
	if w := thief.submit("/auth/check-mail/resend", "flow", flow); w.Code != http.StatusBadRequest {
		t.Errorf("resend: %d", w.Code)
	}
	p.wantError(thief.call("/auth/passkey/options", map[string]string{"flow": flow, "email": anna}), http.StatusBadRequest, "expired_flow")
	p.wantError(thief.call("/auth/passkey/sign-in", map[string]any{"flow": flow}), http.StatusBadRequest, "expired_flow")
	var answer struct{ State string }
	p.decode(thief.ask("/auth/check-mail/status?flow="+url.QueryEscape(flow)), http.StatusOK, &answer)
	if answer.State != "expired" || len(p.pool.calls) != calls {
		t.Errorf("status %q, calls %v", answer.State, p.pool.calls[calls:])
	}
	// Its page shows nothing of the other's address.
	if page := thief.get("/auth/sign-in?flow=" + url.QueryEscape(flow)); strings.Contains(page.Body.String(), anna) {
		t.Error("the thief learns the address")
	}
}

// Attack: two cookies of one name, one of them tossed by a sibling subdomain.
func TestDuplicateCookies(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	b.signInByLink(anna)
	for _, name := range []string{p.rt.sessionCookie.Name, p.rt.browserCookie.Name} {
		r := navigation(portalOrigin + "/auth/sign-in")
		r.AddCookie(&http.Cookie{Name: name, Value: "planted"})
		if w := b.send(r); w.Code != http.StatusBadRequest || w.Header().Get("Location") != "" {
			t.Errorf("%s: %d to %q", name, w.Code, w.Header().Get("Location"))
		}
	}
}

// Attack: a return target that leads elsewhere, in every disguise (open redirect).
func TestReturnTargetsThatAreNotOurs(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	b.signInByLink(anna)
	for _, target := range []string{
		"https://evil.example/", "//evil.example", `/\evil.example`, "https:evil.example", appOrigin + "@evil.example/", "javascript:alert(1)",
		appOrigin + ".evil.example/", "https://app.example.com\\@evil.example/", "https://evil.example/\t", "data:text/html,x", "https://user@app.example.com/",
	} {
		page := b.get("/auth/sign-out?return=" + url.QueryEscape(target))
		if strings.Contains(page.Body.String(), "evil") || strings.Contains(page.Body.String(), "javascript:") {
			t.Errorf("%q stands on the sign-out page", target)
		}
		// Even a sealed one is checked again.
		location, err := p.rt.flowURL("sign-in", Flow{Return: target, Host: "https://evil.example", NonceHash: "n"})
		if err != nil {
			t.Fatal(err)
		}
		if w := b.get(location); w.Header().Get("Location") != "/auth/account" {
			t.Errorf("%q leads to %q", target, w.Header().Get("Location"))
		}
		for _, parameter := range []string{"return", "redirect_url", "rd", "next"} {
			if w := b.get("/auth/sign-in?" + parameter + "=" + url.QueryEscape(target)); w.Header().Get("Location") != "/auth/account" {
				t.Errorf("%s=%q leads to %q", parameter, target, w.Header().Get("Location"))
			}
		}
	}
}

// Attack: markup in everything that comes back on a page (reflected and stored XSS).
func TestMarkupIsText(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	const evil = `"><script>alert(1)</script>`
	flow := p.found(b.get("/auth/sign-in"), flowField)
	pages := []*httptest.ResponseRecorder{
		b.submit("/auth/sign-in", "flow", flow, "email", evil+"@example.com"),
		b.submit("/auth/sign-in", "flow", evil, "email", evil),
		b.get("/auth/link?flow=" + url.QueryEscape(evil)),
		b.get("/auth/check-mail?flow=" + url.QueryEscape(evil)),
		b.get("/auth/signed-out?flow=" + url.QueryEscape(evil)),
		b.get("/auth/sign-out?return=" + url.QueryEscape(evil)),
	}
	r := navigation(portalOrigin + "/auth/sign-in")
	r.Header.Set("User-Agent", evil)
	pages = append(pages, b.send(r))
	for i, w := range pages {
		if strings.Contains(w.Body.String(), "<script>alert") {
			t.Errorf("page %d: %s", i, w.Body)
		}
	}
}

// Secrets, links, tokens and cookies stay out of the logs, also of failures (rule 8).
func TestLogsHoldNoSecrets(t *testing.T) {
	p := newPortal(t)
	device := passkeytest.NewAuthenticator(portalOrigin)
	b := p.browser()
	_, mailed := b.askForLink(anna, appOrigin+"/")
	link := p.pool.lastLink
	b.useLink(mailed, link)
	b.addPasskey(device)
	p.browser().signInByPasskey(device)
	p.browser().useLink(mailed, link)
	secrets := append([]string{link, mailedFlow(t, mailed)}, b.cookies[p.rt.sessionCookie.Name], b.cookies[p.rt.browserCookie.Name])
	for _, entry := range p.logs.All() {
		line := fmt.Sprint(entry.Message, entry.ContextMap())
		for _, secret := range secrets {
			if secret != "" && strings.Contains(line, secret) {
				t.Errorf("a secret in %q", line)
			}
		}
		if s, ok := b.session(); ok && strings.Contains(line, s.ID) {
			t.Errorf("the session ID in %q", line)
		}
	}
}

// A return target too long for a mail waits at the portal.
func TestLongReturnTargets(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	target := appOrigin + "/reports?q=" + strings.Repeat("x", 3000)
	_, mailed := b.askForLink(anna, target)
	if len(mailed) > 2048 {
		t.Fatalf("the address in the mail has %d bytes", len(mailed))
	}
	reading := p.browser()
	w := reading.useLink(mailed, p.pool.lastLink)
	if got := p.passedOn(w); got != target+"#q3" {
		t.Errorf("leads to %.80q", got)
	}
}
