package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// deployAway is the example with pages that lead to another origin: /away for everybody who is signed in, /pay after a fresh passkey.
// It returns that origin, too, which is not among the applications.
func deployAway(t *testing.T) (d *deployment, wiki string) {
	t.Helper()
	wiki = "http://wiki.localhost:" + freePort(t)
	d = deployFilled(t, map[string]string{"WIKI": wiki},
		"\tpasswordless_guard\n", `	route /away* {
		passwordless_guard
		redir WIKI/welcome
	}
	route /pay* {
		passwordless_guard {
			step_up 10s passkey
		}
		redir WIKI/paid 303
	}
	passwordless_guard
`,
		"http://app.localhost:8080 {\n", "WIKI {\n\theader Content-Type text/html\n\trespond \"<h1 id=wiki>Wiki</h1>\"\n}\n\nhttp://app.localhost:8080 {\n")
	return d, wiki
}

// The demo's salary page is the first thing that somebody opens: the application asks for a step-up at once.
func TestSalaryFirst(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	b := browse(t)
	b.withoutAutofill()
	b.open(d.app + "/salary?year=2026#q3")
	d.signInByLinkTo(b, anna)
	b.arriveBelow(d.portal + "/auth/step-up")
	b.see("#send-link, #passkey-button")
}

// The first page is one for which the guard asks for a fresh passkey.
func TestStepUpPageFirst(t *testing.T) {
	t.Parallel()
	d, _ := deployAway(t)
	b := browse(t)
	b.withoutAutofill()
	b.open(d.app + "/pay?invoice=7")
	d.signInByLinkTo(b, anna)
	b.arriveBelow(d.portal + "/auth/step-up")
	b.see("#send-link, #passkey-button")
}

// The page asked for redirects to an origin that nobody listed, in the browser that asked, in another one, and for somebody who is
// signed in at the portal already.
func TestLandingPageOnAnotherOrigin(t *testing.T) {
	t.Parallel()
	d, wiki := deployAway(t)
	b := browse(t)
	b.withoutAutofill()
	b.open(d.app + "/away")
	d.signInByLinkTo(b, anna)
	b.arrive(wiki + "/welcome")

	asking, reading := browse(t), browse(t)
	asking.withoutAutofill()
	asking.open(d.app + "/away")
	asking.fill("#email", "bea@example.com")
	asking.click("#send-link")
	asking.arriveBelow(d.portal + "/auth/check-mail")
	reading.open(d.link(t, "bea@example.com", 0))
	reading.click("#continue")
	reading.arrive(wiki + "/welcome")

	// Signed in at the portal only: the cookies of the application's host are gone.
	b.forgetCookies("app.localhost")
	b.open(d.app + "/away")
	b.arrive(wiki + "/welcome")
}

// A form waits for a step-up and is sent again; the application answers it by leading to another origin.
func TestFormSentAgainLeadsToAnotherOrigin(t *testing.T) {
	t.Parallel()
	d, wiki := deployAway(t)
	b := browse(t)
	d.signInWithPasskey(b)
	b.open(d.app + "/")
	b.until(`(() => {
		const form = Object.assign(document.createElement("form"), { method: "post", action: "/pay?invoice=7" });
		document.body.append(form);
		form.submit();
		return true;
	})()`)
	b.arriveBelow(d.portal + "/auth/step-up")
	b.click("#passkey-button")
	b.click("#send-again")
	b.arrive(wiki + "/paid")
}

// The application's host does not answer the code. After a time there is a button that leads to the page asked for, and still so when
// somebody has loaded the page again meanwhile.
func TestHandoffThatHangs(t *testing.T) {
	t.Parallel()
	d, folder := deploy(t), album(t)
	b := browse(t)
	b.withoutAutofill()
	b.open(d.app + "/reports?year=2026")
	b.inject(`
		if (location.pathname === "/auth/handoff") {
			const wait = window.setTimeout;
			window.setTimeout = (f, ms) => wait(f, ms / 20);
			window.fetch = (_, { signal }) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
		}`)
	d.signInByLinkTo(b, anna)
	again := fmt.Sprintf("document.querySelector('#again')?.href === %q", d.app+"/reports?year=2026")
	b.see("#again")
	b.until(again)
	b.picture(folder, "handoff-slow")
	b.until("(location.reload(), true)")
	b.arriveBelow(d.app + "/auth/handoff")
	b.see("#again")
	b.until(again)
	if strings.Contains(b.location(), "#") {
		t.Error("the code stays in the address")
	}
	b.click("#again") // still signed in at the portal, whose code cannot be posted here
	b.arriveBelow(d.app + "/auth/handoff")
	b.see("#again")
}

// inject runs a script before those of every following page.
func (b *tab) inject(source string) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: source}); err != nil {
		b.t.Fatal(err)
	}
}
