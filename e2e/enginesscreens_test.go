package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/caddy-cognito/passwordless/e2e/engines"
)

// Every page that needs no passkey, at phone and desktop width, light and dark, in every engine: nothing is cut off. With -screens the pictures are
// kept, in a folder per engine.
func TestEnginesScreens(t *testing.T) {
	t.Parallel()
	inEngines(t, func(t *testing.T, engine string) {
		for _, scheme := range []string{"light", "dark"} {
			t.Run(scheme, func(t *testing.T) {
				t.Parallel()
				folder := filepath.Join(album(t), engine)
				seesEveryPage(t, sit(t, engine, engines.Options{Dark: scheme == "dark"}), func(p *person, page string) {
					p.picture(folder, page, scheme)
				})
			})
		}
	})
}

// seesEveryPage goes through the pages and calls see with the name of each.
func seesEveryPage(t *testing.T, p *person, see func(p *person, page string)) {
	t.Helper()
	d := deployLinkStepUp(t)
	p.open(d.app + "/")
	p.arriveBelow(d.portal + "/auth/sign-in")
	see(p, "sign-in")
	link := p.asksForLink(d, anna)
	see(p, "check-mail")
	p.open(link)
	p.see("#continue")
	see(p, "link")
	p.click("#continue")
	p.arrive(d.app + "/")
	see(p, "application")
	p.open(d.app + "/reports")
	p.arriveBelow(d.portal + "/auth/step-up")
	see(p, "step-up")
	p.open(d.portal + "/auth/account")
	p.see("#change-phone")
	see(p, "account")
	p.open(d.app + "/auth/sign-out")
	p.arriveBelow(d.portal + "/auth/sign-out")
	see(p, "sign-out")
	p.click("#sign-out")
	p.arriveBelow(d.portal + "/auth/signed-out")
	see(p, "signed-out")
	p.open(link)
	p.click("#continue")
	p.until("document.querySelector('#notice')?.textContent.trim() > ''")
	see(p, "link-used")
	p.open(d.portal + "/auth/sign-in?flow=forged")
	p.arriveBelow(d.portal + "/auth/sign-in")
	see(p, "error")
	p.open(d.inbox)
	p.arriveBelow(d.inbox)
	see(p, "inbox")
}

// picture takes the page at two widths, in which it must fit the window.
func (p *person) picture(folder, page, scheme string) {
	p.t.Helper()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		p.t.Fatal(err)
	}
	for _, look := range looks {
		if look.scheme != scheme {
			continue
		}
		p.resize(int(look.width), int(look.height))
		if over := valueOf[int](p, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
			p.t.Errorf("%s, %s: the page is %d pixels wider than the window", page, look.name, over)
		}
		ctx, cancel := p.step()
		image, err := p.browser.Screenshot(ctx)
		cancel()
		if err != nil {
			p.t.Fatalf("%s, %s: %v", page, look.name, err)
		}
		if err := os.WriteFile(filepath.Join(folder, page+"-"+look.name+".png"), image, 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *person) resize(width, height int) {
	p.t.Helper()
	ctx, cancel := p.step()
	defer cancel()
	if err := p.browser.Resize(ctx, width, height); err != nil {
		p.t.Fatal(err)
	}
}
