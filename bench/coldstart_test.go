package main

import (
	"strings"
	"testing"
)

func TestColdStartRows(t *testing.T) {
	rows, err := coldStartRows([]byte(`[{"trigger":"define","ours":{"cpu":3000000,"memory":7000000,"program":6500000,"zip":2800000},` +
		`"node":{"cpu":150000000,"memory":63000000,"program":4462,"zip":0}}]`))
	if err != nil || len(rows) != 4 {
		t.Fatalf("%v, %v", rows, err)
	}
	if r := rows[0]; !strings.Contains(r.Name, "define") || r.Value != 3 || r.Unit != "ms" || *r.Baseline != 150 || *r.Ratio != 0.02 {
		t.Errorf("%+v", r)
	}
	if rows[1].Value != 7 || rows[2].Value != 6.5 || rows[3].Value != 2.8 {
		t.Errorf("%+v", rows)
	}
	for _, bad := range []string{``, `{}`, `[{"trigger":"define","ours":{"cpu":3},"node":{"cpu":0}}]`} {
		if _, err := coldStartRows([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}
