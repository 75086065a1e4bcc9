package e2e

import (
	"os"
	"strings"
)

// accessible holds the page against axe-core's rules of WCAG 2.2, levels A and AA, and its best practices.
func (b *tab) accessible(name string) {
	b.t.Helper()
	source, err := os.ReadFile("../bin/npm/node_modules/axe-core/axe.min.js")
	if err != nil {
		b.t.Fatalf("axe-core is missing: run `make test-tools` (%v)", err)
	}
	violations := ask[[]string](b, string(source)+`;
		axe.run(document, { iframes: false }).then((found) =>
			found.violations.map((v) => v.id + " (" + v.help + "): " + v.nodes.map((n) => n.target.join(" ")).join(", ")))`)
	if len(violations) > 0 {
		b.t.Errorf("%s: %s", name, strings.Join(violations, "\n"))
	}
}
