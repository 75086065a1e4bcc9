package caddyauth

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func withCookieDomain(config *Realm) { config.Session.CookieDomain = "example.com" }

// One cookie for all hosts of a domain: who signed in at one of them is known at the others, without a way over the portal.
func TestOneCookieForADomain(t *testing.T) {
	g := newGuarded(t, withCookieDomain)
	s, cookie := g.signIn("alice", portalOrigin)
	guard := g.guard(Guard{})
	for _, origin := range []string{appOrigin, otherOrigin} {
		r := script(origin+"/", cookie, &http.Cookie{Name: "theirs", Value: "1"})
		if w := g.serve(r, guard); w.Code != http.StatusOK || g.reached.Header.Get(headerUser) != "alice" {
			t.Errorf("%s: %d", origin, w.Code)
		}
		if got := g.reached.Header.Get("Cookie"); got != "theirs=1" {
			t.Errorf("the upstream of %s gets %q", origin, got)
		}
	}
	g.clock.Advance(10 * time.Minute)
	w := g.serve(script(appOrigin+"/", cookie), guard)
	renewed := cookieSet(w, "__Secure-passwordless_session")
	if renewed == nil || renewed.Domain != "example.com" || !renewed.Secure || !renewed.HttpOnly || renewed.Path != "/" || len(w.Result().Cookies()) != 1 {
		t.Fatalf("%v", w.Header())
	}
	if w := g.serve(script(otherOrigin+"/", renewed), guard); w.Code != http.StatusOK {
		t.Errorf("the renewed one at another host: %d", w.Code)
	}
	if err := g.rt.sessions.End(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	wantUnauthenticated(t, g.serve(script(otherOrigin+"/", renewed), guard), "signed_out")
}

// The way over the portal stays for browsers that bring no cookie; it ends with the one of the domain.
func TestHandoffWithACookieDomain(t *testing.T) {
	g := newGuarded(t, withCookieDomain)
	guard := g.guard(Guard{})
	flow, nonce := g.begin(guard, appOrigin+"/x")
	code := g.signedIn(flow, "alice")
	w := g.serve(post(appOrigin, code, nonce), guard)
	cookie := cookieSet(w, "__Secure-passwordless_session")
	if ledTo(w) != "/x" || cookie == nil || cookie.Domain != "example.com" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	if w := g.serve(script(appOrigin+"/x", cookie), guard); w.Code != http.StatusOK {
		t.Errorf("%d", w.Code)
	}
}

// The portal gives the domain's cookie to all hosts and takes it from all of them; what binds a browser to the portal stays on the portal.
func TestPortalWithACookieDomain(t *testing.T) {
	p := newPortal(t, func(config *Realm, _ *Portal) { config.Session = &Session{CookieDomain: "example.com"} })
	b := p.browser()
	_, mailed := b.askForLink(anna, appOrigin+"/")
	w := b.useLink(mailed, b.pool.lastLink)
	given := cookieSet(w, "__Secure-passwordless_session")
	if p.passedOn(w) == "" || given == nil || given.Domain != "example.com" || !given.Secure || !given.HttpOnly {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	if _, err := p.rt.sessions.Open(given.Value, "*.example.com"); err != nil {
		t.Errorf("not good for the domain: %v", err)
	}
	if b.cookies["__Host-passwordless_browser"] == "" || b.cookies["__Host-passwordless_session"] != "" {
		t.Errorf("cookies: %v", b.cookies)
	}
	if w := b.get("/auth/account"); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), anna) {
		t.Errorf("the account page: %d", w.Code)
	}
	cleared := cookieSet(b.submit("/auth/sign-out"), given.Name)
	if cleared == nil || cleared.MaxAge >= 0 || cleared.Domain != "example.com" || cleared.Path != "/" {
		t.Errorf("sign-out: %v", cleared)
	}
	if _, err := p.rt.sessions.Open(given.Value, "*.example.com"); err == nil {
		t.Error("the cookie outlives the sign-out")
	}
}

// A cookie that was made for one host is none for the domain, nor the other way round, under whichever name it comes; and a sibling that
// plants a second one leaves neither.
func TestAttackCookieOfAnotherScope(t *testing.T) {
	g := newGuarded(t, withCookieDomain)
	guard := g.guard(Guard{})
	s, shared := g.signIn("alice", appOrigin)
	value, err := g.rt.sessions.Seal(s, "app.example.com")
	if err != nil {
		t.Fatal(err)
	}
	for name, reason := range map[string]string{"__Secure-passwordless_session": "invalid_session", "__Host-passwordless_session": "no_session", "passwordless_session": "no_session"} {
		wantUnauthenticated(t, g.serve(script(appOrigin+"/", &http.Cookie{Name: name, Value: value}), guard), reason)
	}
	if w := g.serve(script(appOrigin+"/", shared, &http.Cookie{Name: shared.Name, Value: "planted"}), guard); w.Code != http.StatusBadRequest {
		t.Errorf("two cookies: %d", w.Code)
	}
	g.app.Realms[DefaultRealm].Session.CookieDomain = ""
	g.rt.nameCookies()
	wantUnauthenticated(t, g.serve(script(appOrigin+"/", &http.Cookie{Name: "__Host-passwordless_session", Value: shared.Value}), guard), "invalid_session")
	r := script(appOrigin+"/", shared, g.cookie(s, appOrigin))
	if w := g.serve(r, guard); w.Code != http.StatusOK || g.reached.Header.Get("Cookie") != "" {
		t.Errorf("the domain's cookie, no longer used: %d, upstream gets %q", w.Code, g.reached.Header.Get("Cookie"))
	}
}

// The operator has moved the cookie to another domain, and browsers bring both: they are told to forget them, and the next try is a sign-in.
func TestCookiesLeftOverFromAnotherDomain(t *testing.T) {
	g := newGuarded(t, withCookieDomain)
	_, cookie := g.signIn("alice", appOrigin)
	old := &http.Cookie{Name: cookie.Name, Value: "old"}
	forgotten := func(w *httptest.ResponseRecorder) string {
		var domains []string
		for _, c := range w.Result().Cookies() {
			if c.Name != cookie.Name || c.MaxAge >= 0 || c.Path != "/" {
				t.Errorf("cookie %v", c)
			}
			domains = append(domains, c.Domain)
		}
		return strings.Join(domains, " ")
	}
	w := g.serve(navigation(appOrigin+"/", cookie, old), g.guard(Guard{}))
	if domains := forgotten(w); w.Code != http.StatusBadRequest || domains != "app.example.com example.com" || g.calls != 0 {
		t.Errorf("at the application: %d, forgets %q", w.Code, domains)
	}
	p := newPortal(t, func(config *Realm, _ *Portal) { config.Session = &Session{CookieDomain: "example.com"} })
	r := navigation(portalOrigin+"/auth/account", cookie, old)
	w = httptest.NewRecorder()
	if err := p.portal.ServeHTTP(w, caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil), nil); err != nil {
		t.Fatal(err)
	}
	if domains := forgotten(w); w.Code != http.StatusBadRequest || domains != "auth.example.com example.com" {
		t.Errorf("at the portal: %d, forgets %q", w.Code, domains)
	}
	own := newGuarded(t)
	_, cookie = own.signIn("alice", appOrigin)
	if w := own.serve(navigation(appOrigin+"/", cookie, cookie), own.guard(Guard{})); w.Code != http.StatusBadRequest || len(w.Result().Cookies()) != 0 {
		t.Errorf("without a domain: %d %v", w.Code, w.Header())
	}
}

func TestCookieDomainChecks(t *testing.T) {
	for domain, problem := range map[string]string{
		"example.com": "", "com": "public suffix", "co.uk": "public suffix", "github.io": "public suffix", ".example.com": "not a domain", "Example.com": "not a domain",
		"*.example.com": "not a domain", "example.com:443": "not a domain", "192.0.2.1": "not a domain", "::1": "not a domain", "app.example.com": "is not on",
		"ample.com": "is not on", "example.org": "is not on", "example.com.": "not a domain", "exa mple.com": "not a domain",
	} {
		config := &Realm{Portal: portalOrigin + "/auth/", Applications: []string{appOrigin, "https://*.tools.example.com"}, Session: &Session{CookieDomain: domain}}
		if err := config.parseOrigins(); err != nil {
			t.Fatal(err)
		}
		err := config.parseSession()
		if problem == "" && err != nil || problem != "" && (err == nil || !strings.Contains(err.Error(), problem) || !strings.Contains(err.Error(), "cookie_domain")) {
			t.Errorf("%q: %v, want %q", domain, err, problem)
		}
	}
	for _, hosts := range [][2]string{{"https://auth.example.org/auth/", appOrigin}, {portalOrigin + "/auth/", "https://app.example.org"}} {
		config := &Realm{Portal: hosts[0], Applications: hosts[1:], Session: &Session{CookieDomain: "example.com"}}
		if err := config.parseOrigins(); err != nil {
			t.Fatal(err)
		}
		if err := config.parseSession(); err == nil || !strings.Contains(err.Error(), "example.org is not on example.com") {
			t.Errorf("%v: %v", hosts, err)
		}
	}
	config := &Realm{Portal: "http://auth.test.localhost/auth/", Applications: []string{"http://app.test.localhost"}, Session: &Session{CookieDomain: "test.localhost"}}
	if err := config.parseOrigins(); err != nil {
		t.Fatal(err)
	}
	if err := config.parseSession(); err == nil || !strings.Contains(err.Error(), "https") {
		t.Errorf("without TLS: %v", err)
	}
}

// Two realms whose cookies meet on a host would sign people out of each other, or leave them with two cookies that are both refused.
func TestCookieDomainsOfTwoRealms(t *testing.T) {
	for _, c := range []struct {
		one, two string
		meet     bool
	}{
		{"example.com", "example.com", true},
		{"example.com", "shop.example.com", true},
		{"shop.example.com", "example.com", true},
		{"shop.example.com", "app.example.com", false},
		{"example.com", "anexample.com", false},
		{"example.com", "", false},
		{"", "", false},
	} {
		app := &App{Realms: map[string]*Realm{
			"staff": {Session: &Session{CookieDomain: c.one}}, "customers": {Session: &Session{CookieDomain: c.two}}, "partners": {},
		}}
		if err := app.checkCookieDomains(); (err != nil) != c.meet {
			t.Errorf("%q and %q: %v", c.one, c.two, err)
		}
	}
}

func TestCookieDomainInTheCaddyfile(t *testing.T) {
	value, err := parseGlobalOption(caddyfile.NewTestDispenser("passwordless {\n portal https://auth.example.com\n applications https://app.example.com\n"+
		"user_pool cognito eu-west-1_Ab12Cd34E {\n client_id 1example23456789\n}\n credential_store dynamodb AuthenticatorsTable\n passkeys {\n relying_party example.com\n}\n session {\n cookie_domain example.com\n}\n}"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if app, ok := value.(httpcaddyfile.App); !ok || !strings.Contains(string(app.Value), `"cookie_domain":"example.com"`) {
		t.Errorf("%+v", value)
	}
}
