package caddyauth

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

// Attack: a sealed flow of a listed application whose target leads elsewhere: by what browsers and url.Parse read in two ways, by Unicode that
// looks or folds like a listed host, and by encoding twice.
func TestAttackReturnTargetInDisguise(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	b.signInByLink(anna)
	host := strings.TrimPrefix(appOrigin, "https://")
	for _, target := range []string{
		"https://" + host + "\t.evil.example/", "https://" + host + "\n/", "https://\r" + host, " " + appOrigin + "/", appOrigin + "\x00/", appOrigin + "\\.evil.example/",
		"https:/" + host + "/", "https:///" + host + "/", "https:\\\\" + host + "/", "//" + host + "/", "/" + host, "HTTPS:" + host,
		"https://user:pass@" + host + "/", "https://evil.example@" + host + "/", "https://" + host + "%40evil.example/", "https://" + host + "%2f@evil.example/",
		"https://" + host + "%252f@evil.example/", "https://" + host + "%00.evil.example/", "https://" + host + "#@evil.example/"[:1] + "@evil.example/",
		"https://аpp.example.com/", "https://app。example。com/", "https://ａpp.example.com/", "https://app.example.com․evil.example/", "https://app.exampleⓒom/",
		"http://" + host + "/", "ftp://" + host + "/", "https://" + host + ":8443/", "https://" + host + "./", "https://[" + host + "]/", "https://*.example.com/",
		appOrigin + "//evil.example/", appOrigin + "/%2f/evil.example", "https://evil.example/" + appOrigin + "/", "https://evil.example?" + appOrigin, "https://evil.example#" + appOrigin,
	} {
		u, err := p.rt.allowedReturn(target)
		if err == nil && (u.Scheme != "https" || u.Host != host) {
			t.Errorf("%q is taken for %s", target, u)
		}
		location, err := p.rt.flowURL("sign-in", Flow{Return: target, Host: appOrigin, NonceHash: "n"})
		if err != nil {
			t.Fatal(err)
		}
		next := p.passedOn(b.get(location))
		to, err := url.Parse(next)
		if err != nil || next == "" {
			t.Fatalf("%q leads to %q", target, next)
		}
		if to.Host != "" && (to.Scheme+"://"+to.Host != appOrigin || to.Path != "/auth/handoff") || to.Host == "" && to.Path != "/auth/account" {
			t.Errorf("%q leads to %s", target, to)
		}
	}
}

// Attack: headers that name another host, protocol or address, so that a mail's link leads there (rule 5).
func TestAttackForwardedHostInTheMail(t *testing.T) {
	p := newPortal(t)
	for name, value := range map[string]string{
		"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http", "X-Forwarded-Port": "8080", "X-Forwarded-Prefix": "/evil", "X-Original-Url": "https://evil.example/",
		"X-Rewrite-Url": "/evil", "Forwarded": `host=evil.example;proto=http`, "X-Host": "evil.example", "X-Forwarded-Server": "evil.example", "Referer": "https://evil.example/",
	} {
		b := p.browser()
		r := posted("/auth/sign-in", "application/x-www-form-urlencoded", url.Values{"flow": {p.found(b.get("/auth/sign-in"), flowField)}, "email": {name + "@example.com"}}.Encode())
		r.Header.Set(name, value)
		w := b.send(r)
		if location := w.Header().Get("Location"); w.Code != http.StatusSeeOther || !strings.HasPrefix(location, "/auth/check-mail?flow=") {
			t.Errorf("%s: %d to %q", name, w.Code, location)
			continue
		}
		mailed := p.pool.mails[len(p.pool.mails)-1].ClientMetadata[challenge.KeyRedirectURI]
		if !strings.HasPrefix(mailed, portalOrigin+"/auth/link?flow=") || strings.Contains(mailed, "evil") {
			t.Errorf("%s: the mail leads to %s", name, mailed)
		}
	}
}

// Attack: thousands of addresses ask for mails for thousands of accounts. The overall limit holds, before the pool is asked for anything; and
// nobody who has a passkey notices (rule 7).
func TestAttackOverallLimit(t *testing.T) {
	p := newPortal(t, func(r *Realm, _ *Portal) {
		r.Limits = &Limits{Mails: &Budget{Overall: &RateLimit{Burst: 200, Every: caddy.Duration(50 * time.Millisecond)}}}
	})
	device := passkeytest.NewAuthenticator(portalOrigin)
	owner := p.browser()
	owner.signInByLink(anna)
	owner.addPasskey(device)
	limited := 0
	for i := range 300 {
		b := p.browser()
		b.address = fmt.Sprintf("2001:db8:%x::1", i)
		calls := len(p.pool.calls)
		w := b.submit("/auth/sign-in", "flow", p.found(b.get("/auth/sign-in"), flowField), "email", fmt.Sprintf("user%d@example.com", i))
		if w.Code != http.StatusTooManyRequests {
			continue
		}
		limited++
		if len(p.pool.calls) != calls || w.Header().Get("Retry-After") == "" {
			t.Fatalf("beyond the limit the pool was asked %v; Retry-After %q", p.pool.calls[calls:], w.Header().Get("Retry-After"))
		}
	}
	if limited < 140 || limited > 160 { // a quarter is reserved, and the first mail was the owner's
		t.Errorf("%d of 300 were limited", limited)
	}
	owner.signedOut().signInByPasskey(device)
}

// Attack: whoever knows an address uses up its owner's attempts, from many addresses of the net. The owner signs in, and keeps the passkeys in order.
func TestAttackLockOut(t *testing.T) {
	p := newPortal(t)
	device := passkeytest.NewAuthenticator(portalOrigin)
	owner := p.browser()
	owner.signInByLink(anna)
	id := owner.addPasskey(device)
	limited := false
	for i := range 200 {
		b := p.browser()
		b.address = fmt.Sprintf("2001:db8:%x::1", i)
		flow := p.found(b.get("/auth/sign-in"), flowField)
		limited = b.call("/auth/passkey/options", map[string]string{"flow": flow, "email": anna}).Code == http.StatusTooManyRequests || limited
	}
	if !limited {
		t.Fatal("the attack met no limit")
	}
	if w := owner.call("/auth/fido2/authenticators/delete", map[string]string{"credentialId": id, "proof": owner.prove(device, proofDelete, id)}); w.Code != http.StatusNoContent {
		t.Errorf("the owner's own deletion: %d %s", w.Code, w.Body)
	}
	fresh := passkeytest.NewAuthenticator(portalOrigin)
	owner.addPasskey(fresh)
	owner.signedOut().signInByPasskey(fresh)
}

// Attack: what was sealed by a clock that was set forward never gets old. More than 5 minutes ahead counts as expired (rule 16).
func TestAttackTimesInTheFuture(t *testing.T) {
	for ahead, works := range map[time.Duration]bool{4 * time.Minute: true, 6 * time.Minute: false, 30 * time.Minute: false} {
		p := newPortal(t)
		device := passkeytest.NewAuthenticator(portalOrigin)
		b := p.browser()
		b.signInByLink(anna)
		b.addPasskey(device)
		again := p.browser()

		p.clock.Advance(ahead)
		flow := again.found(again.get("/auth/sign-in"), flowField)
		body := again.pagePasskey(device)
		asked := b.proofOptions(proofAdd, "")
		cookie := p.browser()
		cookie.signInByPasskey(device)
		p.clock.Advance(-ahead)

		if _, err := p.rt.openFlow(flow); (err == nil) != works {
			t.Errorf("a flow %s ahead: %v", ahead, err)
		}
		if got := again.call("/auth/passkey/sign-in", body).Code; (got == http.StatusOK) != works {
			t.Errorf("a challenge %s ahead: %d", ahead, got)
		}
		if got := b.call("/auth/reauthenticate", map[string]any{"state": asked.State, "answer": device.Get(b, asked.PublicKey)}).Code; (got == http.StatusOK) != works {
			t.Errorf("a re-authentication %s ahead: %d", ahead, got)
		}
		if got := cookie.get("/auth/account").Code; (got == http.StatusOK) != works {
			t.Errorf("a session %s ahead: %d", ahead, got)
		}
	}
}

// Attack: an ID token from a clock that is set forward is fresh for ever, and adds passkeys.
func TestAttackBearerFromTheFuture(t *testing.T) {
	p := newPortal(t, shareWithSPA)
	id := p.tokens(poolUser{annaSub, anna}, p.clock.Now().Add(time.Hour)).ID
	if w := p.browser().fromSPA(http.MethodPost, "register-authenticator/start?rpId=auth.example.com", "", id); w.Code != http.StatusUnauthorized {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

// Attack: a cache between portal and browser keeps somebody's cookie, or the refusal of somebody else (rule 14). Every answer that sets a cookie,
// redirects or refuses is looked at, over a whole visit.
func TestAttackCachedAnswers(t *testing.T) {
	p := newPortal(t, shareWithSPA)
	b := p.browser()
	seen := map[string]int{}
	look := func(what string, w *httptest.ResponseRecorder) *httptest.ResponseRecorder {
		t.Helper()
		h := w.Header()
		kind := ""
		switch {
		case h.Get("Set-Cookie") != "":
			kind = "cookie"
		case w.Code/100 == 3:
			kind = "redirect"
		case w.Code >= 400:
			kind = "refusal"
		}
		seen[kind]++
		if kind != "" && h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d with a %s has Cache-Control %q", what, w.Code, kind, h.Get("Cache-Control"))
		}
		return w
	}
	page := look("sign-in", b.get("/auth/sign-in?flow="+url.QueryEscape(b.appFlow(appOrigin+"/"))))
	sent := look("ask", b.submit("/auth/sign-in", "flow", b.found(page, flowField), "email", anna))
	look("wait", b.get(sent.Header().Get("Location")))
	mailed := p.pool.mails[0].ClientMetadata[challenge.KeyRedirectURI]
	landing := look("landing", b.get(mailed))
	look("link", b.submit("/auth/link", "flow", b.found(landing, flowField), "link", p.pool.lastLink))
	look("used link", b.submit("/auth/link", "flow", b.found(landing, flowField), "link", p.pool.lastLink))
	look("moved on", b.get("/auth/sign-in"))
	look("account", b.get("/auth/account"))
	look("no proof", b.call("/auth/fido2/authenticators/delete", map[string]string{"credentialId": "AAAA"}))
	look("no token", b.fromSPA(http.MethodPost, "authenticators/list?rpId=auth.example.com", "", ""))
	look("nothing", b.get("/auth/nothing"))
	look("signed out", b.submit("/auth/sign-out"))
	look("account of nobody", b.get("/auth/account"))
	look("sign-out of nobody", b.submit("/auth/sign-out"))
	for _, kind := range []string{"cookie", "redirect", "refusal"} {
		if seen[kind] < 2 {
			t.Errorf("only %d answers with a %s were seen", seen[kind], kind)
		}
	}
}

// Whatever comes in, the FIDO2 API answers in its JSON, stores nothing, and breaks nothing.
func FuzzFIDO2(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"credentialId":"AAAA"}`, `{"credentialId":"AAAA","friendlyName":"x"}`, `{"attestationObjectB64":"o2NmbXRkbm9uZQ","clientDataJSON_B64":"e30"}`, "[", "\xff"} {
		for route := range fido2Routes {
			f.Add(route, "rpId=auth.example.com", seed, "")
		}
	}
	f.Add("authenticators/list", "rpId=%00", "", "Bearer x.y.z")
	f.Fuzz(func(t *testing.T, route, query, body, authorization string) {
		if strings.ContainsFunc(route+query, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '?' || r == '#' || r == '%' }) {
			return
		}
		p := newPortal(t)
		b := p.browser()
		b.signInByLink(anna)
		r := posted("/auth/sign-in", "application/json", body)
		r.URL.Path, r.URL.RawQuery = "/auth/fido2/"+route, query
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		w := b.send(r)
		if w.Code >= http.StatusInternalServerError {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if own, err := p.store.List(t.Context(), annaSub, ""); err != nil || len(own) != 0 {
			t.Fatalf("passkeys %v, %v", own, err)
		}
		if s, ok := b.session(); !ok || s.Factors.At(session.Passkey) != (time.Time{}) {
			t.Fatal("the session changed")
		}
	})
}
