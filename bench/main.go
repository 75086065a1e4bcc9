// Command bench measures the numbers that this repository promises and that one machine can measure: it runs the Go benchmarks of
// the product and weighs the plugin, prints a table, and writes the same rows as JSON. Ratios compare two values of one run.
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

func main() {
	log.SetFlags(0)
	log.SetPrefix("bench: ")
	root := flag.String("root", "..", "the repository's root")
	out := flag.String("out", "", "file for the rows as JSON; empty for none")
	duration := flag.String("time", "1s", "time for each benchmark, as in go test -benchtime")
	flag.Parse()
	if err := run(*root, *out, *duration); err != nil {
		log.Fatal(err)
	}
}

func run(root, out, duration string) error {
	results, err := measure(root, duration)
	if err != nil {
		return err
	}
	rows, err := rowsOf(results)
	if err != nil {
		return err
	}
	weight, err := weigh(root)
	if err != nil {
		return err
	}
	lambdas, err := coldStarts(root)
	if err != nil {
		return err
	}
	rows = append(append(rows, weight), lambdas...)
	if err := table(rows); err != nil || out == "" {
		return err
	}
	text, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, append(text, '\n'), 0o600)
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
