package caddyauth

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// BenchmarkProxy is a round of requests through Caddy's reverse proxy over loopback, with the guard and without it, in turns. It
// reports the median of the rounds' ratios of requests per second; client and upstream run in the same process.
func BenchmarkProxy(b *testing.B) {
	const requests = 100
	g := newGuarded(b)
	g.pool.Groups = []string{"staff", "editors"}
	_, cookie := g.signIn("alice", appOrigin)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	b.Cleanup(upstream.Close)
	proxy := (&streaming{guarded: g}).proxy(b, strings.TrimPrefix(upstream.URL, "http://"))
	next := caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error { return proxy.ServeHTTP(w, r, nil) })
	guard := g.guard(Guard{Allow: []Rule{{Groups: []string{"editors"}}}})
	serve := func(handler caddyhttp.HandlerFunc) *httptest.Server {
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, new(caddyhttp.Server))
			if err := handler(w, r); err != nil {
				w.WriteHeader(http.StatusBadGateway)
			}
		}))
		b.Cleanup(server.Close)
		return server
	}
	bare, guarded := serve(next.ServeHTTP), serve(func(w http.ResponseWriter, r *http.Request) error { return guard.ServeHTTP(w, r, next) })
	round := func(server *httptest.Server) time.Duration {
		begin := time.Now()
		for range requests {
			r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, server.URL+"/reports?year=2026", nil)
			if err != nil {
				b.Fatal(err)
			}
			r.Host = "app.example.com"
			r.AddCookie(cookie)
			response, err := server.Client().Do(r)
			if err != nil {
				b.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
			if response.StatusCode != http.StatusOK {
				b.Fatalf("status %s", response.Status)
			}
		}
		return time.Since(begin)
	}
	round(bare)
	round(guarded)
	var ratios []float64
	for b.Loop() {
		without, with := round(bare), round(guarded)
		ratios = append(ratios, float64(without)/float64(with))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
}
