package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

var caddyfileBlock = regexp.MustCompile("(?s)```caddyfile\n(.*?)```")

// TestExamplesInTheDocumentation holds every Caddyfile that a reader may copy: it must validate.
func TestExamplesInTheDocumentation(t *testing.T) {
	t.Setenv("COGNITO_CLIENT_SECRET", "s3cret")
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := 0
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range caddyfileBlock.FindAllSubmatch(text, -1) {
			examples++
			if err := validate(t, string(block[1])); err != nil {
				t.Errorf("%s: %v", filepath.Base(page), err)
			}
		}
	}
	if examples < 6 {
		t.Errorf("only %d examples were found", examples)
	}
}
