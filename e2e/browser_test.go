package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// stepTimeout is what one step of a person may take; a busy machine with the race detector is slow.
const stepTimeout = 30 * time.Second

// tab is one page of a browser of its own. Its methods fail the test instead of returning errors.
type tab struct {
	t   *testing.T
	ctx context.Context
}

// browse opens a browser without cookies, storage and cache for this test: a browser context of the Chromium that all tests share.
func browse(t *testing.T) *tab {
	t.Helper()
	shared, err := sharedChromium()
	if err != nil {
		t.Fatalf("starting Chromium: %v", err)
	}
	return openTab(t, shared, chromedp.WithNewBrowserContext())
}

// browseAlone starts a Chromium of the test's own, with flags, and ends it with the test.
func browseAlone(t *testing.T, flags ...chromedp.ExecAllocatorOption) *tab {
	t.Helper()
	allocator, stop := chromedp.NewExecAllocator(context.Background(), append(chromium(t.TempDir()), flags...)...)
	t.Cleanup(stop)
	return openTab(t, allocator)
}

func openTab(t *testing.T, parent context.Context, options ...chromedp.ContextOption) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(parent, options...)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil { // the tab lives as long as this context, not as one step
		t.Fatalf("opening a tab: %v", err)
	}
	b := &tab{t, ctx}
	t.Cleanup(b.explain)
	return b
}

// chromium are the options for a Chromium with an empty profile in the folder.
func chromium(folder string) []chromedp.ExecAllocatorOption {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.WindowSize(1280, 900),
		chromedp.DisableGPU,
		chromedp.UserDataDir(folder),
	)
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium's sandbox refuses to work for root
	}
	return options
}

// sharedChromium starts the one that browse shares, when the first test needs it.
var sharedChromium = sync.OnceValues(func() (context.Context, error) {
	allocator, stop := chromedp.NewExecAllocator(context.Background(), chromium(filepath.Join(sharedFolder, "chromium"))...)
	ctx, cancel := chromedp.NewContext(allocator)
	endShared = append(endShared, stop, cancel)
	return ctx, chromedp.Do(ctx)
})

var (
	sharedFolder string   // for files of the shared programs
	endShared    []func() // ends the shared programs, last first
)

func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "e2e")
	if err != nil {
		panic(err)
	}
	sharedFolder = folder
	code := m.Run()
	for _, end := range slices.Backward(endShared) {
		end()
	}
	_ = os.RemoveAll(folder)
	os.Exit(code)
}

// beside opens a second tab of the same browser.
func (b *tab) beside() *tab {
	b.t.Helper()
	return openTab(b.t, b.ctx)
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
	// chromedp.Clear takes the attribute away, not what somebody has typed.
	b.until(fmt.Sprintf("(document.querySelector(%q).value = '') === ''", selector))
	b.do("filling "+selector, chromedp.SendKeys(chromedp.CSS(selector), text))
}

// see waits until an element is visible.
func (b *tab) see(selector string) {
	b.t.Helper()
	b.do("waiting for "+selector, chromedp.WaitVisible(chromedp.CSS(selector)))
}

// noticed waits for the page to tell something.
func (b *tab) noticed() {
	b.t.Helper()
	b.until("document.querySelector('#notice')?.textContent.trim() > ''")
}

// text is the text of an element, which it waits for.
func (b *tab) text(selector string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepTimeout)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(selector)))
	if err != nil {
		b.t.Fatalf("reading %s: %v (at %s)", selector, err, b.location())
	}
	return strings.TrimSpace(text)
}

// until waits for a JavaScript expression to be true. It asks from outside: the pages allow no eval.
func (b *tab) until(expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepTimeout)
	defer cancel()
	var last error
	eventually(ctx, func() bool {
		var ok bool
		ok, last = chromedp.Run(ctx, chromedp.Evaluate[bool](expression)) // fails while a page changes
		return last == nil && ok
	}, func() { b.t.Fatalf("never true: %s (last error %v, at %s)", expression, last, b.location()) })
}

// arrive waits until the page at exactly this address is complete.
func (b *tab) arrive(url string) {
	b.t.Helper()
	b.until(fmt.Sprintf("location.href === %q && document.readyState === 'complete'", url))
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
		b.t.Fatalf("asking for %s: %v", expression, err)
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

// explain leaves a picture and the address of the last page when a test has failed.
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
	path := filepath.Join("..", "bin", "failures", fmt.Sprintf("%s-%s.png", strings.NewReplacer("/", "_").Replace(b.t.Name()), chromedp.FromContext(b.ctx).Target.TargetID))
	if os.MkdirAll(filepath.Dir(path), 0o755) == nil && os.WriteFile(path, picture, 0o600) == nil {
		b.t.Logf("the last page was %s; its picture is %s", b.location(), path)
	}
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText"))
	if err == nil {
		b.t.Logf("its text:\n%s", text)
	}
}
