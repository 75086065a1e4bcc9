package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"
)

// wiretap answers unencrypted requests to every host, as somebody on the same network can, and keeps what came.
type wiretap struct {
	mu   sync.Mutex
	seen []string // host, path and cookies of each page that was asked for
}

func (w *wiretap) ServeHTTP(answer http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/favicon.ico" {
		w.mu.Lock()
		w.seen = append(w.seen, strings.TrimSpace(r.Host+r.URL.Path+" "+strings.Join(r.Header["Cookie"], "; ")))
		w.mu.Unlock()
	}
	answer.Header().Set("Content-Type", "text/html")
	_, _ = answer.Write([]byte("<!doctype html><p id=wiretap>not encrypted"))
}

func (w *wiretap) requests() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.seen)
}

// jar is every cookie that the browser holds.
func (b *tab) jar() []*network.Cookie {
	b.t.Helper()
	// Asked of a page, Chromium would answer for its default browser context.
	page := chromedp.FromContext(b.ctx)
	held, err := cdp.Call(b.ctx, page.Browser, storage.GetCookies, storage.GetCookiesParams{BrowserContextID: page.BrowserContextID})
	if err != nil {
		b.t.Fatal(err)
	}
	return held.Cookies
}

// names are those of one host's cookies, sorted.
func names(cookies []*network.Cookie, host string) []string {
	var found []string
	for _, cookie := range cookies {
		if cookie.Domain == host {
			found = append(found, cookie.Name)
		}
	}
	slices.Sort(found)
	return found
}

// The story over https, with the application on another registrable domain than the portal: nothing but redirects and forms connects the two. Every
// cookie belongs to one host alone and never travels unencrypted, and the browser comes to the portal by https only, once it knows it.
func TestSignInAcrossDomains(t *testing.T) {
	t.Parallel()
	d := deployHTTPS(t, "respond 404")
	tap := new(wiretap)
	d.plainHTTP.Handle("/", tap)
	b := d.browse(t)
	b.open("http://auth.example.test/auth/sign-in")
	b.see("#wiretap") // the browser knows nothing of the portal yet

	target := shopApp + "/reports?year=2026#q3"
	b.open(target)
	d.signInByLink(b, anna, target)
	b.greets(anna, "/reports?year=2026", "#q3")
	if host := b.text("#host"); host != "app.shop.test" {
		t.Errorf("the application is %s", host)
	}
	// The other application, on the portal's domain, asks nothing.
	b.open(tools + "/orders?tab=2#x")
	b.arrive(tools + "/orders?tab=2#x")
	b.greets(anna, "/orders?tab=2", "#x")

	cookies := b.jar()
	for _, cookie := range cookies {
		if !strings.HasPrefix(cookie.Name, "__Host-passwordless_") || !cookie.Secure || !cookie.HTTPOnly || cookie.Path != "/" ||
			cookie.SameSite != network.CookieSameSiteLax || strings.HasPrefix(cookie.Domain, ".") {
			t.Errorf("cookie %s of %s: path %s, secure %t, HTTP only %t, same site %s", cookie.Name, cookie.Domain, cookie.Path, cookie.Secure, cookie.HTTPOnly, cookie.SameSite)
		}
	}
	for host, want := range map[string]string{
		"auth.example.test":  "[__Host-passwordless_browser __Host-passwordless_people __Host-passwordless_session]",
		"app.shop.test":      "[__Host-passwordless_nonce __Host-passwordless_session]",
		"tools.example.test": "[__Host-passwordless_nonce __Host-passwordless_session]",
	} {
		if got := fmt.Sprint(names(cookies, host)); got != want {
			t.Errorf("%s has the cookies %s, want %s", host, got, want)
		}
	}

	// Attack: links to unencrypted pages. Of the portal there is none any more, and the applications' get no cookie.
	b.open("http://auth.example.test/auth/account")
	b.arrive(corporate + "/auth/account")
	if who := b.text(".who"); who != anna {
		t.Errorf("the account page is of %q", who)
	}
	b.open("http://app.shop.test/reports")
	b.see("#wiretap")
	if got, want := tap.requests(), []string{"auth.example.test/auth/sign-in", "app.shop.test/reports"}; !slices.Equal(got, want) {
		t.Errorf("unencrypted went %q, want %q", got, want)
	}

	d.signOut(b)
	for _, application := range []string{target, tools + "/"} {
		b.open(application)
		b.arriveBelow(corporate + "/auth/sign-in")
	}
}
