package e2e

import "strings"

// rename gives the only passkey of the account page another name.
func (b *tab) rename(name string) {
	b.t.Helper()
	b.click(".passkey[data-id] .rename")
	b.fill(".passkey[data-id] .renaming input[name=name]", name)
	b.click(".passkey[data-id] .renaming .save")
	b.until("document.querySelector('.passkey[data-id] .name')?.textContent.trim() === " + quote(name))
}

// delete removes the only passkey of the account page.
func (b *tab) delete() {
	b.t.Helper()
	b.click(".passkey[data-id] .delete")
	b.click("#confirm-delete")
	b.until("!document.querySelector('.passkey[data-id]')")
}

// quote makes a JavaScript string.
func quote(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}
