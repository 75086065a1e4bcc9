package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
)

// One session cookie for a whole domain: whoever is signed in at the portal stands in the application without a redirect, and signing out takes the
// cookie from all hosts. Scripts of a host on the domain can neither read it nor put another in its place.
func TestOneCookieForADomain(t *testing.T) {
	t.Parallel()
	d := deployHTTPS(t, "respond 404",
		" https://app.shop.test\n", " https://neighbour.example.test\n",
		"\t\tsign_up open\n", "\t\tsign_up open\n\t\tsession {\n\t\t\tcookie_domain example.test\n\t\t}\n",
	)
	d.app = tools
	d.attacker.HandleFunc("/script", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!doctype html><p id=script>a page of another team"))
	})
	b := d.browse(t)
	b.open(corporate + "/auth/sign-in")
	d.signInByLink(b, anna, corporate+"/auth/account")
	b.open(tools + "/reports#q3")
	b.arrive(tools + "/reports#q3")
	b.greets(anna, "/reports", "#q3")
	cookies := b.jar()
	if asked := names(cookies, "tools.example.test"); len(asked) != 0 {
		t.Errorf("the application's host has sent the browser to the portal, and keeps %q", asked)
	}
	if got := fmt.Sprint(names(cookies, ".example.test")); got != "[__Secure-passwordless_session]" {
		t.Errorf("the domain has the cookies %s", got)
	}
	for _, cookie := range cookies {
		if !cookie.Secure || !cookie.HTTPOnly || cookie.SameSite != network.CookieSameSiteLax || cookie.Path != "/" {
			t.Errorf("cookie %s of %s: path %s, secure %t, HTTP only %t, same site %s", cookie.Name, cookie.Domain, cookie.Path, cookie.Secure, cookie.HTTPOnly, cookie.SameSite)
		}
		if strings.HasSuffix(cookie.Name, "_session") && cookie.Domain != ".example.test" {
			t.Errorf("%s has a session of its own: %s", cookie.Domain, cookie.Name)
		}
	}

	b.open(neighbour + "/script")
	b.see("#script")
	for _, line := range []string{"", "=evil; Domain=example.test; Path=/; Secure", "=; Domain=example.test; Path=/; Secure; Max-Age=0"} {
		if line != "" {
			ask[string](b, "document.cookie = '__Secure-passwordless_session"+line+"'")
		}
		if read := ask[string](b, "document.cookie"); strings.Contains(read, "passwordless_session") {
			t.Errorf("after %q a script reads %q", line, read)
		}
	}
	b.open(tools + "/orders")
	b.arrive(tools + "/orders")
	b.greets(anna, "/orders", "")

	d.signOut(b)
	if left := names(b.jar(), ".example.test"); len(left) != 0 {
		t.Errorf("signed out, the domain still has the cookies %q", left)
	}
	b.open(tools + "/orders")
	b.arriveBelow(corporate + "/auth/sign-in")
}
