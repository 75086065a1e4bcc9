package caddyauth

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

type discardResponse struct{ header http.Header }

func (d discardResponse) Header() http.Header         { return d.header }
func (d discardResponse) Write(b []byte) (int, error) { return len(b), nil }
func (d discardResponse) WriteHeader(int)             {}

// BenchmarkGuard is one signed-in request; "caddy" is what the same request costs without the guard.
func BenchmarkGuard(b *testing.B) {
	g := newGuarded(b)
	g.pool.Groups = []string{"staff", "editors"}
	_, cookie := g.signIn("alice", appOrigin)
	guard := g.guard(Guard{Allow: []Rule{{Groups: []string{"editors"}}}, Bypass: []string{"/health"}})
	answer := caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "text/html; charset=utf-8") // as any upstream's answer has
		w.WriteHeader(http.StatusOK)
		return nil
	})
	template := httptest.NewRequest(http.MethodGet, appOrigin+"/reports?year=2026", nil)
	header := http.Header{
		"Accept": {"text/html"}, "Accept-Language": {"en"}, "Accept-Encoding": {"gzip"}, "User-Agent": {"Mozilla/5.0"},
		"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Cookie": {"theme=dark; " + cookie.Name + "=" + cookie.Value},
	}
	for name, handler := range map[string]caddyhttp.Handler{
		"caddy": answer,
		"guard": caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error { return guard.ServeHTTP(w, r, answer) }),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				request := *template
				request.Header = header.Clone()
				w := discardResponse{make(http.Header)}
				r := caddyhttp.PrepareRequest(&request, caddy.NewReplacer(), w, nil)
				if err := handler.ServeHTTP(w, r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
