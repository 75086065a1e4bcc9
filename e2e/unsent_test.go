package e2e

import (
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// The session ends while somebody fills in a form. They sign in beside it, reload, and the form is sent after all.
func TestFormOfSomebodyWhoseSessionEnded(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	folder := album(t)
	b := browse(t)
	b.withoutAutofill()
	b.open(d.app + "/")
	d.signInByLink(b, anna, d.app+"/")
	b.open(d.app + "/orders")
	b.fill("[name=article]", "tea")
	b.forgetCookies("app.localhost")
	b.click("#order-now")
	b.see("#action")
	b.picture(folder, "form-unsent")
	b.accessible("a form that was not sent")
	b.reflows("a form that was not sent")
	if got := received(b, "article"); got != "" {
		t.Fatalf("it was sent: %q", got)
	}
	beside := b.beside()
	beside.open(ask[string](b, "document.querySelector('#action').href"))
	beside.arrive(d.app + "/")
	beside.greets(anna, "/", "")

	if _, err := chromedp.Call(b.ctx, page.Reload, page.ReloadParams{}); err != nil {
		t.Fatal(err)
	}
	b.see("#received")
	if got := received(b, "article"); got != "tea" {
		t.Errorf("the application got %q", got)
	}
}
