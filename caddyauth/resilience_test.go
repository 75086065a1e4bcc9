package caddyauth

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/userpool"
)

// brokenCognito is the real client before a service that fails: one operation, in one way. Other operations succeed.
type brokenCognito struct {
	*testing.T
	mu        sync.Mutex
	operation string
	how       http.HandlerFunc
	asked     map[string]int
}

func (c *brokenCognito) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	_, _ = io.Copy(io.Discard, r.Body)
	c.mu.Lock()
	c.asked[operation]++
	c.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	switch {
	case operation == c.operation:
		c.how(w, r)
	case operation == "SignUp":
		_, _ = io.WriteString(w, `{"UserConfirmed":true,"UserSub":"`+annaSub+`"}`)
	default:
		_, _ = io.WriteString(w, `{"ChallengeName":"CUSTOM_CHALLENGE","Session":"AYAB0123456789012345","ChallengeParameters":{"USERNAME":"`+annaSub+`"}}`)
	}
}

func (c *brokenCognito) count(operation string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked[operation]
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// breakCognito puts the client into the portal's place of a pool.
func breakCognito(p *portalTest, operation string, how http.HandlerFunc) *brokenCognito {
	p.Helper()
	c := &brokenCognito{T: p.T, operation: operation, how: how, asked: make(map[string]int)}
	server := httptest.NewServer(c)
	p.Cleanup(server.Close)
	client, err := userpool.New(userpool.Config{UserPoolID: "eu-west-1_Ab12Cd34E", ClientID: "1example23456789", Endpoint: server.URL})
	if err != nil {
		p.Fatal(err)
	}
	p.rt.pool = client
	return c
}

// hang answers when nobody waits any more.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func hangUp(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
}

// Whatever Cognito does, the person reads what to do, keeps what was typed, and has a reference that the log has, too. Only what was
// throttled is asked again by itself.
func TestCognitoFails(t *testing.T) {
	cases := map[string]struct {
		how      http.HandlerFunc
		status   int
		says     string
		attempts int
	}{
		"throttled":         {answer(400, `{"__type":"TooManyRequestsException","message":"Rate exceeded"}`), 429, "too many", 3},
		"slow":              {hang, 503, "cannot be reached", 1},
		"gone":              {hangUp, 503, "cannot be reached", 1},
		"internal error":    {answer(500, `{"__type":"InternalErrorException"}`), 503, "cannot be reached", 1},
		"a page of a proxy": {answer(502, `<html>Bad Gateway</html>`), 503, "cannot be reached", 1},
		"nonsense":          {answer(200, `<html>hello</html>`), 503, "cannot be reached", 1},
		"half an answer":    {answer(200, `{"Session":`), 503, "cannot be reached", 1},
		"a broken trigger":  {answer(400, `{"__type":"UnexpectedLambdaException","message":"x"}`), 503, "cannot be reached", 1},
		"misconfigured":     {answer(400, `{"__type":"ResourceNotFoundException","message":"no client"}`), 500, "went wrong", 1},
	}
	for name, tc := range cases {
		for _, operation := range []string{"SignUp", "InitiateAuth", "RespondToAuthChallenge"} {
			t.Run(name+" at "+operation, func(t *testing.T) {
				t.Parallel()
				p := newPortal(t)
				cognito := breakCognito(p, operation, tc.how)
				b := p.browser()
				page := b.get("/auth/sign-in?flow=" + url.QueryEscape(p.appFlow(appOrigin+"/reports?q=1")))
				r := posted("/auth/sign-in", "application/x-www-form-urlencoded", url.Values{"flow": {b.found(page, flowField)}, "email": {anna}}.Encode())
				if name == "slow" {
					ctx, cancel := context.WithTimeout(r.Context(), 200*time.Millisecond) // instead of the portal's own 20 s
					defer cancel()
					r = r.WithContext(ctx)
				}
				w := b.send(r)
				if w.Code != tc.status || !strings.Contains(strings.ToLower(w.Body.String()), tc.says) {
					t.Errorf("got %d, want %d with %q: %s", w.Code, tc.status, tc.says, w.Body)
				}
				if n := cognito.count(operation); n != tc.attempts {
					t.Errorf("asked %d times, want %d", n, tc.attempts)
				}
				if tc.status != 500 && w.Header().Get("Retry-After") == "" {
					t.Error("it does not say when to try again")
				}
				p.wantReference(w)
				if tc.status == 429 {
					return // a page of its own, which leads back
				}
				again := b.found(w, flowField)
				if !strings.Contains(w.Body.String(), `value="`+anna+`"`) {
					t.Error("what was typed is lost")
				}
				p.rt.pool = p.pool
				if w := b.submit("/auth/sign-in", "flow", again, "email", anna); w.Code != http.StatusSeeOther {
					t.Errorf("once it works again: %d %s", w.Code, w.Body)
				}
			})
		}
	}
}

// wantReference looks for what an error page shows in the log.
func (p *portalTest) wantReference(w *httptest.ResponseRecorder) {
	p.Helper()
	lines := p.logs.FilterMessage("a portal request failed").All()
	if len(lines) == 0 {
		p.Fatal("the log says nothing")
	}
	reference, _ := lines[len(lines)-1].ContextMap()["reference"].(string)
	if reference == "" {
		p.Error("the log has no reference")
	} else if w.Code >= 500 && !strings.Contains(w.Body.String(), reference) {
		p.Errorf("the page does not show the reference %s of the log", reference)
	}
}

var linkField = regexp.MustCompile(`name="link" id="link" value="([^"]+)"`)

// A link that cannot be checked now is not lost: the page says so and keeps it, and its button works afterwards.
func TestLinkOutlivesAnOutage(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	_, mailed := b.askForLink(anna, appOrigin+"/")
	link, pool := p.pool.lastLink, p.rt.pool
	breakCognito(p, "RespondToAuthChallenge", answer(500, `{"__type":"InternalErrorException"}`))
	w := b.useLink(mailed, link)
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "cannot be reached") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	p.wantReference(w)
	kept := b.found(w, linkField)
	if kept != link {
		t.Errorf("the page keeps %q", kept)
	}
	if _, ok := b.session(); ok {
		t.Error("signed in")
	}
	p.rt.pool = pool
	if w := b.submit("/auth/link", "flow", b.found(w, flowField), "link", kept); p.passedOn(w) == "" {
		t.Errorf("afterwards: %d %s", w.Code, w.Body)
	}
}

// Two tabs of one browser sign in, each for its own page, in any order; neither loses its way.
func TestTabsDoNotBreakEachOther(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	_, first := b.askForLink(anna, appOrigin+"/first")
	firstLink := p.pool.lastLink
	_, second := b.askForLink(anna, appOrigin+"/second")
	secondLink := p.pool.lastLink
	if len(b.cookies) != 1 {
		t.Errorf("cookies pile up: %v", len(b.cookies))
	}
	for _, tab := range []struct{ mailed, link, target string }{{second, secondLink, "/second"}, {first, firstLink, "/first"}} {
		w := b.useLink(tab.mailed, tab.link)
		if taken := p.handedOff(p.passedOn(w)); !strings.HasPrefix(taken.Location, tab.target) {
			t.Errorf("%s leads to %s", tab.target, taken.Location)
		}
	}
}
