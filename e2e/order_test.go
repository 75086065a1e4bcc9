package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// deployOrders is the example with a form whose sending needs a fresh passkey, each time.
func deployOrders(t *testing.T) *deployment {
	t.Helper()
	return deploy(t, "\tpasswordless_guard\n", `	passwordless_guard /orders {
		step_up 5m passkey {
			methods POST
			transaction
		}
	}
	passwordless_guard
`)
}

// order fills the form in and sends it: the guard asks for a step-up.
func (d *deployment) order(b *tab, article, attachment string) {
	b.t.Helper()
	b.open(d.app + "/orders")
	b.fill("[name=article]", article)
	b.fill("[name=remarks]", "two lines\nand <b>markup</b>, ä & 100 %")
	if attachment != "" {
		b.do("attaching a file", chromedp.SetUploadFiles("[name=attachment]", []string{attachment}))
	}
	b.click("#order-now")
	b.arriveBelow(d.portal + "/auth/step-up")
}

// received is what the application says of one field, "" when it did not get it.
func received(b *tab, name string) string {
	return ask[string](b, "document.querySelector('#received [data-name="+name+"] td')?.textContent.trim() ?? ''")
}

// A form with a file meets a guard that wants a passkey: nothing is lost, and the application gets it once, with the ID of what was
// approved, when the person says so.
func TestFormOutlivesAStepUp(t *testing.T) {
	t.Parallel()
	d, folder := deployOrders(t), album(t)
	b := browse(t)
	b.withoutAutofill()
	b.open(d.app + "/")
	d.signInByLink(b, anna, d.app+"/")
	device := attach(b)
	b.open(d.portal + "/auth/account")
	b.click("#add-passkey")
	b.see(".passkey[data-id]")
	file := filepath.Join(t.TempDir(), "list.txt")
	if err := os.WriteFile(file, []byte("a list"), 0o600); err != nil {
		t.Fatal(err)
	}

	d.order(b, "tea", file)
	// The page says in words what is approved, and shows no ID.
	if shown := b.text("#transaction"); !strings.Contains(shown, "Send") || !strings.Contains(shown, "/orders?kind=express") || !strings.Contains(shown, strings.TrimPrefix(d.app, "http://")) {
		t.Errorf("the page says that %q is approved", shown)
	}
	b.accessible("step-up for a transaction")
	b.reflows("step-up for a transaction")
	b.picture(folder, "step-up-transaction")
	b.click("#passkey-button")
	b.see("#send-again")
	b.picture(folder, "send-again")
	b.accessible("send again")
	b.reflows("send again")
	b.click("#send-again")
	b.see("#received")
	lines := strings.NewReplacer("\r\n", "\n")
	for name, want := range map[string]string{"article": "tea", "remarks": "two lines\r\nand <b>markup</b>, ä & 100 %", "attachment": "list.txt: a list"} {
		if got := lines.Replace(received(b, name)); got != lines.Replace(want) {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if at := b.text("#path"); at != "/orders?kind=express" {
		t.Errorf("it arrived at %s", at)
	}
	// The query names the form that had waited: it is used up, and the application did not see it.
	if at := b.location(); !strings.HasPrefix(at, d.app+"/orders?kind=express&passwordless_kept=") || !strings.HasSuffix(at, "#sent") {
		t.Errorf("the browser stands at %s", at)
	}
	approved := ask[[]string](b, "[...document.querySelectorAll('[data-name=X-Passwordless-Transaction] td')].map((cell) => cell.textContent.trim())")
	if len(approved) != 1 || len(approved[0]) != 22 {
		t.Errorf("the application learns of %q", approved)
	}

	// The next one needs an approval of its own, which the person gives and then drops the form: the application never sees it.
	d.order(b, "coffee", "")
	b.click("#passkey-button")
	b.see("#discard")
	b.click("#discard")
	b.until("location.origin === '" + d.app + "' && document.readyState === 'complete' && !document.querySelector('#send-again')")
	if got := received(b, "article"); got != "" {
		t.Errorf("a form that was dropped arrived: %q", got)
	}
	if len(device.passkeys()) != 1 {
		t.Error("the passkey is gone")
	}
}
