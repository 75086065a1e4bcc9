package zoo

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

const anna = "anna@example.com"

// signIn is what every story begins with: a person asks for a page, gets a link by mail, and comes back to that page.
func (d *deployment) signIn(b *tab, target string) {
	b.t.Helper()
	d.signInAt(b, target)
	b.backAt(target)
}

func (d *deployment) signInAt(b *tab, target string) {
	b.t.Helper()
	b.open(target)
	b.arriveBelow(d.portal + "/auth/sign-in")
	known := len(d.mails(anna))
	b.fill("#email", anna)
	b.click("#send-link")
	b.arriveBelow(d.portal + "/auth/check-mail")
	b.open(d.link(anna, known))
	b.click("#continue")
	b.until("!location.pathname.startsWith('/auth/link')")
}

// backAt waits for a page of the application, which may have an address of its own for what was asked for.
func (b *tab) backAt(target string) {
	b.t.Helper()
	b.until(fmt.Sprintf("location.origin === %q && !location.pathname.startsWith('/auth/') && document.readyState === 'complete'", originOf(target)))
}

// signInStepUp signs in, adds a passkey, and steps up to a page of a host on which every page needs that.
func (d *deployment) signInStepUp(b *tab, target string) {
	b.t.Helper()
	d.signInAt(b, d.portal+"/auth/account")
	d.addPasskey(b)
	d.stepUp(b, target)
}

// addPasskey puts a virtual authenticator to the tab and a passkey into it.
func (d *deployment) addPasskey(b *tab) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, webauthn.Enable, webauthn.EnableParams{}); err != nil {
		b.t.Fatal(err)
	}
	_, err := chromedp.Call(b.ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{
		Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol:                    webauthn.AuthenticatorProtocolCtap2,
			Ctap2version:                webauthn.Ctap2versionCtap21,
			Transport:                   webauthn.AuthenticatorTransportInternal,
			HasResidentKey:              true,
			HasUserVerification:         true,
			IsUserVerified:              true,
			AutomaticPresenceSimulation: true,
		},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.open(d.portal + "/auth/account")
	b.click("#add-passkey")
	b.see(".passkey[data-id]")
}

// stepUp asks for a page that needs a fresh passkey, is asked for it, and comes to that page. A script is not let in before.
func (d *deployment) stepUp(b *tab, target string) {
	b.t.Helper()
	response, body := d.get(target, "Cookie", b.cookies(originOf(target)), "Accept", "application/json")
	if response.StatusCode != http.StatusUnauthorized {
		b.t.Errorf("%s answers %s before the step-up: %.200s", target, response.Status, body)
	}
	b.open(target)
	b.arriveBelow(d.portal + "/auth/step-up")
	b.click("#passkey-button")
	b.backAt(target)
}

// signOut ends the session and sees it end: in the browser, and for whoever kept its cookies.
func (d *deployment) signOut(b *tab, target string) {
	b.t.Helper()
	kept := b.cookies(originOf(target))
	if kept == "" {
		b.t.Fatalf("the browser has no cookies for %s", target)
	}
	if response, body := d.get(target, "Cookie", kept, "Accept", "text/html"); response.StatusCode == http.StatusUnauthorized {
		b.t.Errorf("signed in, %s answers %s: %.200s", target, response.Status, body)
	}
	b.open(originOf(target) + "/auth/sign-out")
	b.arriveBelow(d.portal + "/auth/sign-out")
	b.click("#sign-out")
	b.until("location.pathname === '/auth/signed-out'")
	if response, body := d.get(target, "Cookie", kept, "Accept", "application/json"); response.StatusCode != http.StatusUnauthorized {
		b.t.Errorf("after signing out, %s answers %s to the old cookies: %.200s", target, response.Status, body)
	}
	b.open(target)
	b.arriveBelow(d.portal + "/auth/sign-in")
}

// originOf is scheme and host of an address.
func originOf(address string) string {
	scheme, rest, _ := strings.Cut(address, "://")
	host, _, _ := strings.Cut(rest, "/")
	return scheme + "://" + host
}
