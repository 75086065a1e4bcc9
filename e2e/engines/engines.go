// Package engines drives Chromium, Firefox and WebKit through one interface: Chromium by its DevTools protocol, Firefox by WebDriver
// BiDi, WebKit by classic WebDriver. `make test-engines` installs them. It offers what a story of a person needs, and no more.
package engines

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Browser is a running browser with one page and an empty profile. Chromium's is also an Authenticator.
type Browser interface {
	// Open leads to an address and waits for its page.
	Open(ctx context.Context, url string) error
	// Evaluate stores the value of a JavaScript expression, no promise, in a pointer, as JSON does. It works without scripts in pages, too.
	Evaluate(ctx context.Context, expression string, value any) error
	// Click presses the mouse button on the element, which must be there.
	Click(ctx context.Context, selector string) error
	// Fill replaces the text of a field by typing.
	Fill(ctx context.Context, selector, text string) error
	// ForgetCookies deletes the cookies of the host that the page is of.
	ForgetCookies(ctx context.Context) error
	// Resize gives the page a size in CSS pixels.
	Resize(ctx context.Context, width, height int) error
	// Screenshot is what the window shows, as PNG.
	Screenshot(ctx context.Context) ([]byte, error)
	// Close ends the browser.
	Close() error
}

// Authenticator is implemented by browsers that have a virtual authenticator.
type Authenticator interface {
	// AddAuthenticator connects a platform authenticator whose user is always present and verified.
	AddAuthenticator(ctx context.Context) error
}

// Options describe a browser. The zero value is a window of 1280 by 800 CSS pixels that prefers light pages and runs their scripts.
type Options struct {
	NoScript      bool // pages' scripts do not run
	Dark          bool // the person prefers dark pages
	Width, Height int  // of the page in CSS pixels
}

// ErrNoElement is returned for a selector that matches nothing.
var ErrNoElement = errors.New("no such element")

var starters = map[string]func(context.Context, string, Options) (Browser, error){
	"chromium": startChromium,
	"firefox":  startFirefox,
	"webkit":   startWebKit,
}

// Names are those that Start knows, sorted.
func Names() []string { return slices.Sorted(maps.Keys(starters)) }

// Start runs an engine's browser. It writes only to the folder, which must exist, and lives until Close.
func Start(ctx context.Context, name, folder string, options Options) (Browser, error) {
	start, known := starters[name]
	if !known {
		return nil, fmt.Errorf("unknown engine %q: choose among %s", name, strings.Join(Names(), ", "))
	}
	if options.Width == 0 {
		options.Width, options.Height = 1280, 800
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	browser, err := start(ctx, folder, options)
	if err != nil {
		logs, _ := filepath.Glob(filepath.Join(folder, "*.log"))
		for _, path := range logs {
			text, _ := os.ReadFile(path)
			err = fmt.Errorf("%w\n%s", err, text)
		}
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	return browser, nil
}
