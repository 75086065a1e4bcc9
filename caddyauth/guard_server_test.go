package caddyauth

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-cognito/passwordless/internal/session"
)

// front is a real server with the guards before a real proxy, reached as the application.
func (g *guarded) front(upstream http.HandlerFunc, guards ...*Guard) func(*http.Request) *http.Response {
	g.tb.Helper()
	behind := httptest.NewServer(upstream)
	g.tb.Cleanup(behind.Close)
	target, err := url.Parse(behind.URL)
	if err != nil {
		g.tb.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	g.upstream = proxy.ServeHTTP
	var mu sync.Mutex // the fixture's notes are for one request at a time
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		r.TLS = &tls.ConnectionState{HandshakeComplete: true}
		if err := g.chain(guards).ServeHTTP(w, caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil)); err != nil {
			g.tb.Error(err)
		}
	}))
	g.tb.Cleanup(server.Close)
	return func(r *http.Request) *http.Response {
		g.tb.Helper()
		r = r.Clone(r.Context())
		r.URL.Scheme, r.URL.Host, r.RequestURI = "http", strings.TrimPrefix(server.URL, "http://"), ""
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			g.tb.Fatal(err)
		}
		g.tb.Cleanup(func() { _ = answer.Body.Close() })
		return answer
	}
}

// Over real connections, chunked and not: what waited arrives as it was sent, whoever asked for the step-up, and the connection lives on.
func TestFormSurvivesAStepUpOverRealConnections(t *testing.T) {
	for name, options := range map[string]Guard{
		"the guard asks":    {StepUp: fiveMinutes("sms")},
		"the upstream asks": {UpstreamStepUp: true},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuarded(t)
			s, cookie := g.signIn("alice", appOrigin)
			var passed atomic.Bool
			send := g.front(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				if !passed.Load() {
					w.Header().Set("WWW-Authenticate", upstreamChallenge)
					http.Error(w, strings.Repeat("not yet ", 10000), http.StatusUnauthorized)
					return
				}
				_, _ = io.WriteString(w, describe(r, body))
			}, g.guard(options))
			for _, chunked := range []bool{false, true} {
				passed.Store(false)
				r := form(appOrigin+"/pay?x=1", urlencoded, "amount="+strings.Repeat("5", keptPart), cookie)
				if chunked {
					r.ContentLength = -1
				}
				answer := send(r)
				flow := g.stepUpFlow(answer.Header.Get("Location"))
				if rest, err := io.ReadAll(answer.Body); answer.StatusCode != http.StatusSeeOther || err != nil || len(rest) != 0 {
					t.Fatalf("chunked %v: %d, %d bytes, %v", chunked, answer.StatusCode, len(rest), err)
				}
				var fresh *http.Cookie
				s, fresh = g.steppedUp(s, session.SMS)
				passed.Store(true)
				page := send(navigation(flow.Return, fresh))
				text, err := io.ReadAll(page.Body)
				action := formAction.FindSubmatch(text)
				if err != nil || page.StatusCode != http.StatusOK || action == nil {
					t.Fatalf("chunked %v: %d %s", chunked, page.StatusCode, text)
				}
				again := send(form(appOrigin+strings.ReplaceAll(string(action[1]), "&amp;", "&"), urlencoded, "", fresh))
				got, err := io.ReadAll(again.Body)
				if want := "POST /pay?x=1 " + urlencoded + " amount=" + strings.Repeat("5", keptPart); err != nil || string(got) != want {
					t.Errorf("chunked %v: %d, upstream got %.100q (%d bytes)", chunked, again.StatusCode, got, len(got))
				}
				g.clock.Advance(10 * time.Minute)
			}
		})
	}
}

// An event stream begins to flow at once, also where the upstream's answers are looked at.
func TestEventsFlowThroughAGuardThatListens(t *testing.T) {
	g := newGuarded(t)
	_, cookie := g.signIn("alice", appOrigin)
	release := make(chan struct{})
	send := g.front(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		<-release
	}, g.guard(Guard{UpstreamStepUp: true}))
	answer := send(script(appOrigin+"/events", cookie))
	first := make([]byte, len("data: 1\n\n"))
	_, err := io.ReadFull(answer.Body, first)
	close(release)
	if err != nil || answer.StatusCode != http.StatusOK || string(first) != "data: 1\n\n" {
		t.Errorf("%d %q %v", answer.StatusCode, first, err)
	}
}
