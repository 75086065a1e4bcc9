package e2e

import "testing"

// A link signs somebody else in than who is signed in here: the page says so before anything happens. Whoever goes on is that other person, in
// the applications, too, and the first person's session is over.
func TestLinkForAnotherAccount(t *testing.T) {
	t.Parallel()
	const berta = "berta@example.com"
	d, folder := deploy(t), album(t)
	b := browse(t)
	b.withoutAutofill()
	b.open(d.app + "/")
	d.signInByLink(b, anna, d.app+"/")
	b.click("#ask-time")
	b.until("document.querySelector('#time').dataset.status === '200'")

	asking := browse(t)
	asking.withoutAutofill()
	target := d.app + "/reports?year=2026#q3"
	asking.open(target)
	asking.fill("#email", berta)
	asking.click("#send-link")
	asking.arriveBelow(d.portal + "/auth/check-mail")
	link := d.link(t, berta, 0)

	reading := b.beside()
	reading.withoutAutofill()
	reading.open(link)
	reading.see("#continue")
	reading.until("document.querySelector('.notice.warning').textContent.includes('" + anna + "')")
	if account := reading.text(".address"); account != berta {
		t.Errorf("the link is for %s, the page says %s", berta, account)
	}
	reading.picture(folder, "link-other-account")
	b.click("#ask-time")
	b.until("document.querySelector('#time').dataset.status === '200'")
	b.open(d.app + "/?still=anna")
	b.greets(anna, "/?still=anna", "")

	reading.click("#continue")
	reading.arrive(target)
	reading.greets(berta, "/reports?year=2026", "#q3")
	reading.open(d.portal + "/auth/account")
	if who := reading.text(".who"); who != berta {
		t.Errorf("the account page is of %s", who)
	}
	if sessions := ask[int](reading, "document.querySelectorAll('.session').length"); sessions != 1 {
		t.Errorf("berta has %d sessions", sessions)
	}
	b.open(d.app + "/?now=berta")
	b.greets(berta, "/?now=berta", "")
}
