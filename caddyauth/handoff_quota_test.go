package caddyauth

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Attack: somebody who is signed in opens the sign-in page over and over, and each time a handoff is stored.
func TestAttackHandoffsFillTheStorage(t *testing.T) {
	p := newPortal(t)
	b, other := p.browser(), p.browser()
	b.signInByLink(anna)
	other.signInByLink(anna) // a second session is no second quota
	stored := func() int { return len(p.storage.Keys()) }
	before, made, refused := stored(), 0, 0
	for range 2 * handoffsPerPerson {
		for _, b := range []*browser{b, other} {
			w := b.get("/auth/sign-in?flow=" + url.QueryEscape(p.appFlow(appOrigin+"/")))
			switch w.Code {
			case http.StatusOK:
				made++
			case http.StatusTooManyRequests:
				refused++
				if w.Header().Get("Retry-After") != fmt.Sprint(seconds(handoffWindow)) {
					t.Fatalf("Retry-After %q", w.Header().Get("Retry-After"))
				}
				if again := p.found(w, dataHref); !strings.HasPrefix(again, "/auth/sign-in?flow=") {
					t.Fatalf("the button leads to %q", again)
				}
			default:
				t.Fatalf("got %d", w.Code)
			}
		}
	}
	if made != handoffsPerPerson || refused != 3*handoffsPerPerson || stored()-before > handoffsPerPerson {
		t.Errorf("%d made, %d refused, %d items stored", made, refused, stored()-before)
	}
	// Nobody else is refused, and the person is not for long.
	c := p.browser()
	c.signInByLink(bob)
	if w := c.get("/auth/sign-in?flow=" + url.QueryEscape(p.appFlow(appOrigin+"/"))); w.Code != http.StatusOK {
		t.Errorf("somebody else got %d", w.Code)
	}
	p.clock.Advance(handoffWindow)
	if w := b.get("/auth/sign-in?flow=" + url.QueryEscape(p.appFlow(appOrigin+"/"))); w.Code != http.StatusOK {
		t.Errorf("later: %d", w.Code)
	}
}

func TestHandoffQuotaForgetsPeople(t *testing.T) {
	var q handoffQuota
	now := time.Unix(1770000000, 0)
	for i := range 1000 {
		q.take(fmt.Sprint(i), now)
	}
	q.take("last", now.Add(handoffWindow))
	if len(q.people) != 1 {
		t.Errorf("%d people are remembered", len(q.people))
	}
	for range 2 * handoffsPerPerson {
		q.take("last", now.Add(handoffWindow))
	}
	if q.take("last", now) != 0 || q.take("last", now.Add(-time.Hour)) != 0 {
		t.Error("a clock that is set back locks people out")
	}
}

// Attack: bodies that come a byte at a time hold connections for minutes. Also where nothing reads the body: net/http does, after the
// answer.
func TestAttackDripFedBodies(t *testing.T) {
	g := newGuarded(t)
	g.rt.bodyTimeout = 100 * time.Millisecond
	guard := g.guard(Guard{StepUp: []StepUpRule{{MaxAge: caddy.Duration(time.Minute), Factors: []string{"sms"}, Methods: []string{"POST"}}}})
	_, cookie := g.signIn("alice", appOrigin)
	own := "Cookie: " + cookie.Name + "=" + cookie.Value + "\r\n"
	const form, navigating = "Content-Type: application/x-www-form-urlencoded\r\n", "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Site: same-origin\r\n"
	server := httptest.NewServer(g.served(guard))
	t.Cleanup(server.Close)
	for name, headers := range map[string]string{
		"a handoff":                   "POST /auth/handoff HTTP/1.1\r\n" + form,
		"a handoff of another site":   "POST /auth/handoff HTTP/1.1\r\nSec-Fetch-Site: cross-site\r\n" + form,
		"the handoff page":            "GET /auth/handoff HTTP/1.1\r\n",
		"the page that sends again":   "GET /auth/send-again HTTP/1.1\r\n" + own,
		"a script":                    "GET /auth/assets/handoff.js HTTP/1.1\r\n",
		"a method that is not served": "PUT /auth/handoff HTTP/1.1\r\n",
		"a form that would be kept":   "POST /pay HTTP/1.1\r\n" + form + navigating + own,
		"a form without session":      "POST /pay HTTP/1.1\r\n" + form + navigating,
		"a call without session":      "POST /pay HTTP/1.1\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dripFed(t, server.Listener.Addr().String(), headers+"Host: app.example.com\r\nContent-Length: 4000\r\n\r\n")
		})
	}
}

func TestAttackDripFedBodiesAtThePortal(t *testing.T) {
	p := newPortal(t)
	p.rt.bodyTimeout = 100 * time.Millisecond
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = secured(caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil))
		_ = p.portal.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil }))
	}))
	t.Cleanup(server.Close)
	for _, request := range []string{
		"POST /auth/sign-in HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n",
		"POST /auth/sign-in HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nSec-Fetch-Site: cross-site\r\n",
		"POST /auth/sign-in HTTP/1.1\r\nContent-Type: text/plain\r\n",
		"POST /auth/passkey/options HTTP/1.1\r\nContent-Type: application/json\r\n",
		"POST /auth/fido2/register-authenticator/start HTTP/1.1\r\n",
		"POST /auth/fido2/sign-in-challenge HTTP/1.1\r\n",
		"POST /auth/nothing HTTP/1.1\r\n",
		"GET /auth/sign-in HTTP/1.1\r\n",
	} {
		t.Run(strings.TrimSpace(request), func(t *testing.T) {
			t.Parallel()
			dripFed(t, server.Listener.Addr().String(), request+"Host: auth.example.com\r\nContent-Length: 4000\r\n\r\n")
		})
	}
}

// secured makes a plain connection one that a trusted proxy vouches for.
func secured(r *http.Request) *http.Request {
	caddyhttp.SetVar(r.Context(), caddyhttp.TrustedProxyVarKey, true)
	r.Header.Set("X-Forwarded-Proto", "https")
	return r
}

// served is a server's handler: a guard before an upstream.
func (g *guarded) served(guard *Guard) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = secured(caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil))
		_ = guard.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil }))
	})
}

// dripFed sends a request and then a byte now and then, until the server hangs up. It must, long before the body is complete.
func dripFed(t *testing.T, address, request string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_, _ = io.Copy(io.Discard, conn)
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-closed:
			return
		case <-ctx.Done():
			t.Fatal("the connection is still open")
		case <-tick.C:
			_, _ = io.WriteString(conn, "a") // may fail once the server has hung up
		}
	}
}
