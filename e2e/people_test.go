package e2e

import "testing"

// A browser offers who signed in with it: one press starts with the way they took the last time, another forgets them.
func TestRememberedPeople(t *testing.T) {
	t.Parallel()
	const berta = "berta.with-a-longer-name@department.example.com"
	d, folder := deploy(t), album(t)
	b := browse(t)
	b.withoutAutofill()
	target := d.app + "/?tab=2#q3"
	b.open(target)
	d.signInByLink(b, berta, target)
	d.signOut(b)
	b.open(target)
	d.signInByLink(b, anna, target)
	device := attach(b)
	b.open(d.portal + "/auth/account")
	b.click("#add-passkey")
	b.see(".passkey[data-id]")
	d.signOut(b)
	b.open(target)
	b.arriveBelow(d.portal + "/auth/sign-in")
	b.see("#people")
	b.picture(folder, "sign-in-people")
	b.accessible("sign-in with remembered people")
	b.reflows("sign-in with remembered people")
	if n := ask[int](b, "document.querySelectorAll('.person').length"); n != 2 {
		t.Fatalf("%d people are offered", n)
	}
	b.click(".person[data-email='" + berta + "'] .forget")
	b.until("document.querySelectorAll('.person').length === 1")
	b.until("document.activeElement.matches('.choose')")

	// Anna's last way was a link.
	b.click(".person .choose")
	b.arriveBelow(d.portal + "/auth/check-mail")
	if to := b.text(".address"); to != anna {
		t.Errorf("a link goes to %s", to)
	}

	b.open(target)
	b.click("#passkey-button")
	b.arrive(target)
	d.signOut(b)
	b.open(target)
	b.see(".person[data-passkey='yes']")
	b.click(".person .choose") // a passkey now
	b.arrive(target)
	b.greets(anna, "/?tab=2", "#q3")
	if len(device.passkeys()) != 1 {
		t.Error("the passkey is gone")
	}
	other := browse(t)
	other.open(target)
	other.arriveBelow(d.portal + "/auth/sign-in")
	if ask[bool](other, "!!document.querySelector('#people')") {
		t.Error("another browser offers somebody")
	}
}
