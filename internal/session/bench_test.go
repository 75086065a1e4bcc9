package session_test

import (
	"testing"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/internal/session/sessiontest"
)

func benchmarkOpen(b *testing.B, groups []string, claims map[string]any, signedOut int) {
	clock := sessiontest.NewClock()
	pool := sessiontest.NewPool(clock)
	m := sessiontest.NewManager(b, sessiontest.NewStorage(), pool)
	for range signedOut {
		s, err := m.Start(b.Context(), pool.SignIn("bob"), session.Passkey, session.Device{})
		if err != nil {
			b.Fatal(err)
		}
		if err := m.End(b.Context(), s); err != nil {
			b.Fatal(err)
		}
	}
	pool.Groups, pool.Claims = groups, claims
	s, err := m.Start(b.Context(), pool.SignIn("7c1e0a52-9f1b-4f55-8d36-0f6b1f5c2a11"), session.Passkey, session.Device{})
	if err != nil {
		b.Fatal(err)
	}
	value, err := m.Seal(s, host)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(value)), "cookie-bytes")
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		if _, err := m.Open(value, host); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen is what the guard pays on every request: at most 3 µs and 15 allocations.
func BenchmarkOpen(b *testing.B) {
	claims := map[string]any{"custom:tenant": "acme", "custom:level": 3.0}
	b.Run("plain", func(b *testing.B) { benchmarkOpen(b, nil, nil, 0) })
	b.Run("3 groups, 2 claims, deny list", func(b *testing.B) {
		benchmarkOpen(b, []string{"admins", "staff", "eu-west"}, claims, 100)
	})
	b.Run("200 groups", func(b *testing.B) { benchmarkOpen(b, manyGroups(200), nil, 0) })
}

func BenchmarkSeal(b *testing.B) {
	clock := sessiontest.NewClock()
	pool := sessiontest.NewPool(clock)
	m := sessiontest.NewManager(b, sessiontest.NewStorage(), pool)
	s, err := m.Start(b.Context(), pool.SignIn("alice"), session.Passkey, session.Device{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Seal(s, host); err != nil {
			b.Fatal(err)
		}
	}
}

func TestOpenStaysWithinItsAllocations(t *testing.T) {
	w := newWorld(t)
	w.pool.Groups = []string{"admins", "staff"}
	w.pool.Claims = map[string]any{"custom:tenant": "acme"}
	value := w.seal(w.a, w.start("alice"))
	w.wantOpen(w.a, value)
	if n := testing.AllocsPerRun(100, func() { _, _ = w.a.Open(value, host) }); n > 15 {
		t.Errorf("%v allocations", n)
	}
}
