package caddyauth

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// A client sends identity headers of its own, in every spelling that an upstream might fold into ours, on every kind of route.
func TestAttackSpoofedIdentityHeaders(t *testing.T) {
	g := newGuarded(t)
	_, cookie := g.signIn("alice", appOrigin)
	guard := g.guard(Guard{Bypass: []string{"/health"}})
	other := g.guard(Guard{Headers: map[string]string{"X-Role": "department"}}) // guards other routes only
	_ = other
	spoofed := []string{
		"X-Passwordless-User", "x-passwordless-user", "X_Passwordless_User", "X.Passwordless.User", "X-PASSWORDLESS_user", "XPasswordlessUser",
		"X-Passwordless-Groups", "X_Passwordless-Groups", "X-Passwordless-Email", "X-Passwordless-Anything", "X--Passwordless--User",
		"X-Role", "x_role", "X.Role", "X~Role", "XRole",
	}
	for name, r := range map[string]*http.Request{
		"signed in": script(appOrigin+"/", cookie), "bypass": script(appOrigin + "/health"), "bypass with session": script(appOrigin+"/health", cookie),
		"preflight": func() *http.Request {
			r := script(appOrigin + "/")
			r.Method = http.MethodOptions
			r.Header.Set("Origin", appOrigin)
			r.Header.Set("Access-Control-Request-Method", "GET")
			return r
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			for _, header := range spoofed {
				r.Header[header] = []string{"admin", "admins"}
			}
			r.Header["X-Rolex"] = []string{"kept"}
			if w := g.serve(r, guard); w.Code != http.StatusOK {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			for header, values := range g.reached.Header {
				if strings.Contains(strings.Join(values, " "), "admin") {
					t.Errorf("%s: %q reached the upstream", header, values)
				}
			}
			if g.reached.Header.Get("X-Rolex") != "kept" {
				t.Error("a header of somebody else was removed")
			}
		})
	}
}

// A user without groups (or without the claim) sends the header: absence must not leave the client's.
func TestAttackHeaderWhenTheClaimIsAbsent(t *testing.T) {
	g := newGuarded(t)
	_, cookie := g.signIn("alice", appOrigin)
	guard := g.guard(Guard{Headers: map[string]string{"X-Department": "department"}})
	r := script(appOrigin+"/", cookie)
	r.Header.Set(headerGroups, "admins")
	r.Header.Set("X-Department", "board")
	g.serve(r, guard)
	if g.reached.Header.Get(headerGroups) != "" || g.reached.Header.Get("X-Department") != "" {
		t.Errorf("%v", g.reached.Header)
	}
}

// The client appends its groups to ours, as further header lines.
func TestAttackGroupsAppended(t *testing.T) {
	g := newGuarded(t)
	g.pool.Groups = []string{"staff"}
	_, cookie := g.signIn("alice", appOrigin)
	r := script(appOrigin+"/", cookie)
	r.Header[headerGroups] = []string{"staff", "admins"}
	g.serve(r, g.guard(Guard{}))
	if got := g.reached.Header[headerGroups]; len(got) != 1 || got[0] != "staff" {
		t.Errorf("%q", got)
	}
}

// A user name with line breaks would write headers of its own.
func TestAttackControlCharactersInValues(t *testing.T) {
	g := newGuarded(t)
	_, cookie := g.signIn("alice\r\nX-Admin: yes", appOrigin)
	g.serve(script(appOrigin+"/", cookie), g.guard(Guard{}))
	if got := g.reached.Header.Get(headerUser); got != "alice%0D%0AX-Admin: yes" {
		t.Errorf("%q", got)
	}
}

// An unverified address is not sent: an application that finds accounts by e-mail would hand over somebody else's.
func TestAttackUnverifiedAddress(t *testing.T) {
	g := newGuarded(t)
	s, _ := g.signIn("mallory", appOrigin)
	s.Email, s.EmailVerified = "boss@example.com", false
	g.serve(script(appOrigin+"/", g.cookie(s, appOrigin)), g.guard(Guard{}))
	if got := g.reached.Header.Values(headerEmail); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

// "Connection: X-Passwordless-User" makes the proxy delete our header as hop-by-hop after we set it; a trailer may be merged
// into the headers by an upstream.
func TestAttackConnectionAndTrailer(t *testing.T) {
	g := newGuarded(t)
	_, cookie := g.signIn("alice", appOrigin)
	guard := g.guard(Guard{})
	r := script(appOrigin+"/", cookie)
	r.Header["Connection"] = []string{"keep-alive, X-Passwordless-User", "x_passwordless_groups"}
	g.serve(r, guard)
	if got := g.reached.Header["Connection"]; len(got) != 1 || got[0] != "keep-alive" {
		t.Errorf("Connection: %q", got)
	}
	r = script(appOrigin+"/", cookie)
	r.Header["Connection"] = []string{"X-Passwordless-User"}
	g.serve(r, guard)
	if got, ok := g.reached.Header["Connection"]; ok {
		t.Errorf("Connection: %q", got)
	}
	// Over a real connection: an announced trailer of ours, and one that nobody announced.
	upstream := make(chan http.Header, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Host = "app.example.com"
		r.TLS = httptest.NewRequest(http.MethodGet, appOrigin, nil).TLS
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil)
		_ = guard.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
			_, _ = io.Copy(io.Discard, r.Body)
			upstream <- r.Trailer
			return nil
		}))
	}))
	defer server.Close()
	body := "POST / HTTP/1.1\r\nHost: app.example.com\r\nCookie: " + cookie.Name + "=" + cookie.Value + "\r\nTransfer-Encoding: chunked\r\n" +
		"Trailer: X-Checksum, X_Passwordless_Groups, Authorization\r\nConnection: close\r\n\r\n" +
		"2\r\nhi\r\n0\r\nX-Checksum: 1\r\nX_Passwordless_Groups: admins\r\nX-Passwordless-User: root\r\n" +
		"Authorization: Bearer root\r\nCookie: root=1\r\n\r\n"
	sendRaw(t, server.Listener.Addr().String(), body)
	select {
	case trailer := <-upstream:
		if len(trailer) != 1 || trailer.Get("X-Checksum") != "1" {
			t.Errorf("trailers: %v", trailer)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the request did not arrive")
	}
}

// A sibling subdomain tosses a cookie of the same name: neither of the two is believed, and nothing loops.
func TestAttackDuplicateCookies(t *testing.T) {
	g := newGuarded(t)
	_, mine := g.signIn("alice", appOrigin)
	_, planted := g.signIn("mallory", appOrigin)
	guard := g.guard(Guard{})
	for _, r := range []*http.Request{script(appOrigin+"/", mine, planted), navigation(appOrigin+"/", planted, mine), navigation(appOrigin+"/", mine, mine)} {
		if w := g.serve(r, guard); w.Code != http.StatusBadRequest || g.calls != 0 {
			t.Errorf("%d", w.Code)
		}
	}
	two := script(appOrigin + "/")
	two.Header["Cookie"] = []string{mine.String(), planted.String()}
	if w := g.serve(two, guard); w.Code != http.StatusBadRequest {
		t.Errorf("in two headers: %d", w.Code)
	}
}

// Cookies of another host, another realm, altered, truncated, and huge ones.
func TestAttackForeignCookies(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{})
	_, cookie := g.signIn("alice", appOrigin)
	_, elsewhere := g.signIn("alice", otherOrigin)
	_, portal := g.signIn("alice", portalOrigin)
	foreign := g.open(g.rt.config, "staff")
	s, err := foreign.sessions.Start(context.Background(), g.pool.SignIn("alice"), "passkey", sessionDevice)
	if err != nil {
		t.Fatal(err)
	}
	otherRealm, err := foreign.sessions.Seal(s, "app.example.com")
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"other application": elsewhere.Value, "portal": portal.Value, "other realm": otherRealm, "truncated": cookie.Value[:len(cookie.Value)-1],
		"longer": cookie.Value + "A", "huge": strings.Repeat("A", 100000), "empty": "", "flow": func() string { f, _ := g.rt.sealFlow(Flow{}); return f }(),
	} {
		wantUnauthenticated(t, g.serve(script(appOrigin+"/", &http.Cookie{Name: cookie.Name, Value: value}), guard), "invalid_session")
		_ = name
	}
	// The name without __Host-, which a subdomain can set, is not read.
	wantUnauthenticated(t, g.serve(script(appOrigin+"/", &http.Cookie{Name: "passwordless_session", Value: cookie.Value}), guard), "no_session")
	if g.calls != 0 {
		t.Error("something reached the upstream")
	}
}

// A copied cookie is dead after sign-out.
func TestAttackCookieAfterSignOut(t *testing.T) {
	g := newGuarded(t)
	s, cookie := g.signIn("alice", appOrigin)
	guard := g.guard(Guard{})
	if err := g.rt.sessions.End(context.Background(), s); err != nil {
		t.Fatal(err)
	}
	wantUnauthenticated(t, g.serve(script(appOrigin+"/", cookie), guard), "signed_out")
	g.flowOf(g.serve(navigation(appOrigin+"/", cookie), guard))
}

// Our cookies are worth a session: an upstream must not have them. Those of others pass byte for byte.
func TestAttackOurCookiesUpstream(t *testing.T) {
	g := newGuarded(t)
	_, cookie := g.signIn("alice", appOrigin)
	guard := g.guard(Guard{Bypass: []string{"/health"}})
	for _, path := range []string{"/", "/health"} {
		r := script(appOrigin + path)
		r.Header["Cookie"] = []string{
			"a=\"1\";  b=x=y; __Host-passwordless_session=" + cookie.Value + "; passwordless_session=p; c=3",
			"__Host-passwordless_nonce=n;passwordless_nonce=n; __Host-passwordless_browser=b; passwordless_browser=b",
			"my_passwordless_session=theirs",
		}
		if w := g.serve(r, guard); w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
		if got := strings.Join(g.reached.Header["Cookie"], "|"); got != "a=\"1\";  b=x=y; c=3|my_passwordless_session=theirs" {
			t.Errorf("%s: upstream got %q", path, got)
		}
	}
}

// Tricks against `bypass /public/*`: what Caddy reads as below /public the upstream might serve from /admin.
func TestAttackPathTricksAgainstBypass(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{Bypass: []string{"/public/*", "/health"}})
	catchAll := g.guard(Guard{}) // a second guard without rules must not let through what the first would refuse
	for _, path := range []string{
		"/public/../admin", "/public/%2e%2e/admin", "/public/%2E./admin", "/public/..%2fadmin", "/public/..%2Fadmin", "/public/..%5cadmin",
		"/public/..%5Cadmin", "/public\\..\\admin", "//public/admin", "/public//admin", "/public/..;/admin", "/public/;/admin", "/public/%3b/admin",
		"/public/./admin", "/public/%252e%252e/admin", "/public/%252fadmin", "/public/%c0%ae%c0%ae/admin", "/public/..", "/public/.", "/health;x",
		"/public/%00", "/public/a%0d%0ab", "/public/%25u002e%25u002e%25u002fadmin", "/public/%e0%80%ae%e0%80%ae%e0%80%afadmin", "/public/%f0%80%80%afadmin",
		"/public/%f8%80%80%80%af", "/public/%fc%80%80%80%80%af", "/public/a%7f",
	} {
		for name, guards := range map[string][]*Guard{"bypass": {guard}, "catch-all": {catchAll}} {
			r := script(appOrigin + "/")
			r.URL = rawPath(t, path)
			r.RequestURI = path
			if w := g.serve(r, guards...); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "ambiguous_path") {
				t.Errorf("%s, %s: %d %s", path, name, w.Code, w.Body)
			}
		}
	}
	for _, path := range []string{"/PUBLIC/x", "/public", "/publicity", "/health/", "/Health", "/healthz", "/admin?/public/x", "/admin?x=/public/", "/admin%3f/public/"} {
		r := script(appOrigin + "/")
		r.URL = rawPath(t, path)
		wantUnauthenticated(t, g.serve(r, guard), "no_session")
	}
	for _, path := range []string{"/public/x", "/public/", "/health", "/health?deep=1", "/public/a%20b", "/public/%C3%A9", "/public/100%25", "/public/a.b..c", "/public/%E3%83%9A%E0%A4%B9%F0%9F%94%91", "/public/...", "/public/%25us"} {
		r := script(appOrigin + "/")
		r.URL = rawPath(t, path)
		if w := g.serve(r, guard); w.Code != http.StatusOK {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if w := g.serve(script(appOrigin+"/public//x"), g.guard(Guard{Bypass: []string{"/public/*"}, AllowAmbiguousPaths: true})); w.Code != http.StatusOK {
		t.Errorf("ambiguous_paths allow: %d", w.Code)
	}
}

// Without any path rule such paths mean nothing special.
func TestAmbiguousPathsPassWithoutPathRules(t *testing.T) {
	g := newGuarded(t)
	_, cookie := g.signIn("alice", appOrigin)
	guard := g.guard(Guard{})
	r := script(appOrigin+"/app;jsessionid=1//x", cookie)
	if w := g.serve(r, guard); w.Code != http.StatusOK {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// Headers that claim another path, host or method, and a health checker's User-Agent, change nothing.
func TestAttackHeadersThatClaimAnotherRequest(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{Bypass: []string{"/health"}})
	headers := http.Header{
		"X-Forwarded-Uri": {"/health"}, "X-Original-Url": {"/health"}, "X-Rewrite-Url": {"/health"}, "X-Forwarded-Prefix": {"/health"},
		"X-Forwarded-Host": {"other.example.com"}, "X-Forwarded-Method": {"OPTIONS"}, "User-Agent": {"kube-probe/1.30"}, "X-Original-Method": {"OPTIONS"},
	}
	r := script(appOrigin + "/admin")
	for name, values := range headers {
		r.Header[name] = values
	}
	wantUnauthenticated(t, g.serve(r, guard), "no_session")
	nav := navigation(appOrigin + "/admin")
	for name, values := range headers {
		nav.Header[name] = values
	}
	if flow := g.flowOf(g.serve(nav, guard)); flow.Return != appOrigin+"/admin" || flow.Host != appOrigin {
		t.Errorf("%+v", flow)
	}
	// The other way round: an open path whose header sends the upstream elsewhere.
	open := script(appOrigin + "/health")
	for _, name := range []string{"X-Original-Url", "X-Rewrite-Url", "X_Original_URL", "X_REWRITE_URL", "x.rewrite.url", "X-Original_URL"} { // PHP and WSGI fold
		open.Header[name] = []string{"/admin"}
	}
	g.serve(open, guard)
	for name, values := range g.reached.Header {
		if strings.Contains(values[0], "/admin") {
			t.Errorf("the upstream is told another path by %s", name)
		}
	}
}

// Return targets: a poisoned Host header, an absolute-form request, and paths that a browser reads as another host.
func TestAttackReturnTargetPoisoning(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{})
	for _, host := range []string{"evil.com", "app.example.com.evil.com", "app.example.com@evil.com", "app.example.com:444", "app.example.com.", "APP.example.com\t"} {
		r := navigation(appOrigin + "/x")
		r.Host = host
		if w := g.serve(r, guard); w.Code != http.StatusForbidden || w.Header().Get("Location") != "" {
			t.Errorf("Host %q: %d %v", host, w.Code, w.Header())
		}
	}
	absolute := navigation(appOrigin + "/x?y=1")
	absolute.RequestURI = "http://evil.com/x"
	absolute.URL.Scheme, absolute.URL.Host, absolute.URL.User = "http", "evil.com", url.User("app.example.com")
	if flow := g.flowOf(g.serve(absolute, guard)); flow.Return != appOrigin+"/x?y=1" {
		t.Errorf("absolute form: %s", flow.Return)
	}
	for path, want := range map[string]string{
		"//evil.com":           appOrigin + "/",
		"/\\evil.com":          appOrigin + "/%5Cevil.com",
		"/%5cevil.com":         appOrigin + "/%5cevil.com",
		"/%2f%2fevil.com":      appOrigin + "/",
		"/%09/evil.com":        appOrigin + "/%09/evil.com",
		"/x?next=//evil.com\\": appOrigin + "/x?next=//evil.com%5C",
	} {
		r := navigation(appOrigin + "/")
		r.URL = rawPath(t, path)
		if flow := g.flowOf(g.serve(r, guard)); flow.Return != want {
			t.Errorf("%q: return target %q, want %q", path, flow.Return, want)
		}
	}
	long := navigation(appOrigin + "/search?q=" + strings.Repeat("a", 5000))
	if flow := g.flowOf(g.serve(long, guard)); flow.Return != appOrigin+"/search" {
		t.Errorf("a huge query: %d bytes", len(flow.Return))
	}
}

// Cookies that a browser refuses to keep must not bounce it between two hosts for ever.
func TestAttackRedirectLoop(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{})
	nonce, err := newNonce(nil)
	if err != nil {
		t.Fatal(err)
	}
	for range loopTries {
		nonce = nonce.tried(g.clock.Now())
		g.clock.Advance(time.Second)
	}
	cookie := &http.Cookie{Name: g.rt.nonceCookie.Name, Value: nonce.String()}
	if w := g.serve(navigation(appOrigin+"/", cookie), guard); w.Code != http.StatusForbidden || w.Header().Get("Location") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	g.clock.Advance(time.Minute)
	g.flowOf(g.serve(navigation(appOrigin+"/", cookie), guard))
}

func rawPath(t testing.TB, target string) *url.URL {
	t.Helper()
	path, query, _ := strings.Cut(target, "?")
	decoded, err := url.PathUnescape(path)
	if err != nil {
		t.Fatal(err)
	}
	return &url.URL{Path: decoded, RawPath: path, RawQuery: query}
}
