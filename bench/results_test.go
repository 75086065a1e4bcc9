package main

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	results, err := parse(strings.NewReader(`goos: linux
BenchmarkGuard/caddy-2         	  500000	      1000 ns/op	     100 B/op	       3 allocs/op
BenchmarkGuard/guard-2         	  400000	      3500.5 ns/op	     900 B/op	      12 allocs/op
BenchmarkOpen/3_groups,_2_claims,_deny_list-16	 1	 5 ns/op
BenchmarkGuard/own-2 	 500	 800000 ns/op	 2500 own-ns
BenchmarkManyUsers-2	 100	 9 ns/op	 85 file-bytes	 16 heap-bytes	 7 B/op	 2 allocs/op
BenchmarkSignInsInTurns-2	 1	 5000 ns/op	 930 signatures-ns	 1538 signin-ns
BenchmarkBroken-2 --- FAIL
PASS
`))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]result{
		"Guard/caddy": {nanoseconds: 1000, bytes: 100, allocations: 3}, "Guard/guard": {nanoseconds: 3500.5, bytes: 900, allocations: 12},
		"Guard/own": {nanoseconds: 800000, own: 2500}, "ManyUsers": {nanoseconds: 9, bytes: 7, allocations: 2, heap: 16, file: 85},
		"SignInsInTurns":                     {nanoseconds: 5000, signIn: 1538, signatures: 930},
		"Open/3_groups,_2_claims,_deny_list": {nanoseconds: 5},
	}
	if len(results) != len(want) {
		t.Errorf("got %v", results)
	}
	for name, r := range want {
		if results[name] != r {
			t.Errorf("%s: %v, want %v", name, results[name], r)
		}
	}
}

// A benchmark that was renamed must not silently lose its row.
func TestMissingBenchmark(t *testing.T) {
	if _, err := rowsOf(map[string]result{"Guard/guard": {nanoseconds: 1}}); err == nil || !strings.Contains(err.Error(), "Guard/caddy") {
		t.Errorf("got %v", err)
	}
}

func TestRows(t *testing.T) {
	results := make(map[string]result)
	for _, name := range []string{"Guard/caddy", "DistinctSessions", "ManyUsers", "Open/plain", "Verify", "Check/ES256", "Check/RS256", "PasskeySignIn", "VerifyPasskey/ours", "VerifyPasskey/theirs"} {
		results[name] = result{nanoseconds: 1000, allocations: 2}
	}
	results["Guard/guard"] = result{nanoseconds: 3000, allocations: 10}
	results["Guard/own"] = result{nanoseconds: 400000, own: 2000}
	results["SignInsInTurns"] = result{nanoseconds: 1, signIn: 2e6, signatures: 1e6}
	rows, err := rowsOf(results)
	if err != nil {
		t.Fatal(err)
	}
	if rows[0].Value != 2 || rows[1].Value != 8 {
		t.Errorf("guard: %+v, %+v", rows[0], rows[1])
	}
	for _, r := range rows {
		if strings.HasPrefix(r.Name, "passkey sign-ins on") && (r.Value != 500 || *r.Baseline != 1000 || *r.Ratio != 0.5) {
			t.Errorf("sign-ins: %+v", r)
		}
		if r.Baseline != nil && (r.Ratio == nil || *r.Ratio <= 0) {
			t.Errorf("%s has a baseline and no ratio", r.Name)
		}
	}
}
