package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/webauthn"
)

// assertsThere asks for a passkey of the RP ID with a script of the page, and returns "a passkey" or the name of the browser's error.
const assertsThere = `navigator.credentials.get({ publicKey: { challenge: new Uint8Array(32), rpId: 'example.test', userVerification: 'required' } })
	.then((credential) => credential.type === 'public-key' ? 'a passkey' : 'something else', (error) => error.name)`

// signUpWithPasskey makes an account, by a link that leads to an application, and a passkey at the portal. Then it ends the session.
func (d *overHTTPS) signUpWithPasskey(b *tab, email, application string) *authenticator {
	b.t.Helper()
	b.open(application)
	d.signInByLink(b, email, application)
	device := attach(b)
	b.open(d.portal + "/auth/account")
	b.click("#add-passkey")
	b.see(".passkey[data-id]")
	if held := device.passkeys(); len(held) != 1 || held[0].RpID != rpID {
		b.t.Fatalf("the device holds %+v, want one passkey for %s", held, rpID)
	}
	b.click("#sign-out")
	b.until("location.pathname === '/auth/signed-out'")
	return device
}

// A company's portal moves to another domain, and the passkeys that were made on the RP ID's own sign in there: the site of the RP ID lists
// the new origin, and the browser has asked it. A passkey that is made there is one for the same RP ID and works when the portal moves back.
func TestRelatedOrigins(t *testing.T) {
	t.Parallel()
	d := deployHTTPS(t, "passwordless_related_origins")
	response, body := d.ask(t, "https://"+rpID+"/.well-known/webauthn")
	var list struct{ Origins []string }
	if err := json.Unmarshal([]byte(body), &list); err != nil || response.StatusCode != http.StatusOK || strings.Join(list.Origins, " ") != corporate+" "+shop {
		t.Fatalf("the list: %s %q: %v", response.Status, body, err)
	}
	b := d.browse(t)
	device := d.signUpWithPasskey(b, anna, tools+"/")

	d.move(t, shop)
	target := shopApp + "/reports?year=2026#q3"
	b.open(target)
	b.arriveBelow(shop + "/auth/sign-in")
	b.click("#passkey-button")
	b.arrive(target)
	b.greets(anna, "/reports?year=2026", "#q3")

	// In another browser, which offers passkeys in form fields, they pick it from the e-mail field.
	autofill := browseAlone(t, d.flags...)
	device = attach(autofill, device.detach()...)
	autofill.open(target)
	autofill.arrive(target)
	autofill.greets(anna, "/reports?year=2026", "#q3")

	// Somebody new makes their passkey there.
	const berta = "berta@example.com"
	other := d.browse(t)
	added := d.signUpWithPasskey(other, berta, shopApp+"/").detach()

	d.move(t, corporate)
	for email, passkeys := range map[string][]*webauthn.Credential{anna: device.detach(), berta: added} {
		b := d.browse(t)
		attach(b, passkeys...)
		b.open(tools + "/")
		b.arriveBelow(corporate + "/auth/sign-in")
		b.click("#passkey-button")
		b.arrive(tools + "/")
		b.greets(email, "/", "")
	}
}

// Attack: a page on a domain that is not listed asks the browser for a passkey of the RP ID, as a phishing page would. The very same script
// gets one where the list names the origin, so it is the list that keeps the others out.
func TestAttackUnlistedOrigin(t *testing.T) {
	t.Parallel()
	d := deployHTTPS(t, "passwordless_related_origins")
	d.attacker.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "text/html") })
	b := d.browse(t)
	d.signUpWithPasskey(b, anna, tools+"/")
	d.move(t, shop)
	for _, page := range []struct{ url, want string }{
		{shop + "/auth/sign-in", "a passkey"},
		{stranger + "/", "SecurityError"},
		{otherShop + "/", "SecurityError"}, // of the listed origin's domain, which is not enough
	} {
		b.open(page.url)
		if got := ask[string](b, assertsThere); got != page.want {
			t.Errorf("%s: the browser answers %s, want %s", page.url, got, page.want)
		}
	}
}

// triesPasskeyElsewhere has anna make a passkey with the portal on the RP ID's domain, and press the button for it once the portal has moved to another.
func (d *overHTTPS) triesPasskeyElsewhere(t *testing.T) *tab {
	t.Helper()
	b := d.browse(t)
	d.signUpWithPasskey(b, anna, tools+"/")
	d.move(t, shop)
	b.open(shopApp + "/")
	b.arriveBelow(shop + "/auth/sign-in")
	b.click("#passkey-button")
	return b
}

// The RP ID's site serves no list, or none that counts: the sign-in page says that the passkey did not work, and nobody is signed in.
func TestRelatedOriginThatIsNotListed(t *testing.T) {
	t.Parallel()
	for name, site := range map[string]string{
		"no list":          "respond 404",
		"a list of others": "header Content-Type application/json\n\trespond `{\"origins\":[\"https://auth.example.test\",\"https://shop.test\"]}`",
		"no JSON by type":  "header Content-Type text/plain\n\trespond `{\"origins\":[\"https://auth.shop.test\"]}`",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := deployHTTPS(t, site)
			b := d.triesPasskeyElsewhere(t)
			b.noticed()
			if said := b.text("#notice"); !strings.Contains(said, "cannot use passkeys here") {
				t.Errorf("the page says %q", said)
			}
			b.open(shopApp + "/")
			b.arriveBelow(shop + "/auth/sign-in")
		})
	}
}

// The RP ID's site has something else for every path: a redirect to the host with www, or the one page of an application. The list is served before that,
// and the browser also takes one that a redirect leads to.
func TestRelatedOriginsOfABusySite(t *testing.T) {
	t.Parallel()
	for name, site := range map[string]string{
		"before a redirect": "redir https://evil.test{uri}\n\tpasswordless_related_origins",
		"before a rewrite":  "rewrite * /index.html\n\trespond page\n\tpasswordless_related_origins",
		"behind a redirect": "redir https://other.shop.test{uri}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := deployHTTPS(t, site)
			d.attacker.HandleFunc("other.shop.test/.well-known/webauthn", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(`{"origins":["https://auth.shop.test"]}`))
			})
			b := d.triesPasskeyElsewhere(t)
			b.arrive(shopApp + "/")
			b.greets(anna, "/", "")
		})
	}
}
