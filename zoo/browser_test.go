package zoo

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"
)

// stepTimeout is what one step of a person may take; some of these applications need their time on a busy machine.
const stepTimeout = 90 * time.Second

// tab is one page of a Chromium. Its methods fail the test instead of returning errors.
type tab struct {
	t   *testing.T
	ctx context.Context
}

// browse starts a Chromium with an empty profile that finds the deployment's sites and trusts their certificate.
func (d *deployment) browse() *tab {
	d.t.Helper()
	var rules strings.Builder // the first that fits counts
	for host, address := range d.front {
		fmt.Fprintf(&rules, "MAP %s:443 %s, ", host, address)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", rules.String()+"MAP *.example.com:443 "+d.web),
		chromedp.Flag("ignore-certificate-errors-spki-list", d.certificate.pin),
		chromedp.WindowSize(1280, 900),
		chromedp.DisableGPU,
		chromedp.UserDataDir(d.t.TempDir()),
	)
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium's sandbox refuses to work for root
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	d.t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocator)
	d.t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		d.t.Fatalf("starting Chromium: %v", err)
	}
	b := &tab{d.t, ctx}
	d.t.Cleanup(b.explain)
	b.answersDialogs()
	b.withoutAutofill()
	return b
}

// beside opens a second tab of the same browser.
func (b *tab) beside() *tab {
	b.t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	b.t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil { // the tab lives as long as this context, not as one step
		b.t.Fatalf("opening a tab: %v", err)
	}
	second := &tab{b.t, ctx}
	b.t.Cleanup(second.explain)
	second.answersDialogs()
	second.withoutAutofill()
	return second
}

// answersDialogs says yes to what a page asks, such as whether to leave it or to delete something.
func (b *tab) answersDialogs() {
	b.t.Helper()
	err := chromedp.Listen(b.ctx, func(event any) {
		if _, ok := event.(*page.EventJavascriptDialogOpening); ok {
			go func() {
				_, _ = chromedp.Call(b.ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: true})
			}()
		}
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepTimeout)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%s: %v (at %s)", what, err, b.location())
	}
}

func (b *tab) open(url string) {
	b.t.Helper()
	b.do("opening "+url, chromedp.Navigate(url))
}

// click waits for an element to be visible and enabled, and clicks it.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.do("clicking "+selector, chromedp.WaitEnabled(chromedp.CSS(selector)), chromedp.Click(chromedp.CSS(selector)))
}

// fill replaces the text of a field by typing.
func (b *tab) fill(selector, text string) {
	b.t.Helper()
	b.see(selector)
	b.until(fmt.Sprintf("(document.querySelector(%q).value = '') === ''", selector))
	b.do("filling "+selector, chromedp.SendKeys(chromedp.CSS(selector), text))
}

// choose gives files to a field, which may be hidden behind a button of the page's own.
func (b *tab) choose(selector string, paths ...string) {
	b.t.Helper()
	b.until(fmt.Sprintf("document.querySelector(%q) !== null && document.readyState === 'complete'", selector))
	ctx, cancel := context.WithTimeout(b.ctx, stepTimeout)
	defer cancel()
	field, err := chromedp.Call(ctx, runtime.Evaluate, runtime.EvaluateParams{Expression: fmt.Sprintf("document.querySelector(%q)", selector)})
	if err != nil {
		b.t.Fatalf("finding %s: %v", selector, err)
	}
	if _, err := chromedp.Call(ctx, dom.SetFileInputFiles, dom.SetFileInputFilesParams{ObjectID: field.Result.ObjectID, Files: paths}); err != nil {
		b.t.Fatalf("choosing a file in %s: %v", selector, err)
	}
}

// see waits until an element is visible.
func (b *tab) see(selector string) {
	b.t.Helper()
	b.do("waiting for "+selector, chromedp.WaitVisible(chromedp.CSS(selector)))
}

// reads waits until the page shows a text.
func (b *tab) reads(text string) {
	b.t.Helper()
	b.until(fmt.Sprintf("document.body !== null && document.body.innerText.includes(%q)", text))
}

// until waits for a JavaScript expression to be true. It asks from outside: pages may allow no eval.
func (b *tab) until(expression string) {
	b.t.Helper()
	var last error
	eventually(stepTimeout, func() bool {
		ctx, cancel := context.WithTimeout(b.ctx, stepTimeout)
		defer cancel()
		var ok bool
		ok, last = chromedp.Run(ctx, chromedp.Evaluate[bool](expression, chromedp.EvalAwaitPromise)) // fails while a page changes
		return last == nil && ok
	}, func() { b.t.Fatalf("never true: %s (last error %v, at %s)", expression, last, b.location()) })
}

// arriveBelow waits until a page whose address starts so is complete.
func (b *tab) arriveBelow(prefix string) {
	b.t.Helper()
	b.until(fmt.Sprintf("location.href.startsWith(%q) && document.readyState === 'complete'", prefix))
}

// ask is the value of a JavaScript expression, which may be a promise.
func ask[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepTimeout)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("asking for %s: %v (at %s)", expression, err, b.location())
	}
	return value
}

// location is the address, for messages: it does not fail the test.
func (b *tab) location() string {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	url, err := chromedp.Run(ctx, chromedp.Location())
	if err != nil {
		return "an unknown address"
	}
	return url
}

// cookies are those that the browser has for an origin, as it would send them.
func (b *tab) cookies(origin string) string {
	b.t.Helper()
	jar, err := chromedp.Call(b.ctx, storage.GetCookies, storage.GetCookiesParams{})
	if err != nil {
		b.t.Fatal(err)
	}
	var pairs []string
	for _, c := range jar.Cookies {
		if c.Domain == strings.TrimPrefix(origin, "https://") {
			pairs = append(pairs, c.Name+"="+c.Value)
		}
	}
	return strings.Join(pairs, "; ")
}

// withoutAutofill makes the following pages think that the browser does not offer passkeys in form fields.
func (b *tab) withoutAutofill() {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: `
		if (window.PublicKeyCredential) {
			PublicKeyCredential.isConditionalMediationAvailable = async () => false;
			PublicKeyCredential.getClientCapabilities = async () => ({ conditionalGet: false });
		}`})
	if err != nil {
		b.t.Fatal(err)
	}
}

// explain leaves a picture and the text of the last page when a test has failed.
func (b *tab) explain() {
	if !b.t.Failed() || b.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Logf("no picture of the last page: %v", err)
		return
	}
	path := filepath.Join("..", "bin", "failures", fmt.Sprintf("%s-%s.png", strings.ReplaceAll(b.t.Name(), "/", "_"), chromedp.FromContext(b.ctx).Target.TargetID))
	if os.MkdirAll(filepath.Dir(path), 0o755) == nil && os.WriteFile(path, picture, 0o600) == nil {
		b.t.Logf("the last page was %s; its picture is %s", b.location(), path)
	}
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText"))
	if err == nil {
		b.t.Logf("its text:\n%.4000s", text)
	}
}
