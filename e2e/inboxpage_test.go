package e2e

import (
	"slices"
	"testing"
)

// A developer leaves the inbox open beside the application: mails and text messages appear in it by themselves, newest first, and can be
// read by everybody, on a phone and in the dark, too.
func TestInboxPage(t *testing.T) {
	t.Parallel()
	d, folder := deployStepUp(t), album(t)
	b := browse(t)
	b.withoutAutofill()
	inbox := b.beside()
	inbox.watch(d.inbox)
	inbox.open(d.inbox)
	inbox.see(".empty")
	inbox.picture(folder, "inbox-empty")

	b.open(d.app + "/")
	d.signInByLink(b, anna, d.app+"/")
	inbox.until("document.querySelectorAll('article').length === 1 && !document.querySelector('.empty')")
	b.open(d.portal + "/auth/account")
	b.click("#change-phone")
	b.fill("#phone", annasPhone)
	b.click("#phone-send")
	code := d.code(t, annasPhone, 0)
	inbox.until("document.querySelectorAll('article').length === 3") // its owner is told by mail, too
	if to := ask[[]string](inbox, "[...document.querySelectorAll('article')].map((a) => a.dataset.kind + ' ' + a.dataset.to)"); !slices.Equal(to, []string{"mail " + anna, "sms " + annasPhone, "mail " + anna}) {
		t.Errorf("the inbox shows %q", to)
	}
	if status := ask[string](inbox, "document.querySelector('#announce').textContent"); status != "1 new message" && status != "2 new messages" {
		t.Errorf("a screen reader hears %q", status)
	}
	if text := inbox.text("article.sms"); codePattern.FindString(text) != code {
		t.Errorf("the text message is not shown: %s", text)
	}
	inbox.picture(folder, "inbox")
	inbox.click("article:last-of-type summary")
	inbox.see("article:last-of-type iframe")
	inbox.until("(document.querySelector('article:last-of-type iframe').scrollIntoView(), true)")
	inbox.picture(folder, "inbox-html")
}
