package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

const tags = "nobadger,nomysql,nopgx"

// packages are those whose benchmarks make a row.
var packages = []string{"./caddyauth", "./internal/session", "./internal/token", "./passkey", "./internal/localpool", "./triggers/interop"}

// result is one benchmark. Own is what one reports of rounds in turns, nanoseconds more than without; heap and file are bytes.
type result struct{ nanoseconds, bytes, allocations, own, signIn, signatures, heap, file float64 }

// measure runs the benchmarks. Their names come without "Benchmark" and without the number of processors.
func measure(root, duration string) (map[string]result, error) {
	args := append([]string{"test", "-tags", tags, "-run", "^$", "-bench", ".", "-benchmem", "-benchtime", duration}, packages...)
	command := exec.Command("go", args...)
	command.Dir = root
	command.Stderr = os.Stderr
	pipe, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("starting the benchmarks: %w", err)
	}
	results, err := parse(io.TeeReader(pipe, os.Stderr))
	if err != nil {
		return nil, err
	}
	if err := command.Wait(); err != nil {
		return nil, fmt.Errorf("running the benchmarks: %w", err)
	}
	return results, nil
}

var linePattern = regexp.MustCompile(`^Benchmark(\S+?)(?:-\d+)?\s+\d+\s+(.*)$`)

// parse reads what `go test -bench` prints.
func parse(r io.Reader) (map[string]result, error) {
	results := make(map[string]result)
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		match := linePattern.FindStringSubmatch(lines.Text())
		if match == nil {
			continue
		}
		var one result
		fields := strings.Fields(match[2])
		for i := 0; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("reading benchmark %s: %w", match[1], err)
			}
			switch fields[i+1] {
			case "ns/op":
				one.nanoseconds = value
			case "B/op":
				one.bytes = value
			case "allocs/op":
				one.allocations = value
			case "own-ns":
				one.own = value
			case "signin-ns":
				one.signIn = value
			case "signatures-ns":
				one.signatures = value
			case "heap-bytes":
				one.heap = value
			case "file-bytes":
				one.file = value
			}
		}
		results[match[1]] = one
	}
	return results, lines.Err()
}

// rowsOf turns benchmarks into the rows that people compare.
func rowsOf(results map[string]result) ([]row, error) {
	var missing []string
	of := func(name string) result {
		r, ok := results[name]
		if !ok || r.nanoseconds == 0 {
			missing = append(missing, name)
		}
		return r
	}
	guarded, bare, own, distinct := of("Guard/guard"), of("Guard/caddy"), of("Guard/own"), of("DistinctSessions")
	open, verify := of("Open/plain"), of("Verify")
	es256, rs256 := of("Check/ES256"), of("Check/RS256")
	many := of("ManyUsers")
	signIn, turns := of("PasskeySignIn"), of("SignInsInTurns")
	ours, theirs := of("VerifyPasskey/ours"), of("VerifyPasskey/theirs")
	if len(missing) > 0 {
		return nil, fmt.Errorf("no result of the benchmarks %s", strings.Join(missing, ", "))
	}
	micro := func(ns float64) float64 { return ns / 1e3 }
	perSecond := func(ns float64) float64 { return 1e9 / ns }
	// The two signatures of a sign-in, on every processor at once, are all that a machine could do; measured so, because processors may share a core.
	floor := perSecond(turns.signatures)
	return []row{
		{Name: "guard's own cost a request", Value: micro(own.own), Unit: "µs", Target: "≤ 3"},
		{Name: "guard's own allocations a request", Value: guarded.allocations - bare.allocations, Unit: "allocations", Target: "≤ 15"},
		{Name: "memory that the guard keeps after requests of 100,000 sessions", Value: distinct.heap / 1e6, Unit: "MB", Target: "about 0"},
		{Name: "opening a session cookie", Value: micro(open.nanoseconds), Unit: "µs"},
		compared(row{Name: "verifying a JWT, keys cached", Value: micro(verify.nanoseconds), Unit: "µs"}, micro(open.nanoseconds)),
		{Name: "checking a passkey assertion, ES256", Value: micro(es256.nanoseconds), Unit: "µs"},
		{Name: "checking a passkey assertion, RS256", Value: micro(rs256.nanoseconds), Unit: "µs"},
		{Name: "one passkey sign-in on the embedded pool", Value: micro(signIn.nanoseconds), Unit: "µs"},
		compared(row{Name: "passkey sign-ins on the embedded pool, against its signatures alone", Value: perSecond(turns.signIn), Unit: "1/s", Target: "ratio ≥ 0.6"}, floor),
		{Name: "embedded pool with 100,000 users: opening its file", Value: many.nanoseconds / 1e6, Unit: "ms"},
		{Name: "embedded pool with 100,000 users: file", Value: many.file / 1e6, Unit: "MB"},
		{Name: "embedded pool with 100,000 users: memory once open", Value: many.heap / 1e6, Unit: "MB"},
		compared(row{Name: "warm Verify of a passkey, against amazon-cognito-passwordless-auth's, on DynamoDB Local", Value: micro(ours.nanoseconds), Unit: "µs", Target: "ratio ≤ 0.5"}, micro(theirs.nanoseconds)),
	}, nil
}

func compared(r row, baseline float64) row {
	ratio := r.Value / baseline
	r.Baseline, r.Ratio = &baseline, &ratio
	return r
}

// weigh builds Caddy with and without the plugin and compares the sizes.
func weigh(root string) ([]row, error) {
	folder, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	stock, err := size(root, folder, "stock")
	if err != nil {
		return nil, err
	}
	with, err := size(root, folder, "plugin", "github.com/caddy-cognito/passwordless")
	if err != nil {
		return nil, err
	}
	stockMB := float64(stock) / 1e6
	ratio := float64(with) / float64(stock)
	return []row{{
		Name: "plugin's weight in Caddy's binary (" + runtime.GOARCH + ")", Value: float64(with-stock) / 1e6, Unit: "MB",
		Baseline: &stockMB, Ratio: &ratio, Target: "≤ 12",
	}}, nil
}

// size is that of a Caddy with its standard modules and the given plugins, built as for production.
func size(root, folder, name string, plugins ...string) (int64, error) {
	var source strings.Builder
	source.WriteString("package main\n\nimport (\n\tcaddycmd \"github.com/caddyserver/caddy/v2/cmd\"\n")
	for _, plugin := range append([]string{"github.com/caddyserver/caddy/v2/modules/standard"}, plugins...) {
		fmt.Fprintf(&source, "\t_ %q\n", plugin)
	}
	source.WriteString(")\n\nfunc main() { caddycmd.Main() }\n")
	file, binary := filepath.Join(folder, name+".go"), filepath.Join(folder, name)
	if err := os.WriteFile(file, []byte(source.String()), 0o600); err != nil {
		return 0, err
	}
	command := exec.Command("go", "build", "-tags", tags, "-trimpath", "-ldflags", "-s -w", "-o", binary, file)
	command.Dir = root
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("building %s: %w\n%s", name, err, out)
	}
	info, err := os.Stat(binary)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
