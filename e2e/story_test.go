package e2e

import (
	"strings"
	"testing"
)

const anna = "anna@example.com"

// TestStory is the product's main job, step by step as a person does it.
func TestStory(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	b := browse(t)
	target := d.app + "/reports?year=2026#q3"

	// A stranger asks for a page of the application, types an address, and gets a link by mail.
	b.open(target)
	d.signInByLink(b, anna, target)
	b.greets(anna, "/reports?year=2026", "#q3")

	// On the account page they add a passkey.
	device := attach(b)
	b.click("#account")
	b.arrive(d.portal + "/auth/account")
	b.click("#add-passkey")
	b.see(".passkey[data-id]")
	passkeys := device.detach()
	if len(passkeys) != 1 || !passkeys[0].IsResidentCredential || passkeys[0].RpID != "localhost" {
		t.Fatalf("the device holds %+v, want one discoverable passkey for localhost", passkeys)
	}

	// They sign out of everything, from the application's own link.
	d.signOut(b)
	b.open(target)
	b.arriveBelow(d.portal + "/auth/sign-in")

	// The passkey alone signs in, by the button, with no name typed, and leads back as well. This tab's browser knows no autofill.
	button := b.beside()
	button.withoutAutofill()
	device = attach(button, passkeys...)
	button.open(target)
	button.click("#passkey-button")
	button.arrive(target)
	button.greets(anna, "/reports?year=2026", "#q3")
	passkeys = device.detach()
	d.signOut(button)

	// And by autofill: the passkey is picked from the e-mail field.
	autofill := b.beside()
	device = attach(autofill, passkeys...)
	autofill.open(target)
	autofill.arrive(target)
	autofill.greets(anna, "/reports?year=2026", "#q3")

	// Rename, and it stays renamed.
	autofill.open(d.portal + "/auth/account")
	autofill.rename("Anna's key")
	autofill.open(d.portal + "/auth/account")
	if text := autofill.text(".passkey[data-id] .name"); text != "Anna's key" {
		t.Errorf("after a reload the passkey is %q", text)
	}

	// Delete, after proving with the passkey who it is; then the passkey is worth nothing any more.
	autofill.delete()
	passkeys = device.detach()
	d.signOut(autofill)
	deleted := b.beside()
	deleted.withoutAutofill()
	attach(deleted, passkeys...)
	deleted.open(target)
	if len(passkeys) == 0 {
		return // the device removed it when the page said that it is unknown
	}
	deleted.click("#passkey-button")
	deleted.noticed()
	if at := deleted.location(); !strings.HasPrefix(at, d.portal+"/auth/sign-in") {
		t.Errorf("a deleted passkey led to %s", at)
	}
}

// Somebody else's finger, or a closed prompt: nothing is lost, and the button works again.
func TestCancelledPasskey(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	b := browse(t)
	b.withoutAutofill()
	device := attach(b)
	b.open(d.app + "/")
	d.signInByLink(b, anna, d.app+"/")
	b.open(d.portal + "/auth/account")
	b.click("#add-passkey")
	b.see(".passkey[data-id]")
	d.signOut(b)

	device.verifies(false)
	b.open(d.app + "/")
	b.click("#passkey-button")
	b.noticed()
	device.verifies(true)
	b.click("#passkey-button")
	b.arrive(d.app + "/")
	b.greets(anna, "/", "")
}

// A mail reader opens links in another browser: that one is signed in, after saying which account it is, and never the one that
// asked for the link.
func TestLinkInAnotherBrowser(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	asking, reading := browse(t), browse(t)
	target := d.app + "/reports"
	asking.open(target)
	asking.fill("#email", anna)
	asking.click("#send-link")
	asking.arriveBelow(d.portal + "/auth/check-mail")
	link := d.link(t, anna, 0)

	reading.open(link)
	reading.see("#continue")
	if text := reading.text("body"); !strings.Contains(text, anna) {
		t.Errorf("the page of the link does not name the account:\n%s", text)
	}
	reading.click("#continue")
	reading.arrive(target)
	reading.open(d.portal + "/auth/account")
	reading.see("#sign-out")
	if text := reading.text("body"); !strings.Contains(text, anna) {
		t.Errorf("the other browser is not signed in:\n%s", text)
	}

	// The browser that asked learns it and stays signed out.
	asking.until("document.querySelector('#notice').textContent.includes('used in another browser')")
	asking.open(target)
	asking.arriveBelow(d.portal + "/auth/sign-in")
}

// A link works once.
func TestLinkWorksOnce(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	b := browse(t)
	b.open(d.app + "/")
	link := d.signInByLink(b, anna, d.app+"/")
	d.signOut(b)
	b.open(link)
	b.click("#continue")
	b.noticed()
	b.open(d.app + "/")
	b.arriveBelow(d.portal + "/auth/sign-in")
}

// Mail scanners open links, and some run scripts: without the button nothing is used up.
func TestLinkSurvivesScanners(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	b := browse(t)
	b.open(d.app + "/")
	b.fill("#email", anna)
	b.click("#send-link")
	b.arriveBelow(d.portal + "/auth/check-mail")
	link := d.link(t, anna, 0)
	for range 2 {
		if response, body := get(t, link); response.StatusCode != 200 {
			t.Fatalf("a scanner gets %s\n%s", response.Status, body)
		}
		scanner := browse(t)
		scanner.open(link)
		scanner.see("#continue")
	}
	b.open(link)
	b.click("#continue")
	b.arrive(d.app + "/")
	b.greets(anna, "/", "")
}

// Keys and sessions are in Caddy's storage, the users in the pool's file: a restart and a reload sign nobody out.
func TestSessionOutlivesRestartAndReload(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	b := browse(t)
	b.open(d.app + "/reports")
	d.signInByLink(b, anna, d.app+"/reports")

	d.reload(t)
	b.open(d.app + "/reports?after=reload")
	b.greets(anna, "/reports?after=reload", "")

	d.restart(t)
	b.open(d.app + "/reports?after=restart")
	b.greets(anna, "/reports?after=restart", "")
	b.open(d.portal + "/auth/account")
	b.see("#add-passkey")
}

// signInByLink goes from the sign-in page to the target, and returns the link that was used.
func (d *deployment) signInByLink(b *tab, email, target string) string {
	b.t.Helper()
	link := d.signInByLinkTo(b, email)
	b.arrive(target)
	return link
}

// signInByLinkTo is signInByLink to wherever it leads.
func (d *deployment) signInByLinkTo(b *tab, email string) (link string) {
	b.t.Helper()
	b.arriveBelow(d.portal + "/auth/sign-in")
	known := len(d.messages(b.t, email))
	b.fill("#email", email)
	b.click("#send-link")
	b.arriveBelow(d.portal + "/auth/check-mail")
	link = d.link(b.t, email, known)
	b.open(link)
	b.click("#continue")
	return link
}

// signOut uses the application's link and the portal's button.
func (d *deployment) signOut(b *tab) {
	b.t.Helper()
	b.open(d.app + "/")
	b.arrive(d.app + "/")
	b.click("#sign-out")
	b.arriveBelow(d.portal + "/auth/sign-out")
	b.click("#sign-out")
	b.until("location.pathname === '/auth/signed-out'")
}

// greets checks what the application shows: the person, the path and query that reached it, the fragment in the browser.
func (b *tab) greets(email, path, fragment string) {
	b.t.Helper()
	if user := b.text("#user"); user != email {
		b.t.Errorf("the application greets %q, want %q", user, email)
	}
	if got := b.text("#path"); got != path {
		b.t.Errorf("the application was asked for %q, want %q", got, path)
	}
	if got := ask[string](b, "document.querySelector('#fragment').textContent"); got != fragment {
		b.t.Errorf("the browser stands at %q, want %q", got, fragment)
	}
}
