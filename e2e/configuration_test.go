package e2e

import (
	"cmp"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// configuration is a Caddyfile made of a file of this repository.
type configuration struct {
	source string            // path
	edits  []string          // old text, new text, and so on
	words  map[string]string // what stands for an address or a folder of this run, and its value
}

// write makes the Caddyfile.
func (c *configuration) write(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(c.source)
	if err != nil {
		t.Fatal(err)
	}
	filled := fill(t, c.source, edit(t, c.source, string(text), c.edits...), c.words)
	if err := os.WriteFile(path, []byte(filled), 0o600); err != nil {
		t.Fatal(err)
	}
}

// edit replaces each old text, which must be there, by the new one. Later edits also change what earlier ones put in, so the result must be the
// same in every run: an address that is chosen at run time stands in an edit as a word, for fill.
func edit(t *testing.T, name, text string, edits ...string) string {
	t.Helper()
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(text, edits[i]) {
			t.Fatalf("%s no longer contains %q", name, edits[i])
		}
		if port := chosenPort.FindString(edits[i+1]); port != "" {
			t.Fatalf("an edit of %s has the port %s: write a word there and give its value to fill", name, port)
		}
		text = strings.NewReplacer(edits[i], edits[i+1]).Replace(text)
	}
	return text
}

// chosenPort is a port of freePort or of the system: the ports in our examples have four digits.
var chosenPort = regexp.MustCompile(`:[0-9]{5}\b`)

// fill replaces each word, which must be there, by its value, all in one pass: no value is taken for a word, whatever its digits. Where one word
// begins with another, the longer one wins.
func fill(t *testing.T, name, text string, words map[string]string) string {
	t.Helper()
	var pairs []string
	for _, word := range slices.SortedFunc(maps.Keys(words), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	}) {
		if !strings.Contains(text, word) {
			t.Fatalf("%s no longer contains %q", name, word)
		}
		pairs = append(pairs, word, words[word])
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// A value that looks like another word is not replaced again: with one replacement after the other, the admin port 20193 became 223903.
func TestPortsAreFilledInOnce(t *testing.T) {
	t.Parallel()
	words := map[string]string{
		// Each value contains the next word, in a circle: no order is right.
		"localhost:8080": "localhost:20193", "localhost:2019": "localhost:80251", "localhost:8025": "localhost:80801",
		"127.0.0.1:9000": "127.0.0.1:20199", "./data/": "/tmp/localhost:8080/data/",
	}
	example, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	text := fill(t, "Caddyfile.example", string(example), words)
	for _, want := range []string{
		"admin localhost:80251\n", "portal http://localhost:20193/auth/\n", "applications http://app.localhost:20193\n", "inbox localhost:80801\n",
		"reverse_proxy 127.0.0.1:20199\n", "storage file_system /tmp/localhost:8080/data/caddy\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if got := fill(t, "a text", "PORTAL PORT", map[string]string{"PORT": "1", "PORTAL": "2"}); got != "2 1" {
		t.Errorf("a word that begins with another: %q", got)
	}
}
