package e2e

import (
	"context"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// maxStops is more than any page has places for the focus.
const maxStops = 40

// press types as a keyboard does, into whatever has the focus.
func (b *tab) press(keys string) {
	b.t.Helper()
	b.do("pressing a key", chromedp.KeyEvent(keys))
}

// tabTo presses Tab until an element has the focus, which must show at every place on the way.
func (b *tab) tabTo(selector string) {
	b.t.Helper()
	b.see(selector)
	for range maxStops {
		b.press(kb.Tab)
		if lost := b.unmarked(); lost != "" {
			b.t.Errorf("on the way to %s the focus does not show on %s", selector, lost)
		}
		if ask[bool](b, "!!document.activeElement?.matches("+quote(selector)+")") {
			return
		}
	}
	b.t.Fatalf("Tab never comes to %s", selector)
}

// unmarked is the element that has the focus where that cannot be seen: no outline, none of 3:1 against what it lies on, or out of sight.
func (b *tab) unmarked() string {
	b.t.Helper()
	return ask[string](b, `(() => {
		const at = document.activeElement;
		if (!at || at === document.body || at === document.documentElement) return "";
		const style = getComputedStyle(at), box = at.getBoundingClientRect();
		const shown = at.matches(":focus-visible") && style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
		const inside = box.width > 0 && box.height > 0 && box.top < innerHeight && box.bottom > 0;
		const light = (colour) => {
			const [r, g, b] = colour.match(/[\d.]+/g).map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
			return 0.2126 * r + 0.7152 * g + 0.0722 * b;
		};
		let below = at.parentElement;
		while (below.parentElement && /, 0\)$|^transparent$/.test(getComputedStyle(below).backgroundColor)) below = below.parentElement;
		const [dark, bright] = [light(style.outlineColor), light(getComputedStyle(below).backgroundColor)].sort((a, b) => a - b);
		const contrast = (bright + 0.05) / (dark + 0.05);
		return shown && inside && contrast >= 3 ? "" : at.outerHTML.slice(0, 120) + " (" + style.outline + ", contrast " + contrast.toFixed(1) + ")";
	})()`)
}

// A person without a mouse signs up, adds a passkey and names it, ends the session, and comes back by passkey: Tab and Enter do everything.
func TestKeyboardOnly(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	for _, scheme := range []string{"light", "dark"} {
		t.Run(scheme, func(t *testing.T) {
			email := scheme + "@example.com"
			b := browse(t)
			b.prefers(scheme)
			b.withoutAutofill()
			attach(b)
			target := d.app + "/reports?year=2026#q3"

			b.open(target)
			b.arriveBelow(d.portal + "/auth/sign-in")
			b.tabTo("#email")
			b.press(email + kb.Enter)
			b.arriveBelow(d.portal + "/auth/check-mail")
			b.tabTo("#other-address")
			b.open(d.link(t, email, 0))
			b.tabTo("#continue")
			b.press(kb.Enter)
			b.arrive(target)

			b.open(d.portal + "/auth/account")
			b.tabTo("#add-passkey")
			b.press(kb.Enter)
			b.until("!!document.activeElement?.matches('.passkey[data-id] .renaming input')") // its old name is selected
			b.press("Blue key" + kb.Enter)
			b.until("document.querySelector('.passkey[data-id] .name').textContent === 'Blue key'")
			if !ask[bool](b, "document.activeElement.matches('.rename')") {
				t.Error("after renaming the focus is lost")
			}
			b.tabTo(".passkey[data-id] .delete")
			b.press(kb.Enter)
			b.until("!!document.activeElement?.matches('#confirm-cancel')")
			b.press(kb.Escape)
			b.until("!document.querySelector('#confirm').open")
			if !ask[bool](b, "document.activeElement.matches('.delete')") {
				t.Error("after closing the dialog the focus is lost")
			}

			b.open(d.portal + "/auth/account")
			b.tabTo("#sign-out")
			b.press(kb.Enter)
			b.until("location.pathname === '/auth/signed-out'")

			b.open(target)
			b.arriveBelow(d.portal + "/auth/sign-in")
			b.tabTo("#passkey-button")
			b.press(kb.Enter)
			b.arrive(target)
			b.greets(email, strings.TrimPrefix(strings.TrimSuffix(target, "#q3"), d.app), "#q3")
		})
	}
}

// prefers makes the browser ask for a light or a dark page.
func (b *tab) prefers(scheme string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepTimeout)
	defer cancel()
	if err := media(ctx, scheme, "no-preference"); err != nil {
		b.t.Fatal(err)
	}
}
