package caddyauth

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
)

var sessionDevice = session.Device{Address: "192.0.2.1", UserAgent: "test"}

// sendRaw writes bytes to a server and reads until it closes.
func sendRaw(t *testing.T, address, request string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, conn)
}

// post is the form that the handoff page's script sends.
func post(origin, code string, cookies ...*http.Cookie) *http.Request {
	r := httptest.NewRequest(http.MethodPost, origin+"/auth/handoff", strings.NewReader(url.Values{"code": {code}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Sec-Fetch-Mode", "cors")
	r.Header.Set("Sec-Fetch-Dest", "empty")
	r.Header.Set("Origin", origin)
	for _, c := range cookies {
		if c != nil {
			r.AddCookie(c)
		}
	}
	return r
}

// handoffCode takes the code from the address of a handoff.
func handoffCode(location, origin string) (code string, ok bool) {
	before, code, _ := strings.Cut(location, "#")
	return code, strings.HasPrefix(before, origin+"/auth/handoff?flow=") && isCode(code)
}

// ledTo is where an application's answer to a code sends the page's script; "" if nowhere.
func ledTo(w *httptest.ResponseRecorder) string {
	var answer locationAnswer
	if w.Code != http.StatusOK || json.Unmarshal(w.Body.Bytes(), &answer) != nil {
		return ""
	}
	return answer.Location
}

// begin opens an address without a session: the flow, and the nonce cookie the browser then has.
func (g *guarded) begin(guard *Guard, target string, cookies ...*http.Cookie) (Flow, *http.Cookie) {
	g.tb.Helper()
	w := g.serve(navigation(target, cookies...), guard)
	flow := g.flowOf(w)
	if nonce := cookieSet(w, g.rt.nonceCookie.Name); nonce != nil {
		return flow, nonce
	}
	for _, c := range cookies {
		if c.Name == g.rt.nonceCookie.Name {
			return flow, c
		}
	}
	return flow, nil
}

// signedIn is what the portal does at the end of a flow: it yields the handoff code.
func (g *guarded) signedIn(flow Flow, subject string) string {
	g.tb.Helper()
	s, _ := g.signIn(subject, portalOrigin)
	next, err := g.rt.finish(g.tb.Context(), flow, s)
	if err != nil {
		g.tb.Fatal(err)
	}
	code, ok := handoffCode(next, flow.Host)
	if !ok {
		g.tb.Fatalf("next location %q", next)
	}
	return code
}

func TestHandoffSignsInAndReturnsWithQueryAndFragment(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{})
	flow, nonce := g.begin(guard, appOrigin+"/reports?year=2026")
	flow.Fragment = "q3"
	code := g.signedIn(flow, "alice")

	page := g.serve(navigation(appOrigin+"/auth/handoff", nonce), guard)
	if page.Code != http.StatusOK || !strings.Contains(page.Header().Get("Content-Security-Policy"), "default-src 'none'") || page.Header().Get("Referrer-Policy") != "strict-origin" {
		t.Errorf("page: %d %v", page.Code, page.Header())
	}
	w := g.serve(post(appOrigin, code, nonce), guard)
	if ledTo(w) != "/reports?year=2026#q3" || w.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	cookie := cookieSet(w, g.rt.sessionCookie.Name)
	if w := g.serve(navigation(appOrigin+"/reports?year=2026", cookie, nonce), guard); w.Code != http.StatusOK || g.reached.Header.Get(headerUser) != "alice" {
		t.Errorf("after the handoff: %d", w.Code)
	}
	wantUnauthenticated(t, g.serve(script(otherOrigin+"/", cookie), guard), "invalid_session")
}

// wantNoSession checks that a handoff neither signed in nor redirected.
func wantNoSession(t *testing.T, g *guarded, w *httptest.ResponseRecorder) {
	t.Helper()
	if w.Code < 400 || w.Header().Get("Location") != "" || cookieSet(w, g.rt.sessionCookie.Name) != nil {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// A code that was read off the address bar, or phished, is worth nothing in another browser.
func TestAttackStolenHandoffCode(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{})
	flow, nonce := g.begin(guard, appOrigin+"/")
	wantNoSession(t, g, g.serve(post(appOrigin, g.signedIn(flow, "alice")), guard)) // no nonce cookie at all

	_, other := g.begin(guard, appOrigin+"/")
	code := g.signedIn(flow, "alice")
	if w := g.serve(post(appOrigin, code, other), guard); cookieSet(w, g.rt.sessionCookie.Name) != nil {
		t.Error("a thief with a nonce of his own was signed in")
	}
	wantNoSession(t, g, g.serve(post(appOrigin, code, nonce), guard)) // and the try has burned it
}

// Login CSRF: the attacker's code, posted from his page or with a form on it.
func TestAttackHandoffFromAnotherSite(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{})
	flow, nonce := g.begin(guard, appOrigin+"/")
	r := post(appOrigin, g.signedIn(flow, "mallory"), nonce)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("Origin", "https://evil.com")
	wantNoSession(t, g, g.serve(r, guard))
	r = post(appOrigin, g.signedIn(flow, "mallory"), nonce)
	r.Header.Del("Sec-Fetch-Site")
	r.Header.Set("Origin", "https://evil.com")
	wantNoSession(t, g, g.serve(r, guard))
}

func TestAttackReplayedHandoffCode(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{})
	flow, nonce := g.begin(guard, appOrigin+"/")
	code := g.signedIn(flow, "alice")
	if w := g.serve(post(appOrigin, code, nonce), guard); ledTo(w) != "/" {
		t.Fatalf("%d", w.Code)
	}
	wantNoSession(t, g, g.serve(post(appOrigin, code, nonce), guard))
}

func TestAttackHandoffCodeForAnotherHost(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{})
	flow, nonce := g.begin(guard, appOrigin+"/")
	wantNoSession(t, g, g.serve(post(otherOrigin, g.signedIn(flow, "alice"), nonce), guard))
}

func TestHandoffCodeExpires(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{})
	flow, nonce := g.begin(guard, appOrigin+"/")
	code := g.signedIn(flow, "alice")
	g.clock.Advance(handoffLifetime)
	wantNoSession(t, g, g.serve(post(appOrigin, code, nonce), guard))
}

// Signed out between sign-in and handoff: the code must not bring the session back.
func TestAttackHandoffAfterSignOut(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{})
	flow, nonce := g.begin(guard, appOrigin+"/")
	s, _ := g.signIn("alice", portalOrigin)
	next, err := g.rt.finish(t.Context(), flow, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.rt.sessions.End(context.Background(), s); err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(next, "#")
	wantNoSession(t, g, g.serve(post(appOrigin, code, nonce), guard))
}

func TestHandoffRefusesWhatIsNoCode(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{})
	_, nonce := g.begin(guard, appOrigin+"/")
	for _, code := range []string{"", "x", strings.Repeat("A", 42), strings.Repeat("=", 43), strings.Repeat("A", 9000), strings.Repeat("A", 43)} {
		wantNoSession(t, g, g.serve(post(appOrigin, code, nonce), guard))
	}
	inQuery := post(appOrigin, "", nonce)
	inQuery.URL.RawQuery = "code=" + strings.Repeat("A", 43)
	wantNoSession(t, g, g.serve(inQuery, guard))
	for _, method := range []string{http.MethodPut, http.MethodDelete, "ET"} {
		r := post(appOrigin, "", nonce)
		r.Method = method
		if w := g.serve(r, guard); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD, POST" {
			t.Errorf("%s: %d", method, w.Code)
		}
	}
	g.storage.Fail(func(op, _ string) error {
		if op == "lock" || op == "load" {
			return errors.New("disk on fire")
		}
		return nil
	})
	if w := g.serve(post(appOrigin, strings.Repeat("A", 43), nonce), guard); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("storage down: %d", w.Code)
	}
}

// The page asked for is offered again, where a handoff fails or its page is loaded again: to the browser that began, and to no other.
func TestHandoffOffersThePageAskedFor(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{})
	flow, nonce := g.begin(guard, appOrigin+"/reports?year=2026&a=%2F")
	s, _ := g.signIn("alice", portalOrigin)
	next, err := g.rt.finish(t.Context(), flow, s)
	if err != nil {
		t.Fatal(err)
	}
	address, _, _ := strings.Cut(next, "#")
	_, other := g.begin(guard, appOrigin+"/")
	for _, tc := range []struct {
		who    string
		nonce  *http.Cookie
		origin string
		want   string
	}{
		{"the browser that began", nonce, appOrigin, "/reports?year=2026&a=%2F"},
		{"attack: an address of somebody else's", other, appOrigin, "/"},
		{"another host", nonce, otherOrigin, "/"},
	} {
		address := strings.Replace(address, appOrigin, tc.origin, 1)
		page := g.serve(navigation(address, tc.nonce), guard)
		if !strings.Contains(page.Body.String(), `href="`+strings.ReplaceAll(tc.want, "&", "&amp;")+`"`) {
			t.Errorf("%s: the page lacks %s: %s", tc.who, tc.want, page.Body)
		}
		r := post(tc.origin, strings.Repeat("A", 43), tc.nonce)
		_, r.URL.RawQuery, _ = strings.Cut(address, "?")
		var answer struct{ Error, Message, Location string }
		w := g.serve(r, guard)
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusForbidden || answer.Location != tc.want || answer.Error != "handoff_failed" || answer.Message == "" {
			t.Errorf("%s: %d %s", tc.who, w.Code, w.Body)
		}
	}
}

// Two tabs open the application and sign in at once: both get in, with one nonce cookie.
func TestTwoTabsSignInAtOnce(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{})
	first, nonce := g.begin(guard, appOrigin+"/one")
	second, same := g.begin(guard, appOrigin+"/two", nonce)
	if parseNonce(same.Value).secret != parseNonce(nonce.Value).secret {
		t.Fatal("two nonces")
	}
	one, two := g.signedIn(first, "alice"), g.signedIn(second, "alice")
	for _, tab := range []struct{ code, location string }{{two, "/two"}, {one, "/one"}} {
		w := g.serve(post(appOrigin, tab.code, nonce), guard)
		if ledTo(w) != tab.location || cookieSet(w, g.rt.sessionCookie.Name) == nil {
			t.Errorf("%s: %d %v", tab.location, w.Code, w.Header())
		}
		nonce = cookieSet(w, nonce.Name)
	}
}

// A browser restores two tabs before either answer has set the nonce cookie, so the later cookie replaces the earlier: the
// first tab opens its page again and comes back with the nonce that stayed.
func TestTwoTabsBeforeTheNonceIsSet(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{})
	first, _ := g.begin(guard, appOrigin+"/one?x=1")
	_, kept := g.begin(guard, appOrigin+"/two")
	w := g.serve(post(appOrigin, g.signedIn(first, "alice"), kept), guard)
	if ledTo(w) != "/one?x=1" || cookieSet(w, g.rt.sessionCookie.Name) != nil {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	again, nonce := g.begin(guard, appOrigin+"/one?x=1", cookieSet(w, g.rt.nonceCookie.Name))
	if w := g.serve(post(appOrigin, g.signedIn(again, "alice"), nonce), guard); ledTo(w) != "/one?x=1" || cookieSet(w, g.rt.sessionCookie.Name) == nil {
		t.Errorf("second try: %d %v", w.Code, w.Header())
	}
}

// A code of another nonce over and over, as when a browser swaps cookies: an error page in the end, no loop.
func TestAttackHandoffLoop(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{})
	foreign, _ := g.begin(guard, appOrigin+"/")
	_, nonce := g.begin(guard, appOrigin+"/")
	for i := range 10 {
		w := g.serve(post(appOrigin, g.signedIn(foreign, "alice"), nonce), guard)
		if ledTo(w) == "" {
			if i != loopTries {
				t.Errorf("gave up at %d", i)
			}
			wantNoSession(t, g, w)
			return
		}
		nonce = cookieSet(w, nonce.Name)
	}
	t.Error("it never ends")
}

func TestFinishOnThePortalAndWithForgedTargets(t *testing.T) {
	g := newGuarded(t)
	s, _ := g.signIn("alice", portalOrigin)
	for name, tc := range map[string]struct {
		flow Flow
		want string
	}{
		"no target":           {Flow{}, "/auth/account"},
		"portal page":         {Flow{Return: portalOrigin + "/auth/account?x=1", Fragment: "passkeys"}, "/auth/account?x=1#passkeys"},
		"fragment with tags":  {Flow{Return: portalOrigin + "/auth/account", Fragment: "a<b\r\n"}, "/auth/account#a%3Cb%0D%0A"},
		"evil":                {Flow{Return: "https://evil.com/", Host: "https://evil.com", NonceHash: "x"}, "/auth/account"},
		"host without target": {Flow{Return: otherOrigin + "/", Host: appOrigin, NonceHash: "x"}, "/auth/account"},
		"no nonce":            {Flow{Return: appOrigin + "/", Host: appOrigin}, "/auth/account"},
		"script":              {Flow{Return: "javascript:alert(1)"}, "/auth/account"},
		"two slashes":         {Flow{Return: portalOrigin + "//evil.com"}, "/auth/account"},
	} {
		got, err := g.rt.finish(t.Context(), tc.flow, s)
		if err != nil || got != tc.want {
			t.Errorf("%s: %q %v, want %q", name, got, err, tc.want)
		}
	}
	g.storage.Fail(func(op, _ string) error {
		if op == "store" {
			return errors.New("disk full")
		}
		return nil
	})
	if got, err := g.rt.finish(t.Context(), Flow{Return: appOrigin + "/", Host: appOrigin, NonceHash: "x"}, s); err == nil || got != "" {
		t.Errorf("storage down: %q %v", got, err)
	}
}

func TestGuardsOwnAddresses(t *testing.T) {
	g := newGuarded(t)
	endpoints := g.guard(Guard{EndpointsOnly: true})
	w := g.serve(navigation(appOrigin+"/auth/sign-out"), endpoints)
	if w.Code != http.StatusFound || w.Header().Get("Location") != portalOrigin+"/auth/sign-out?return="+url.QueryEscape(appOrigin+"/") {
		t.Errorf("sign-out: %d %v", w.Code, w.Header())
	}
	if w := g.serve(navigation(appOrigin+"/auth/handoff"), endpoints); w.Code != http.StatusOK {
		t.Errorf("handoff page: %d", w.Code)
	}
	if w := g.serve(script(appOrigin+"/auth/other"), endpoints); w.Code != http.StatusOK || g.calls != 1 {
		t.Errorf("an address of the application: %d", w.Code)
	}
	if w := g.serve(navigation("https://evil.example.org/auth/handoff"), endpoints); w.Code != http.StatusForbidden {
		t.Errorf("unlisted host: %d", w.Code)
	}
	wantUnauthenticated(t, g.serve(script(appOrigin+"/auth/other"), g.guard(Guard{})), "no_session")
}

func TestNonceCookie(t *testing.T) {
	nonce, err := newNonce(nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1770000000, 0)
	for _, value := range []string{"", "x", nonce.secret[:42], nonce.secret + "x", "." + nonce.secret, strings.Repeat("é", 22)} {
		if got := parseNonce(value); got != (nonceValue{}) {
			t.Errorf("%q: %+v", value, got)
		}
	}
	if got := parseNonce(nonce.tried(now).tried(now).String()); got.secret != nonce.secret || got.tries != 2 || !got.last.Equal(now) || !got.fits(nonce.hash()) {
		t.Errorf("%+v", got)
	}
	for _, tail := range []string{".", ".x.1", ".1.x", ".-1.5", ".999.1"} {
		if got := parseNonce(nonce.secret + tail); got.tries != 0 || got.secret != nonce.secret {
			t.Errorf("%q: %+v", tail, got)
		}
	}
	tried := parseNonce(nonce.tried(now).String())
	for after, want := range map[time.Duration]int{-time.Millisecond: 1, 0: 1, time.Millisecond: 0} { // two step-ups in one second are no loop, a factor of before is no proof
		if got := tried.proven(now.Add(after)).tries; got != want {
			t.Errorf("after a factor %s later there are %d tries, want %d", after, got, want)
		}
	}
	if (nonceValue{}).fits((nonceValue{}).hash()) {
		t.Error("no nonce fits")
	}
}
