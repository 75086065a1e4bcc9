package main

import (
	"slices"
	"testing"
)

func TestMutantsOfAFile(t *testing.T) {
	const source = "package p\n\nfunc f(a, b int) bool {\n\tif a < b && b == 3 {\n\t\treturn true\n\t}\n\treturn false\n}\n"
	found, err := mutantsOf("p.go", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range found {
		if m.line != 4 {
			t.Errorf("%s is in line %d", m.what, m.line)
		}
		got = append(got, source[:m.begin][len("package p\n\nfunc f(a, b int) bool {\n\t"):]+m.text+source[m.end:][:len(source[m.end:])-len("\n\t\treturn true\n\t}\n\treturn false\n}\n")])
	}
	want := []string{
		"if false && (a < b && b == 3) {", "if a < b || b == 3 {", "if a < b {", "if b == 3 {", "if a <= b && b == 3 {", "if a < b && b != 3 {",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
