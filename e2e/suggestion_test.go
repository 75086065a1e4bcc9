package e2e

import "testing"

// Who has no passkey is offered one. Refused once, the offer does not come back in this browser, whoever signs in; elsewhere it does.
func TestPasskeySuggestionIsRefused(t *testing.T) {
	t.Parallel()
	const berta = "berta@example.com"
	d, folder := deploy(t), album(t)
	account := d.portal + "/auth/account"
	b := browse(t)
	b.withoutAutofill()
	attach(b)
	b.open(d.app + "/")
	d.signInByLink(b, anna, d.app+"/")
	b.open(account)
	b.see("#suggestion")
	b.picture(folder, "suggestion")
	b.click("#suggestion-refuse")
	b.until("!document.querySelector('#suggestion').checkVisibility() && document.activeElement.id === 'add-passkey'")
	b.stillRefused(account)
	d.signOut(b)

	b.open(d.app + "/")
	d.signInByLink(b, berta, d.app+"/")
	b.stillRefused(account)
	// It was an offer: passkeys can be added as before.
	b.click("#add-passkey")
	b.see(".passkey[data-id]")

	other := browse(t)
	other.withoutAutofill()
	attach(other)
	other.open(d.app + "/")
	d.signInByLink(other, "carla@example.com", d.app+"/")
	other.open(account)
	other.click("#suggestion-add")
	other.see(".passkey[data-id]")
	if ask[bool](other, "document.querySelector('#suggestion').checkVisibility()") {
		t.Error("who has taken the offer still sees it")
	}
}

// stillRefused opens the account page anew and waits until its script has shown what there is to show.
func (b *tab) stillRefused(account string) {
	b.t.Helper()
	b.open(account)
	b.see("#add-passkey")
	if ask[bool](b, "document.querySelector('#suggestion').checkVisibility()") {
		b.t.Error("the refused suggestion is back")
	}
}
