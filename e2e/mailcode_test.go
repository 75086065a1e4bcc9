package e2e

import (
	"regexp"
	"strings"
	"testing"
)

var mailedCodePattern = regexp.MustCompile(`\b[2-9A-Z]{4}[ -][2-9A-Z]{4}\b`)

// The code of the mail is typed where the link was asked for: wrong at first, then right. The link beside it is used up with it.
func TestCodeOfTheMail(t *testing.T) {
	t.Parallel()
	d, folder := deploy(t, "\t\tmagic_link\n", "\t\tmagic_link {\n\t\t\tcode\n\t\t}\n"), album(t)
	b := browse(t)
	b.withoutAutofill()
	b.open(d.app + "/?tab=2#q3")
	b.arriveBelow(d.portal + "/auth/sign-in")
	b.fill("#email", anna)
	b.click("#send-link")
	b.arriveBelow(d.portal + "/auth/check-mail")
	b.picture(folder, "check-mail-code")
	link := d.link(t, anna, 0)
	code := mailedCodePattern.FindString(d.messages(t, anna)[0].Text)
	if code == "" {
		t.Fatalf("no code in %s", d.messages(t, anna)[0].Text)
	}
	wrong := "2222 2222"
	if code == wrong {
		wrong = "3333 3333"
	}
	b.fill("#code", wrong)
	b.click("#verify-code")
	b.until("document.querySelector('#notice').className.includes('error')")
	b.picture(folder, "check-mail-code-wrong")
	b.accessible("check mail with a wrong code")
	b.reflows("check mail with a wrong code")
	b.fill("#code", code)
	b.click("#verify-code")
	b.arrive(d.app + "/?tab=2#q3")
	b.greets(anna, "/?tab=2", "#q3")

	other := browse(t)
	other.open(link)
	other.click("#continue")
	other.see("#action")
	if said := ask[string](other, "document.querySelector('#notice').textContent"); !strings.Contains(said, "works once") {
		t.Errorf("the link's page says %q", said)
	}
}
