package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
)

// lookAlikes stand before the names of our cookies: what belongs there, and what a careless browser or reader takes for it.
var lookAlikes = []string{
	"", "__Host-", "__Secure-", "__host-", "__HOST-", "__Host-\t", " __Host-", "$Version=1; ", `"__Host-`, "=__Host-", "=",
	"\u2000__Host-", "\u00a0__Host-", "\u3000__Host-", "%5F_Host-", "__Host%2D", "x,__Host-", "x;__Host-",
}

// tosses are the `Set-Cookie` lines that plant the attacker's cookies in all hosts of the domain: each where it is good, under all names.
func tosses(t *testing.T, own []*network.Cookie) []string {
	t.Helper()
	var plants [][3]string // name, value, path
	for _, cookie := range own {
		name, ours := strings.CutPrefix(cookie.Name, "__Host-")
		switch {
		case ours && cookie.Domain == "tools.example.test":
			plants = append(plants, [3]string{name, cookie.Value, "/reports"}) // a longer path than the good one's is sent first
		case ours && cookie.Domain == "auth.example.test":
			plants = append(plants, [3]string{name, cookie.Value, "/auth/"})
		}
	}
	if len(plants) != 5 {
		t.Fatalf("the attacker has %d cookies to plant, want a session and a nonce of the application, a session, browser and people of the portal", len(plants))
	}
	var lines []string
	for _, plant := range plants {
		for _, before := range lookAlikes {
			lines = append(lines, before+plant[0]+"="+plant[1]+"; Domain=example.test; Path="+plant[2]+"; Secure; SameSite=None")
		}
	}
	return lines
}

// tossed goes through the sibling's page, which sets the cookies by header and then by script, and checks that there is an attack: the browser keeps
// them for the whole domain, except for those under the prefix that it keeps for one host.
func (b *tab) tossed(lines []string) {
	b.t.Helper()
	b.open(neighbour + "/toss")
	b.see("#tossed")
	check := func(how string) {
		b.t.Helper()
		planted := names(b.jar(), ".example.test")
		for _, name := range []string{"session", "nonce", "browser", "people"} {
			if !slices.Contains(planted, "passwordless_"+name) || !slices.Contains(planted, "__Secure-passwordless_"+name) {
				b.t.Fatalf("by %s the browser keeps %q: nothing was attacked", how, planted)
			}
			if slices.Contains(planted, "__Host-passwordless_"+name) {
				b.t.Fatalf("by %s the browser keeps a __Host- cookie of a whole domain: %q", how, planted)
			}
		}
	}
	check("header")
	for _, line := range lines {
		ask[string](b, "document.cookie = "+strings.NewReplacer("\t", `\t`).Replace(quote(line)))
	}
	check("script")
}

// Attack: a sibling subdomain plants the cookies of the attacker's own session, good ones, in the browser of somebody who is signed in. The person stays
// who they are at the application and at the portal, the application gets none of the cookies, and nobody becomes the attacker, signed out or in.
func TestAttackCookiesOfASibling(t *testing.T) {
	t.Parallel()
	const mallory = "mallory@example.com"
	d := deployHTTPS(t, "respond 404")
	own := d.browse(t)
	own.open(tools + "/")
	d.signInByLink(own, mallory, tools+"/")
	lines := tosses(t, own.jar())
	d.attacker.HandleFunc("/toss", func(w http.ResponseWriter, _ *http.Request) {
		for _, line := range lines {
			w.Header().Add("Set-Cookie", line)
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte("<!doctype html><p id=tossed>tossed"))
	})

	b := d.browse(t)
	d.signUpWithPasskey(b, anna, tools+"/reports")
	signsIn := func() {
		t.Helper()
		b.open(tools + "/reports")
		b.arriveBelow(corporate + "/auth/sign-in")
		if text := b.text("body"); strings.Contains(text, mallory) {
			t.Errorf("the sign-in page knows the attacker:\n%s", text)
		}
		b.click("#passkey-button")
		b.arrive(tools + "/reports")
	}
	signsIn()
	b.tossed(lines)
	staysAnna := func(when string) {
		t.Helper()
		b.open(tools + "/reports?when=" + when)
		b.arrive(tools + "/reports?when=" + when)
		b.greets(anna, "/reports?when="+when, "")
		got := ask[string](b, "[...document.querySelectorAll('#headers [data-name=Cookie] td')].map((cell) => cell.textContent).join('; ')")
		for pair := range strings.SplitSeq(got, ";") {
			name, _, _ := strings.Cut(strings.Trim(pair, " \t\n"), "=")
			if strings.HasPrefix(strings.TrimPrefix(name, "__Host-"), "passwordless_") || name == "__Secure-passwordless_session" {
				t.Errorf("%s, the application gets the cookie %q", when, name)
			}
		}
		if !strings.Contains(got, "passwordless_") {
			t.Errorf("%s, no look-alike came to the application's host, which gets %q", when, got)
		}
		b.open(corporate + "/auth/account")
		if who := b.text(".who"); who != anna {
			t.Errorf("%s, the account page is of %s", when, who)
		}
	}
	staysAnna("planted")

	d.app = tools
	d.signOut(b)
	b.tossed(lines)
	signsIn()
	staysAnna("again")
}
