package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// The pages of the portal where something went wrong, or where a person is in the middle of something: each in every look, under
// axe-core. Those of the good ways are seen by TestScreens and the tests of step-up.

// What a person meets who is signed in and may not enter, or whose form waits.
func TestAccessibleRefusals(t *testing.T) {
	t.Parallel()
	d := deploy(t, "\tpasswordless_guard\n", `	passwordless_guard /admin* {
		allow group admins
	}
	passwordless_guard /reports* {
		step_up 5m passkey
	}
	passwordless_guard
`)
	folder, b := album(t), browse(t)
	b.withoutAutofill()
	b.open(d.app + "/")
	d.signInByLink(b, anna, d.app+"/")

	b.open(d.app + "/admin")
	b.see("#action")
	b.picture(folder, "forbidden")

	attach(b)
	b.open(d.portal + "/auth/account")
	b.click("#add-passkey")
	b.see(".passkey[data-id]")
	b.open(d.app + "/")
	b.until(`(() => {
		const form = Object.assign(document.createElement("form"), { method: "post", action: "/reports?year=2026" });
		form.append(Object.assign(document.createElement("input"), { name: "amount", value: "12" }));
		document.body.append(form);
		form.submit();
		return true;
	})()`)
	b.arriveBelow(d.portal + "/auth/step-up")
	b.click("#passkey-button")
	b.see("#send-again")
	b.picture(folder, "send-again")

	b.open(d.app + "/auth/handoff#forged")
	b.see("#again")
	b.picture(folder, "handoff-failed")
}

// The account page while a passkey gets a name, is about to be deleted, and cannot be added.
func TestAccessibleAccount(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	folder, b := album(t), browse(t)
	b.withoutAutofill()
	device := attach(b)
	b.open(d.app + "/")
	d.signInByLink(b, anna, d.app+"/")
	b.open(d.portal + "/auth/account")
	b.see("#suggestion")
	b.picture(folder, "account-suggestion")
	b.click("#suggestion-add")
	b.see(".passkey[data-id] .renaming input")
	b.picture(folder, "account-renaming")
	b.click(".passkey[data-id] .cancel-rename")
	b.click(".passkey[data-id] .delete")
	b.see("#confirm-delete")
	b.picture(folder, "account-confirm")
	b.click("#confirm-cancel")
	device.verifies(false)
	b.click("#add-passkey")
	b.noticed()
	b.picture(folder, "account-cancelled")
}

// Sign-in where the prompt was closed, where the link is opened elsewhere, broken, or as somebody else, and where too much was asked.
func TestAccessibleSignIn(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	folder, b, other := album(t), browse(t), browse(t)
	b.withoutAutofill()
	other.withoutAutofill()
	attach(b).verifies(false)
	b.open(d.app + "/")
	b.click("#passkey-button")
	b.noticed()
	b.picture(folder, "sign-in-cancelled")

	b.fill("#email", anna)
	b.click("#send-link")
	b.arriveBelow(d.portal + "/auth/check-mail")
	link := d.link(t, anna, 0)
	other.open(link)
	other.see("#continue")
	other.picture(folder, "link-other-browser")

	other.open(d.app + "/")
	d.signInByLink(other, "bob@example.com", d.app+"/")
	other.open(link)
	other.see("#continue")
	other.picture(folder, "link-other-account")
	other.open("about:blank") // else only the fragment changes
	other.open(strings.SplitN(link, "#", 2)[0])
	other.noticed()
	other.picture(folder, "link-torn")
	other.open("about:blank")
	other.open(link[:len(link)-20])
	other.click("#continue")
	other.noticed()
	other.picture(folder, "link-invalid")
}

// Whoever zooms to 400 % or has a window of 320 pixels, and whoever wants less motion, loses nothing, in any language.
func TestReflowInEveryLanguage(t *testing.T) {
	t.Parallel()
	d := deployStepUp(t)
	b, other := browse(t), browse(t)
	b.withoutAutofill()
	b.each(d, "sign-in", "sign-in?flow=forged", "signed-out", "link?flow=forged")
	device := attach(b)
	b.open(d.app + "/")
	link := d.signInByLink(b, anna, d.app+"/")
	b.each(d, "sign-out", strings.TrimPrefix(link, d.portal+"/auth/"))
	b.open(d.portal + "/auth/account")
	b.click("#add-passkey")
	b.see(".passkey[data-id]")

	// Another session, so that there is one to end.
	other.withoutAutofill()
	attach(other, device.detach()...)
	other.open(d.app + "/")
	other.click("#passkey-button")
	other.arrive(d.app + "/")
	b.each(d, "account")
	if sessions := ask[int](b, "document.querySelectorAll('.end-session').length"); sessions != 1 {
		t.Errorf("%d other sessions were seen", sessions)
	}
}

// each sees pages of the portal in every language.
func (b *tab) each(d *deployment, pages ...string) {
	b.t.Helper()
	for _, language := range []string{"en", "de", "es", "fr", "ja"} {
		b.speak(language)
		for _, page := range pages {
			b.open("about:blank")
			b.open(d.portal + "/auth/" + page)
			if lang := ask[string](b, "document.documentElement.lang"); lang != language {
				b.t.Fatalf("%s is in %q, want %q", page, lang, language)
			}
			b.reflows(page + " in " + language)
			b.accessible(page + " in " + language)
		}
	}
}

// speak makes the browser prefer a language.
func (b *tab) speak(language string) {
	b.t.Helper()
	agent := ask[string](b, "navigator.userAgent")
	if _, err := chromedp.Call(b.ctx, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: agent, AcceptLanguage: language}); err != nil {
		b.t.Fatal(fmt.Errorf("speaking %s: %w", language, err))
	}
	if err := media(b.ctx, "light", "reduce"); err != nil {
		b.t.Fatal(err)
	}
}
