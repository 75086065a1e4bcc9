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
	secretVariable = regexp.MustCompile(`\{env\.([A-Z_]+)\}`)
)

// storedSecret is a secret option whose value is part of the adapted configuration: literally, or by {$NAME}.
var storedSecret = regexp.MustCompile(`(?m)^\s*(password|client_secret|admin_key\s+\S+|upstream_basic\s+\S+)\s+([^{\s]|\{\$).*`)

// TestExamplesInTheDocumentation holds every Caddyfile that a reader may copy: it must validate.
func TestExamplesInTheDocumentation(t *testing.T) {
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
			if storedSecret.Match(block[1]) {
				t.Errorf("%s: an example puts a secret into the stored configuration: %s", filepath.Base(page), storedSecret.Find(block[1]))
			}
			for _, variable := range hashVariable.FindAllSubmatch(block[1], -1) {
				t.Setenv(string(variable[1]), "$2a$04$abcdefghijklmnopqrstuuW6Z4ZPRuPQMMCP5MjIOsgyGe5gk9hAq")
			}
			for _, variable := range secretVariable.FindAllSubmatch(block[1], -1) {
				t.Setenv(string(variable[1]), "s3cret")
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
