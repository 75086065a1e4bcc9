package cmd_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// programs are all there are.
var programs = []string{"create", "define", "notify", "presignup", "pretoken", "verify"}

// The environment tables of docs/triggers.md have every variable that a program reads, with the programs that read it, and no other.
func TestEnvironmentTables(t *testing.T) {
	read := regexp.MustCompile(`env\.(?:Text|List|Flag|Number|Seconds|Milliseconds|OneOf|Required)\("([A-Z0-9_]+)"`)
	want := make(map[string][]string)
	for folder, by := range map[string][]string{
		"cmd/define": {"define"}, "cmd/presignup": {"presignup"}, "cmd/pretoken": {"pretoken"}, "lambda/createlambda": {"create"},
		"lambda/verifylambda": {"verify"}, "lambda/notifylambda": {"notify"}, "lambda/product": {"create", "notify"}, "lambda/serve": programs,
	} {
		files, err := filepath.Glob(filepath.Join("..", filepath.FromSlash(folder), "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", folder, len(files), err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range read.FindAllStringSubmatch(string(source), -1) {
				if !strings.HasSuffix(file, "_test.go") {
					want[match[1]] = append(want[match[1]], by...)
				}
			}
		}
	}
	for name, by := range want {
		slices.Sort(by)
		want[name] = slices.Compact(by)
	}

	got := make(map[string][]string)
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "triggers.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Environment")
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) < 5 || !strings.HasPrefix(cells[1], " `") || strings.Contains(cells[1], "<") {
			continue
		}
		by := slices.Clone(programs)
		if strings.TrimSpace(cells[2]) != "all" {
			by = nil
			for _, match := range code.FindAllStringSubmatch(cells[2], -1) {
				by = append(by, match[1])
			}
			slices.Sort(by)
		}
		got[strings.Trim(cells[1], " `")] = by
	}
	names := slices.Sorted(maps.Keys(want))
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("no program reads %s", name)
		}
	}
	for _, name := range names {
		if !slices.Equal(got[name], want[name]) {
			t.Errorf("%s is read by %q; documented for %q", name, want[name], got[name])
		}
	}
}
