package e2e

import (
	"os"
	"strings"

	"github.com/chromedp/chromedp"
)

// accessible holds the page against axe-core's rules of WCAG 2.2, levels A and AA, and its best practices, once colours that are on their way
// from one to another have arrived.
func (b *tab) accessible(name string) {
	b.t.Helper()
	source, err := os.ReadFile("../bin/npm/node_modules/axe-core/axe.min.js")
	if err != nil {
		b.t.Fatalf("axe-core is missing: run `make test-tools` (%v)", err)
	}
	violations := ask[[]string](b, string(source)+`;
		Promise.allSettled(document.getAnimations().filter((a) => a.effect.getComputedTiming().endTime !== Infinity).map((a) => a.finished)).then(() =>
		axe.run(document, { iframes: false })).then((found) =>
			found.violations.map((v) => v.id + " (" + v.help + "): " + v.nodes.map((n) => n.target.join(" ")).join(", ")))`)
	if len(violations) > 0 {
		b.t.Errorf("%s: %s", name, strings.Join(violations, "\n"))
	}
}

// reflows holds the page against WCAG 2.2, 1.4.10 and 2.3.3: at 320 pixels nobody scrolls sideways, and for those who asked for less
// motion nothing moves.
func (b *tab) reflows(name string) {
	b.t.Helper()
	b.do("a window of 320 pixels", chromedp.EmulateViewport(320, 640))
	if over := ask[int](b, "document.documentElement.scrollWidth - 320"); over > 0 {
		b.t.Errorf("%s: at 320 pixels the page is %d too wide", name, over)
	}
	if moving := ask[int](b, "document.getAnimations().filter((a) => a.playState === 'running').length"); moving > 0 {
		b.t.Errorf("%s: with reduced motion %d things move", name, moving)
	}
}
