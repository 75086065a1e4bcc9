package e2e

import "testing"

// A page is not for this account: the answer says so, and another account comes back to that very page.
func TestForbiddenPage(t *testing.T) {
	t.Parallel()
	const berta = "berta@example.com"
	d, folder := deploy(t, "\tpasswordless_guard\n", `	passwordless_guard /admin* {
		allow group admins
	}
	passwordless_guard
`), album(t)
	b := browse(t)
	b.withoutAutofill()
	b.open(d.app + "/")
	d.signInByLink(b, anna, d.app+"/")
	target := d.app + "/admin?tab=2"
	b.open(target)
	b.see("#action")
	b.picture(folder, "forbidden")
	b.accessible("forbidden")
	b.reflows("forbidden")
	if who := b.text(".address"); who != anna {
		t.Errorf("the page names %s", who)
	}

	b.click("#action")
	b.arriveBelow(d.portal + "/auth/sign-out")
	b.click("#sign-out")
	b.arriveBelow(d.portal + "/auth/signed-out")
	b.click("#sign-in")
	b.arriveBelow(d.portal + "/auth/sign-in")
	for _, args := range [][]string{{"users", "add", berta}, {"users", "groups", berta, "admins"}} {
		if _, said, ok := d.operate(t, args...); !ok {
			t.Fatal(said)
		}
	}
	b.fill("#email", berta)
	b.click("#send-link")
	b.arriveBelow(d.portal + "/auth/check-mail")
	b.open(d.link(t, berta, 0))
	b.click("#continue")
	b.arrive(target)
	b.greets(berta, "/admin?tab=2", "")
}
