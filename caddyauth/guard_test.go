package caddyauth

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-cognito/passwordless/internal/session"
)

func TestNavigationGoesToSignInAndComesBackToTheSameAddress(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{})
	w := g.serve(navigation(appOrigin+"/reports?year=2026&q=a%20b"), guard)
	flow := g.flowOf(w)
	if flow.Return != appOrigin+"/reports?year=2026&q=a%20b" || flow.Host != appOrigin || flow.NonceHash == "" {
		t.Errorf("flow: %+v", flow)
	}
	if w.Header().Get("Cache-Control") != "no-store" || g.calls != 0 {
		t.Errorf("headers %v, upstream calls %d", w.Header(), g.calls)
	}
	nonce := cookieSet(w, g.rt.nonceCookie.Name)
	if nonce == nil || !nonce.HttpOnly || !nonce.Secure || nonce.SameSite != http.SameSiteLaxMode {
		t.Fatalf("nonce cookie: %v", nonce)
	}
	// A second tab reuses the nonce: nothing piles up.
	w = g.serve(navigation(appOrigin+"/other", nonce), guard)
	again := cookieSet(w, nonce.Name) // which counts the sign-ins begun
	if second := g.flowOf(w); second.NonceHash != flow.NonceHash || again == nil || parseNonce(again.Value).secret != parseNonce(nonce.Value).secret {
		t.Error("the second tab got a nonce of its own")
	}
}

// People come back to what they asked for, not to what the site's configuration rewrote it to.
func TestReturnTargetIsTheRequestBeforeRewrites(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{})
	w := httptest.NewRecorder()
	r := caddyhttp.PrepareRequest(navigation(appOrigin+"/pretty/name?x=1"), caddy.NewReplacer(), w, nil)
	r.URL.Path, r.URL.RawQuery = "/index.php", "route=name"
	if err := g.chain([]*Guard{guard}).ServeHTTP(w, r); err != nil {
		t.Fatal(err)
	}
	if flow := g.flowOf(w); flow.Return != appOrigin+"/pretty/name?x=1" {
		t.Errorf("return target %s", flow.Return)
	}
}

// Landing on an asset or an API address after sign-in helps nobody, and a redirect to another origin is a CORS error to a script.
func TestEverythingButNavigationsGetsJSON(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{})
	for name, change := range map[string]func(*http.Request){
		"fetch": func(r *http.Request) { r.Header.Set("Sec-Fetch-Mode", "cors"); r.Header.Set("Sec-Fetch-Dest", "empty") },
		"image": func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Mode", "no-cors")
			r.Header.Set("Sec-Fetch-Dest", "image")
		},
		"XMLHttpRequest":       func(r *http.Request) { r.Header.Set("X-Requested-With", "XMLHttpRequest") },
		"POST":                 func(r *http.Request) { r.Method = http.MethodPost },
		"prefetch":             func(r *http.Request) { r.Header.Set("Sec-Purpose", "prefetch;prerender") },
		"protobuf":             func(r *http.Request) { r.Header.Set("Content-Type", "application/x-protobuf") },
		"WebSocket":            func(r *http.Request) { r.Header.Set("Connection", "Upgrade"); r.Header.Set("Upgrade", "websocket") },
		"two fetch dests":      func(r *http.Request) { r.Header.Add("Sec-Fetch-Dest", "document") },
		"curl":                 func(r *http.Request) { r.Header = http.Header{"Accept": {"*/*"}} },
		"JSON client":          func(r *http.Request) { r.Header = http.Header{"Accept": {"application/json"}} },
		"HTML ruled out":       func(r *http.Request) { r.Header = http.Header{"Accept": {"text/html;q=0, */*"}} },
		"no headers at all":    func(r *http.Request) { r.Header = http.Header{} },
		"HTTP/2 CONNECT":       func(r *http.Request) { r.Method = http.MethodConnect; r.Header.Set(":protocol", "websocket") },
		"OPTIONS not a flight": func(r *http.Request) { r.Method = http.MethodOptions },
	} {
		t.Run(name, func(t *testing.T) {
			r := navigation(appOrigin + "/data")
			change(r)
			wantUnauthenticated(t, g.serve(r, guard), "no_session")
		})
	}
	old := httptest.NewRequest(http.MethodGet, appOrigin+"/", nil) // a browser without fetch metadata
	old.Header.Set("Accept", "text/html, */*;q=0.8")
	g.flowOf(g.serve(old, guard))
	if g.calls != 0 {
		t.Error("something reached the upstream")
	}
}

func TestSignedInRequestReachesTheUpstreamWithItsIdentity(t *testing.T) {
	g := newGuarded(t)
	g.pool.Groups = []string{"staff", "a,admins"}
	g.pool.Claims = map[string]any{"department": "F\u00fchrung", "custom:tenant": []any{"x", "y"}}
	_, cookie := g.signIn("alice", appOrigin)
	guard := g.guard(Guard{Headers: map[string]string{"x-department": "department", "X-Tenant": "custom:tenant"}})
	w := g.serve(navigation(appOrigin+"/", cookie), guard)
	if w.Code != http.StatusOK || w.Body.String() != "hello" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	for name, want := range map[string]string{
		headerUser: "alice", headerEmail: "alice@example.com", headerGroups: "staff,a%2Cadmins",
		"X-Department": "F%C3%BChrung", "X-Tenant": "x,y",
	} {
		if got := g.reached.Header.Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if g.reached.Header.Get("Cookie") != "" {
		t.Error("our cookie went upstream")
	}
	for placeholder, want := range map[string]string{
		"id": "alice", "subject": "alice", "email": "alice@example.com", "email_verified": "true",
		"groups": "staff,a,admins", "claims.department": "F\u00fchrung", "claims.custom:tenant": "x,y", "claims.absent": "",
	} {
		if got := g.repl.ReplaceAll("{http.auth.user."+placeholder+"}", ""); got != want {
			t.Errorf("placeholder %s is %q, want %q", placeholder, got, want)
		}
	}
	if got := g.repl.ReplaceAll("{http.vars.passwordless.guard.default}", ""); got != "" {
		t.Errorf("the session shows in a placeholder: %q", got)
	}
}

// Who lacks a claim that the realm keeps has an empty one in `header_up X-Department {http.auth.user.claims.department}`; a name that nobody
// keeps stays as it is written, so that a misspelt one shows.
func TestPlaceholderOfAClaimThatSomebodyLacks(t *testing.T) {
	g := newGuarded(t)
	_, cookie := g.signIn("alice", appOrigin)
	if w := g.serve(navigation(appOrigin+"/", cookie), g.guard(Guard{})); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	for input, want := range map[string]string{
		"[{http.auth.user.claims.department}]": "[]", "[{http.auth.user.claims.departmnt}]": "[{http.auth.user.claims.departmnt}]",
	} {
		if got := g.repl.ReplaceKnown(input, ""); got != want {
			t.Errorf("%s is %q, want %q", input, got, want)
		}
	}
}

// Several guards match one request: all must allow, the session is opened and the headers are set once.
func TestGuardsAreCumulative(t *testing.T) {
	g := newGuarded(t)
	g.pool.Groups = []string{"staff"}
	_, cookie := g.signIn("alice", appOrigin)
	everyone := g.guard(Guard{Bypass: []string{"/health"}})
	staff := g.guard(Guard{Allow: []Rule{{Groups: []string{"admins"}}, {Groups: []string{"staff"}}}, Headers: map[string]string{"X-Department": "department"}})
	admins := g.guard(Guard{Allow: []Rule{{Groups: []string{"admins"}}}})
	denied := g.guard(Guard{Deny: []Rule{{Groups: []string{"staff"}}}})

	if w := g.serve(script(appOrigin+"/", cookie), everyone, staff); w.Code != http.StatusOK || len(g.reached.Header[headerUser]) != 1 {
		t.Errorf("both allow: %d", w.Code)
	}
	for name, guards := range map[string][]*Guard{"not an admin": {everyone, staff, admins}, "admins first": {admins, everyone}, "deny": {staff, denied}} {
		if w := g.serve(script(appOrigin+"/", cookie), guards...); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), `"forbidden"`) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if w := g.serve(navigation(appOrigin+"/", cookie), admins); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "alice@example.com") {
		t.Errorf("the 403 page does not say who is signed in: %d %s", w.Code, w.Body)
	}
	// A bypass lifts only its own guard.
	if w := g.serve(script(appOrigin+"/health"), everyone); w.Code != http.StatusOK {
		t.Errorf("bypass: %d", w.Code)
	}
	wantUnauthenticated(t, g.serve(script(appOrigin+"/health"), everyone, staff), "no_session")
	if w := g.serve(script(appOrigin+"/health", cookie), everyone, staff); w.Code != http.StatusOK || g.reached.Header.Get(headerUser) != "alice" {
		t.Errorf("the second guard did not see the session: %d", w.Code)
	}
}

func TestRules(t *testing.T) {
	s := session.Session{Subject: "s-1", Username: "alice", Email: "Alice@Example.COM", EmailVerified: true, Groups: []string{"staff"},
		Claims: map[string]any{"level": float64(3), "flag": true, "list": []any{"a", float64(2)}}}
	unverified := s
	unverified.EmailVerified = false
	for _, tc := range []struct {
		name string
		rule Rule
		s    session.Session
		want bool
	}{
		{"group", Rule{Groups: []string{"x", "staff"}}, s, true},
		{"group by case", Rule{Groups: []string{"Staff"}}, s, false},
		{"domain", Rule{EmailDomains: []string{"example.com"}}, s, true},
		{"unverified address", Rule{EmailDomains: []string{"example.com"}}, unverified, false},
		{"address as a claim", Rule{Claim: "email", Values: []string{"Alice@Example.COM"}}, s, true},
		{"unverified address as a claim", Rule{Claim: "email", Values: []string{"Alice@Example.COM"}}, unverified, false},
		{"parent domain", Rule{EmailDomains: []string{"com"}}, s, false},
		{"number", Rule{Claim: "level", Values: []string{"3"}}, s, true},
		{"boolean", Rule{Claim: "flag", Values: []string{"true"}}, s, true},
		{"element of a list", Rule{Claim: "list", Values: []string{"2"}}, s, true},
		{"subject", Rule{Claim: "sub", Values: []string{"s-1"}}, s, true},
		{"absent claim", Rule{Claim: "absent", Values: []string{""}}, s, false},
	} {
		if got := tc.rule.matches(&tc.s); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

// 50 requests at the moment of expiry: one refresh, and nobody is signed out.
func TestParallelRequestsAtExpiryRefreshOnce(t *testing.T) {
	g := newGuarded(t)
	_, cookie := g.signIn("alice", appOrigin)
	guard := g.guard(Guard{})
	g.clock.Advance(61 * time.Minute)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			w := httptest.NewRecorder()
			r := caddyhttp.PrepareRequest(script(appOrigin+"/", cookie), caddy.NewReplacer(), w, nil)
			next := caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
				w.WriteHeader(http.StatusNoContent)
				return nil
			})
			if err := guard.ServeHTTP(w, r, next); err != nil || w.Code != http.StatusNoContent {
				t.Errorf("%d %v", w.Code, err)
			}
			if cookieSet(w, g.rt.sessionCookie.Name) == nil || w.Header().Get("Cache-Control") != "private, no-store" {
				t.Errorf("no new cookie, or cacheable: %v", w.Header())
			}
		})
	}
	wg.Wait()
	if n := g.pool.Refreshes(); n != 1 {
		t.Errorf("%d refreshes", n)
	}
}

func TestRefreshRefusedAndUnreachable(t *testing.T) {
	g := newGuarded(t)
	_, cookie := g.signIn("alice", appOrigin)
	guard := g.guard(Guard{})
	g.pool.Break(errors.New("no route to host"))
	g.clock.Advance(59*time.Minute + 30*time.Second)
	if w := g.serve(script(appOrigin+"/", cookie), guard); w.Code != http.StatusOK {
		t.Errorf("pool down, access token still good: %d", w.Code)
	}
	g.clock.Advance(time.Minute)
	w := g.serve(navigation(appOrigin+"/", cookie), guard)
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || w.Header().Get("Location") != "" {
		t.Errorf("pool down, access token over: %d %v", w.Code, w.Header())
	}
	g.pool.Break(session.ErrRefused)
	g.clock.Advance(time.Minute)
	if flow := g.flowOf(g.serve(navigation(appOrigin+"/page?x=1", cookie), guard)); flow.Return != appOrigin+"/page?x=1" {
		t.Errorf("refused: %+v", flow)
	}
	wantUnauthenticated(t, g.serve(script(appOrigin+"/", cookie), guard), "signed_out")
}

func TestTimeouts(t *testing.T) {
	g := newGuarded(t)
	s, cookie := g.signIn("alice", appOrigin)
	guard := g.guard(Guard{})
	g.clock.Advance(10 * time.Minute)
	w := g.serve(script(appOrigin+"/", cookie), guard)
	touched := cookieSet(w, g.rt.sessionCookie.Name)
	if touched == nil {
		t.Fatal("use does not keep the session alive")
	}
	g.clock.Advance(8*time.Hour - time.Minute)
	wantUnauthenticated(t, g.serve(script(appOrigin+"/", cookie), guard), "idle")
	if w := g.serve(script(appOrigin+"/", touched), guard); w.Code != http.StatusOK {
		t.Errorf("touched session: %d %s", w.Code, w.Body)
	}
	s.Seen = s.Ends
	g.clock.Advance(s.Ends.Sub(g.clock.Now()))
	wantUnauthenticated(t, g.serve(script(appOrigin+"/", g.cookie(s, appOrigin)), guard), "expired")
}

func TestResponsesOfSignedInPeopleArePrivate(t *testing.T) {
	g := newGuarded(t)
	_, cookie := g.signIn("alice", appOrigin)
	guard := g.guard(Guard{Bypass: []string{"/open"}})
	for _, tc := range []struct{ upstream, vary, want, wantVary string }{
		{"", "", "private", "Cookie"},
		{"max-age=60", "Accept", "private, max-age=60", "Accept, Cookie"},
		{"public, max-age=60", "", "public, max-age=60", ""},
		{"no-store", "", "no-store", ""},
		{"s-maxage=5", "", "s-maxage=5", ""},
		{"no-cache", "*", "private, no-cache", "*"},
	} {
		g.upstream = func(w http.ResponseWriter, _ *http.Request) {
			if tc.upstream != "" {
				w.Header().Set("Cache-Control", tc.upstream)
			}
			if tc.vary != "" {
				w.Header().Set("Vary", tc.vary)
			}
			_ = http.NewResponseController(w).Flush()
		}
		w := g.serve(script(appOrigin+"/", cookie), guard)
		if got := strings.Join(w.Header()["Cache-Control"], ", "); got != tc.want {
			t.Errorf("upstream %q: Cache-Control %q, want %q", tc.upstream, got, tc.want)
		}
		if got := strings.Join(w.Header()["Vary"], ", "); got != tc.wantVary {
			t.Errorf("upstream %q: Vary %q, want %q", tc.upstream, got, tc.wantVary)
		}
	}
	g.upstream = nil
	if w := g.serve(script(appOrigin+"/open", cookie), guard); w.Header().Get("Cache-Control") != "" {
		t.Errorf("open path: %v", w.Header())
	}
}

// A preflight has no cookies: without passing, the browser blocks the request that has.
func TestPreflightPassesWithoutIdentity(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{})
	flight := func() *http.Request {
		r := httptest.NewRequest(http.MethodOptions, appOrigin+"/api", nil)
		r.Header.Set("Origin", otherOrigin)
		r.Header.Set("Access-Control-Request-Method", "PUT")
		r.Header.Set(headerUser, "mallory")
		r.Header.Set("X-HTTP-Method-Override", "DELETE")
		return r
	}
	if w := g.serve(flight(), guard); w.Code != http.StatusOK || len(g.reached.Header[headerUser]) != 0 || g.reached.Header.Get("X-Http-Method-Override") != "" {
		t.Errorf("%d, upstream got %v", w.Code, g.reached.Header)
	}
	withBody := flight()
	withBody.ContentLength = 4
	wantUnauthenticated(t, g.serve(withBody, guard), "no_session")
}

func TestUnlistedHostSaysWhatToConfigure(t *testing.T) {
	g := newGuarded(t)
	_, cookie := g.signIn("alice", "https://evil.example.org")
	guard := g.guard(Guard{})
	w := g.serve(navigation("https://evil.example.org/", cookie), guard)
	if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "`applications`") || g.calls != 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A configuration that has been replaced, or storage that cannot be opened: nobody gets in.
func TestClosedRealmIsUnavailable(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{})
	_ = g.app.Cleanup()
	w := httptest.NewRecorder()
	r := caddyhttp.PrepareRequest(navigation(appOrigin+"/"), caddy.NewReplacer(), w, nil)
	err := guard.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { panic("let through") }))
	var failure caddyhttp.HandlerError
	if !errors.As(err, &failure) || failure.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%v", err)
	}
}

// 200 groups do not fit into a cookie; the record has them.
func TestPersonWithManyGroups(t *testing.T) {
	g := newGuarded(t)
	for i := range 200 {
		g.pool.Groups = append(g.pool.Groups, strings.Repeat("g", 20)+string(rune('a'+i%26))+string(rune('a'+i/26)))
	}
	last := g.pool.Groups[199]
	_, cookie := g.signIn("alice", appOrigin)
	guard := g.guard(Guard{Allow: []Rule{{Groups: []string{last}}}})
	w := g.serve(script(appOrigin+"/", cookie), guard)
	if w.Code != http.StatusOK || strings.Count(g.reached.Header.Get(headerGroups), ",") != 199 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestResponseWriterKeepsItsPowers(t *testing.T) {
	g := newGuarded(t)
	_, cookie := g.signIn("alice", appOrigin)
	guard := g.guard(Guard{})
	g.upstream = func(w http.ResponseWriter, _ *http.Request) {
		if _, ok := w.(http.Flusher); !ok {
			t.Error("no Flusher")
		}
		if _, ok := w.(http.Hijacker); !ok {
			t.Error("no Hijacker")
		}
		w.WriteHeader(http.StatusEarlyHints)
		if w.Header().Get("Cache-Control") != "" {
			t.Error("an informational response fixed the headers")
		}
		w.Header().Set("Cache-Control", "public")
		if _, ok := w.(io.ReaderFrom); !ok {
			t.Error("no ReaderFrom")
		}
		_, _ = bytes.NewBufferString("streamed").WriteTo(w)
	}
	if w := g.serve(script(appOrigin+"/", cookie), guard); w.Header().Get("Cache-Control") != "public" || w.Body.String() != "streamed" {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
}
