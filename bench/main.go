// Command bench measures the numbers that this repository promises and that one machine can measure: it runs a real Caddy with and
// without the guard, the Go benchmarks of the product and the Lambdas, weighs pages and the plugin, prints a table, and writes the same rows as
// JSON. Ratios compare two values of one run.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"text/tabwriter"
)

// row is one line of the table. Ratio is value over baseline where there is a baseline.
type row struct {
	Name     string   `json:"name"`
	Value    float64  `json:"value"`
	Unit     string   `json:"unit"`
	Baseline *float64 `json:"baseline,omitempty"`
	Ratio    *float64 `json:"ratio,omitempty"`
	Target   string   `json:"target,omitempty"`
}

// parts measure one thing each, in the order of the table.
var parts = []struct {
	name    string
	measure func(root, duration string) ([]row, error)
}{
	{"proxy", func(root, _ string) ([]row, error) { return proxied(root) }},
	{"neighbours", func(root, _ string) ([]row, error) { return besideNeighbours(root) }},
	{"go", benchmarks},
	{"weight", func(root, _ string) ([]row, error) { return weigh(root) }},
	{"lambdas", func(root, _ string) ([]row, error) { return coldStarts(root) }},
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("bench: ")
	root := flag.String("root", "..", "the repository's root")
	out := flag.String("out", "", "file for the rows as JSON; empty for none")
	duration := flag.String("time", "1s", "time for each Go benchmark, as in go test -benchtime")
	only := flag.String("only", "", "measure this part alone: proxy, neighbours, go, weight or lambdas")
	flag.Parse()
	if err := run(*root, *out, *duration, *only); err != nil {
		log.Fatal(err)
	}
}

func run(root, out, duration, only string) error {
	var rows []row
	known := only == ""
	for _, part := range parts {
		if only != "" && only != part.name {
			continue
		}
		known = true
		more, err := part.measure(root, duration)
		if err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		rows = append(rows, more...)
	}
	if !known {
		return fmt.Errorf("there is no part %q", only)
	}
	if err := table(rows); err != nil || out == "" {
		return err
	}
	text, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, append(text, '\n'), 0o600)
}

// benchmarks runs the product's own Go benchmarks.
func benchmarks(root, duration string) ([]row, error) {
	results, err := measure(root, duration)
	if err != nil {
		return nil, err
	}
	return rowsOf(results)
}

func table(rows []row) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "what\tvalue\tunit\tbaseline\tratio\ttarget")
	for _, r := range rows {
		_, _ = fmt.Fprintf(w, "%s\t%.4g\t%s\t%s\t%s\t%s\n", r.Name, r.Value, r.Unit, optional(r.Baseline), optional(r.Ratio), r.Target)
	}
	return w.Flush()
}

func optional(value *float64) string {
	if value == nil {
		return "–"
	}
	return fmt.Sprintf("%.4g", *value)
}
