package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/e2e/engines"
)

// `make test` has Chromium only; `make test-engines` installs and names all.
var chosenEngines = flag.String("engines", "chromium", "engines for TestEngines…, separated by commas: "+strings.Join(engines.Names(), ", "))

const engineTimeout = 90 * time.Second // for one step: three browsers share the machine

// person is somebody in front of a browser of one engine. Methods fail the test instead of returning errors.
type person struct {
	t       *testing.T
	ctx     context.Context
	engine  string
	browser engines.Browser
}

// inEngines tells the story in every engine that was chosen.
func inEngines(t *testing.T, story func(t *testing.T, engine string)) {
	t.Helper()
	for name := range strings.SplitSeq(*chosenEngines, ",") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			story(t, name)
		})
	}
}

// sit starts a browser with an empty profile and ends it with the test.
func sit(t *testing.T, engine string, options engines.Options) *person {
	t.Helper()
	browser, err := engines.Start(t.Context(), engine, t.TempDir(), options)
	if err != nil {
		t.Fatal(err)
	}
	p := &person{t, t.Context(), engine, browser}
	t.Cleanup(func() {
		p.ctx = context.Background() // the test's has ended
		p.explain()
		if err := browser.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// step is one step's context.
func (p *person) step() (context.Context, context.CancelFunc) {
	return context.WithTimeout(p.ctx, engineTimeout)
}

func (p *person) open(url string) {
	p.t.Helper()
	ctx, cancel := p.step()
	defer cancel()
	if err := p.browser.Open(ctx, url); err != nil {
		p.t.Fatalf("opening %s: %v", url, err)
	}
}

// until waits for a JavaScript expression to be true.
func (p *person) until(expression string) {
	p.t.Helper()
	ctx, cancel := p.step()
	defer cancel()
	var last error
	eventually(ctx, func() bool {
		var yes bool
		last = p.browser.Evaluate(ctx, expression, &yes) // fails while a page changes
		return last == nil && yes
	}, func() { p.t.Fatalf("never true: %s (last error %v, at %s)", expression, last, p.location()) })
}

// usable is an expression: whether an element is visible and can be clicked.
func usable(selector string) string {
	return fmt.Sprintf("(() => { const e = document.querySelector(%q); return !!e && !e.disabled && e.checkVisibility(); })()", selector)
}

func (p *person) see(selector string) {
	p.t.Helper()
	p.until(usable(selector))
}

func (p *person) click(selector string) {
	p.t.Helper()
	p.see(selector)
	ctx, cancel := p.step()
	defer cancel()
	if err := p.browser.Click(ctx, selector); err != nil {
		p.t.Fatalf("clicking %s: %v (at %s)", selector, err, p.location())
	}
}

func (p *person) fill(selector, text string) {
	p.t.Helper()
	p.see(selector)
	ctx, cancel := p.step()
	defer cancel()
	if err := p.browser.Fill(ctx, selector, text); err != nil {
		p.t.Fatalf("filling %s: %v (at %s)", selector, err, p.location())
	}
}

// arrive waits until the page at exactly this address is complete.
func (p *person) arrive(url string) {
	p.t.Helper()
	p.until(fmt.Sprintf("location.href === %q && document.readyState === 'complete'", url))
}

// arriveBelow waits until a page whose address starts so is complete.
func (p *person) arriveBelow(prefix string) {
	p.t.Helper()
	p.until(fmt.Sprintf("location.href.startsWith(%q) && document.readyState === 'complete'", prefix))
}

// valueOf is the value of a JavaScript expression.
func valueOf[T any](p *person, expression string) (value T) {
	p.t.Helper()
	ctx, cancel := p.step()
	defer cancel()
	if err := p.browser.Evaluate(ctx, expression, &value); err != nil {
		p.t.Fatalf("asking for %s: %v", expression, err)
	}
	return value
}

// text is the visible text of an element, which it waits for.
func (p *person) text(selector string) string {
	p.t.Helper()
	p.until(fmt.Sprintf("!!document.querySelector(%q)", selector))
	return strings.TrimSpace(valueOf[string](p, fmt.Sprintf("document.querySelector(%q).innerText", selector)))
}

func (p *person) forgetCookies() {
	p.t.Helper()
	ctx, cancel := p.step()
	defer cancel()
	if err := p.browser.ForgetCookies(ctx); err != nil {
		p.t.Fatal(err)
	}
}

// location is the address, for messages: it does not fail the test.
func (p *person) location() (url string) {
	ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
	defer cancel()
	if err := p.browser.Evaluate(ctx, "location.href", &url); err != nil {
		return "an unknown address"
	}
	return url
}

// greets checks what the application shows: the person, the path and query that reached it, the fragment in the browser.
func (p *person) greets(email, path, fragment string) {
	p.t.Helper()
	if user := p.text("#user"); user != email {
		p.t.Errorf("the application greets %q, want %q", user, email)
	}
	if got := p.text("#path"); got != path {
		p.t.Errorf("the application was asked for %q, want %q", got, path)
	}
	if got := valueOf[string](p, "location.hash"); got != fragment {
		p.t.Errorf("the browser stands at %q, want %q", got, fragment)
	}
}

// asksForLink types an address on the sign-in page and returns the link that comes by mail.
func (p *person) asksForLink(d *deployment, email string) string {
	p.t.Helper()
	p.arriveBelow(d.portal + "/auth/sign-in")
	known := len(d.messages(p.t, email))
	p.fill("#email", email)
	p.click("#send-link")
	p.arriveBelow(d.portal + "/auth/check-mail")
	return d.link(p.t, email, known)
}

// signInByLink goes from the sign-in page to the target and returns the link that was used.
func (p *person) signInByLink(d *deployment, email, target string) string {
	p.t.Helper()
	link := p.asksForLink(d, email)
	p.open(link)
	p.click("#continue")
	p.arrive(target)
	return link
}

// explain leaves a picture, the address and the text of the last page when a test has failed.
func (p *person) explain() {
	if !p.t.Failed() {
		return
	}
	ctx, cancel := context.WithTimeout(p.ctx, 10*time.Second)
	defer cancel()
	var text string
	_ = p.browser.Evaluate(ctx, "document.body.innerText", &text)
	p.t.Logf("the last page was %s; its text:\n%s", p.location(), text)
	path := filepath.Join("..", "bin", "failures", strings.NewReplacer("/", "_").Replace(p.t.Name())+".png")
	picture, err := p.browser.Screenshot(ctx)
	if err == nil && os.MkdirAll(filepath.Dir(path), 0o755) == nil && os.WriteFile(path, picture, 0o600) == nil {
		p.t.Logf("its picture is %s", path)
	}
}
