package caddyauth

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

type discardResponse struct{ header http.Header }

func (d discardResponse) Header() http.Header         { return d.header }
func (d discardResponse) Write(b []byte) (int, error) { return len(b), nil }
func (d discardResponse) WriteHeader(int)             {}

// BenchmarkGuard is one signed-in request; "caddy" is what the same request costs without the guard, "own" what the guard adds.
func BenchmarkGuard(b *testing.B) {
	g := newGuarded(b)
	g.rt.metrics = newMetrics(b.Name()) // every request counts
	g.pool.Groups = []string{"staff", "editors"}
	_, cookie := g.signIn("alice", appOrigin)
	guard := g.guard(Guard{Allow: []Rule{{Groups: []string{"editors"}}}, Bypass: []string{"/health"}})
	answer := caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "text/html; charset=utf-8") // as any upstream's answer has
		w.WriteHeader(http.StatusOK)
		return nil
	})
	template := httptest.NewRequest(http.MethodGet, appOrigin+"/reports?year=2026", nil)
	header := http.Header{ // as Chromium sends them
		"Accept":             {"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8"},
		"Accept-Encoding":    {"gzip, deflate, br, zstd"},
		"Accept-Language":    {"en-GB,en;q=0.9"},
		"Connection":         {"keep-alive"},
		"Cookie":             {"theme=dark; " + cookie.Name + "=" + cookie.Value},
		"Referer":            {appOrigin + "/"},
		"Sec-Ch-Ua":          {`"Chromium";v="142", "Not_A Brand";v="99"`},
		"Sec-Ch-Ua-Mobile":   {"?0"},
		"Sec-Ch-Ua-Platform": {`"Linux"`},
		"Sec-Fetch-Dest":     {"document"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-User": {"?1"},
		"Upgrade-Insecure-Requests": {"1"},
		"User-Agent":                {"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"},
	}
	ask := func(handler caddyhttp.Handler) {
		request := *template
		request.Header = header.Clone()
		w := discardResponse{make(http.Header)}
		r := caddyhttp.PrepareRequest(&request, caddy.NewReplacer(), w, nil)
		if err := handler.ServeHTTP(w, r); err != nil {
			b.Fatal(err)
		}
	}
	guarded := caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error { return guard.ServeHTTP(w, r, answer) })
	for name, handler := range map[string]caddyhttp.Handler{"caddy": answer, "guard": guarded} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ask(handler)
			}
		})
	}
	// The difference of two runs is as good as the machine is quiet for both; that of two rounds right after each other is better.
	b.Run("own", func(b *testing.B) {
		const requests = 100
		round := func(handler caddyhttp.Handler) time.Duration {
			begin := time.Now()
			for range requests {
				ask(handler)
			}
			return time.Since(begin)
		}
		var own []time.Duration
		for b.Loop() {
			without, with := round(answer), round(guarded)
			own = append(own, (with-without)/requests)
		}
		slices.Sort(own)
		b.ReportMetric(float64(own[len(own)/2].Nanoseconds()), "own-ns")
	})
}

// BenchmarkDistinctSessions shows what the guard remembers of 100,000 sessions after a request of each: the growth of the heap in bytes.
func BenchmarkDistinctSessions(b *testing.B) {
	const sessions = 100_000
	g := newGuarded(b)
	s, _ := g.signIn("alice", appOrigin)
	guard := g.guard(Guard{})
	answer := caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(http.StatusOK); return nil })
	heap := func() int64 {
		runtime.GC()
		runtime.GC() // pools are emptied by the second
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	for b.Loop() {
		for i := range sessions {
			s.ID = strconv.Itoa(sessions+i) + s.ID[6:]
			w := discardResponse{make(http.Header)}
			r := caddyhttp.PrepareRequest(navigation(appOrigin+"/", g.cookie(s, appOrigin)), caddy.NewReplacer(), w, nil)
			if err := guard.ServeHTTP(w, r, answer); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(heap()-before), "heap-bytes")
	runtime.KeepAlive(g)
}
