package zoo

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// recipes is where the pages are.
const recipes = "../docs/recipes/"

// recipe is a page of the documentation: what it tells readers to write is what the tests run.
type recipe struct {
	t    *testing.T
	name string
	text string
}

// readRecipe reads a page by its name, which may lead out of docs/recipes, as "../forwardauth".
func readRecipe(t *testing.T, name string) recipe {
	t.Helper()
	text, err := os.ReadFile(recipes + name + ".md")
	if err != nil {
		t.Fatal(err)
	}
	return recipe{t, name, string(text)}
}

// caddyfile is the page's first Caddyfile.
func (r recipe) caddyfile() example {
	r.t.Helper()
	return r.find("```caddyfile\n(.*?)```")
}

// file is the example below a line that ends with the file's name, `so`:
func (r recipe) file(name string) example {
	r.t.Helper()
	return r.find("`" + regexp.QuoteMeta(name) + "`[^\n]*:\n\n```[a-z]+\n(.*?)```")
}

// section is the first example below a headline.
func (r recipe) section(headline string) example {
	r.t.Helper()
	return r.find("\n## " + regexp.QuoteMeta(headline) + "\n.*?```[a-z]+\n(.*?)```")
}

func (r recipe) find(pattern string) example {
	r.t.Helper()
	found := regexp.MustCompile("(?s)" + pattern).FindStringSubmatch(r.text)
	if found == nil {
		r.t.Fatalf("docs/recipes/%s.md has nothing like %s", r.name, pattern)
	}
	return example(found[1])
}

// example is a file as a page shows it.
type example string

// edit replaces texts, given in pairs of old and new. Each old one must be there.
func (e example) edit(t *testing.T, edits ...string) string {
	t.Helper()
	text := string(e)
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(text, edits[i]) {
			t.Fatalf("the example no longer contains %q:\n%s", edits[i], text)
		}
		text = strings.ReplaceAll(text, edits[i], edits[i+1])
	}
	return text
}
