package e2e

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

var screens = flag.String("screens", "", "folder for pictures of every page")

// looks are those in which every page is seen.
var looks = []struct {
	name, scheme  string
	width, height int64
}{
	{"phone-light", "light", 390, 844},
	{"phone-dark", "dark", 390, 844},
	{"desktop-light", "light", 1280, 800},
	{"desktop-dark", "dark", 1280, 800},
}

// TestScreens sees every page at phone and desktop width, light and dark: nothing may be cut off, and nobody may be shut
// out. With -screens the pictures are kept.
func TestScreens(t *testing.T) {
	t.Parallel()
	folder := *screens
	if folder == "" {
		folder = t.TempDir()
	}
	d := deploy(t)
	b := browse(t)
	b.withoutAutofill()

	b.open(d.app + "/reports?year=2026#q3")
	b.arriveBelow(d.portal + "/auth/sign-in")
	b.picture(folder, "sign-in")

	b.fill("#email", anna)
	b.click("#send-link")
	b.arriveBelow(d.portal + "/auth/check-mail")
	b.picture(folder, "check-mail")

	link := d.link(t, anna, 0)
	b.open(link)
	b.see("#continue")
	b.picture(folder, "link")
	b.click("#continue")
	b.arrive(d.app + "/reports?year=2026#q3")
	b.picture(folder, "application")

	attach(b)
	b.open(d.portal + "/auth/account")
	b.see("#add-passkey")
	b.picture(folder, "account-new")
	b.click("#add-passkey")
	b.see(".passkey[data-id]")
	b.picture(folder, "account")

	b.open(d.app + "/auth/sign-out")
	b.arriveBelow(d.portal + "/auth/sign-out")
	b.picture(folder, "sign-out")
	b.click("#sign-out")
	b.until("location.pathname === '/auth/signed-out'")
	b.picture(folder, "signed-out")

	b.open(link)
	b.click("#continue")
	b.noticed()
	b.picture(folder, "link-used")

	b.open(d.portal + "/auth/sign-in?flow=forged")
	b.picture(folder, "error")
	b.open(d.inbox)
	b.picture(folder, "inbox")
}

// picture takes the page in every look, in which it must fit the window and be accessible.
func (b *tab) picture(folder, name string) {
	b.t.Helper()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		b.t.Fatal(err)
	}
	for _, look := range looks {
		ctx, cancel := context.WithTimeout(b.ctx, stepTimeout)
		err := media(ctx, look.scheme, "reduce")
		if err == nil {
			err = chromedp.Do(ctx, chromedp.EmulateViewport(look.width, look.height, chromedp.EmulateScale(2)))
		}
		var image []byte
		if err == nil {
			image, err = chromedp.Run(ctx, chromedp.CaptureScreenshot())
		}
		cancel()
		if err != nil {
			b.t.Fatalf("%s, %s: %v", name, look.name, err)
		}
		if err := os.WriteFile(filepath.Join(folder, name+"-"+look.name+".png"), image, 0o600); err != nil {
			b.t.Fatal(err)
		}
		if over := ask[int](b, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
			b.t.Errorf("%s, %s: the page is %d pixels wider than the window", name, look.name, over)
		}
		b.accessible(name + ", " + look.name)
	}
	b.reflows(name)
	if err := chromedp.Do(b.ctx, chromedp.EmulateReset()); err != nil {
		b.t.Fatal(err)
	}
}

// media sets what the person prefers: light or dark, and how much motion.
func media(ctx context.Context, scheme, motion string) error {
	_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: motion}},
	})
	return err
}
