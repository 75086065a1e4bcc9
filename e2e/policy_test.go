package e2e

import (
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// watch fails the test when a page asks another host than the given ones, breaks its own content policy, or throws.
func (b *tab) watch(origins ...string) {
	b.t.Helper()
	var mu sync.Mutex
	var found []string
	err := chromedp.Listen(b.ctx, func(event any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			if u, err := url.Parse(e.Request.URL); err == nil && strings.HasPrefix(u.Scheme, "http") && !listed(u, origins) {
				found = append(found, "request to "+u.Host)
			}
		case *log.EventEntryAdded:
			if strings.Contains(e.Entry.Text, "Content Security Policy") {
				found = append(found, e.Entry.Text)
			}
		case *runtime.EventExceptionThrown:
			found = append(found, "exception: "+e.ExceptionDetails.Text)
		}
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		for _, f := range found {
			b.t.Error(f)
		}
	})
}

func listed(u *url.URL, origins []string) bool {
	for _, origin := range origins {
		if u.Scheme+"://"+u.Host == origin {
			return true
		}
	}
	return false
}

// No page needs another host, and every page keeps to its own policy.
func TestPagesKeepToThemselves(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	b := browse(t)
	b.watch(d.portal, d.app)
	attach(b)
	b.open(d.app + "/reports?year=2026#q3")
	d.signInByLink(b, anna, d.app+"/reports?year=2026#q3")
	b.open(d.portal + "/auth/account")
	b.click("#add-passkey")
	b.see(".passkey[data-id]")
	d.signOut(b)
}
