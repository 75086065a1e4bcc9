package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

var (
	caddyfileBlock = regexp.MustCompile("(?s)```caddyfile\n(.*?)```")
	hashVariable   = regexp.MustCompile(`\{\$([A-Z_]+_HASH)\}`) // a password's hash for basic_auth
)

// TestExamplesInTheDocumentation holds every Caddyfile that a reader may copy: it must validate.
func TestExamplesInTheDocumentation(t *testing.T) {
	t.Setenv("COGNITO_CLIENT_SECRET", "s3cret")
	var pages []string
	for _, pattern := range []string{"../../docs/*.md", "../../docs/*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	examples := 0
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range caddyfileBlock.FindAllSubmatch(text, -1) {
			examples++
			for _, variable := range hashVariable.FindAllSubmatch(block[1], -1) {
				t.Setenv(string(variable[1]), "$2a$04$abcdefghijklmnopqrstuuW6Z4ZPRuPQMMCP5MjIOsgyGe5gk9hAq")
			}
			if err := validate(t, string(block[1])); err != nil {
				t.Errorf("%s: %v", filepath.Base(page), err)
			}
		}
	}
	if examples < 6 {
		t.Errorf("only %d examples were found", examples)
	}
}
