package engines

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

type object = map[string]any

// firefox is Firefox, driven by WebDriver BiDi on the port that --remote-debugging-port opens: no geckodriver is between.
type firefox struct {
	process *process
	bidi    *bidi
	page    string // browsing context
}

var listening = regexp.MustCompile(`WebDriver BiDi listening on (ws://\S+)`)

func startFirefox(ctx context.Context, folder string, options Options) (Browser, error) {
	profile := filepath.Join(folder, "profile")
	scheme := 1 // light
	if options.Dark {
		scheme = 0
	}
	preferences := fmt.Sprintf(`user_pref("layout.css.prefers-color-scheme.content-override", %d);
user_pref("javascript.enabled", %t);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("toolkit.telemetry.reportingpolicy.firstRun", false);
`, scheme, !options.NoScript)
	err := errors.Join(os.Mkdir(profile, 0o700), os.WriteFile(filepath.Join(profile, "user.js"), []byte(preferences), 0o600))
	if err != nil {
		return nil, err
	}
	lines := make(chan string, 100)
	p, err := run(folder, lines, []string{"HOME=" + folder}, "firefox-esr", "--headless", "--no-remote", "--profile", profile,
		"--remote-debugging-port=0")
	if err != nil {
		return nil, err
	}
	f := &firefox{process: p}
	if err := f.connect(ctx, lines, options); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func (f *firefox) connect(ctx context.Context, lines <-chan string, options Options) error {
	address, err := announced(ctx, lines, listening)
	if err != nil {
		return err
	}
	if f.bidi, err = dialBidi(ctx, address+"/session"); err != nil {
		return err
	}
	if err := f.bidi.call(ctx, "session.new", object{"capabilities": object{}}, nil); err != nil {
		return err
	}
	var tree struct {
		Contexts []struct {
			Context string `json:"context"`
		} `json:"contexts"`
	}
	if err := f.bidi.call(ctx, "browsingContext.getTree", object{"maxDepth": 0}, &tree); err != nil {
		return err
	}
	if len(tree.Contexts) == 0 {
		return errors.New("it opened no tab")
	}
	f.page = tree.Contexts[0].Context
	return f.Resize(ctx, options.Width, options.Height)
}

func (f *firefox) Open(ctx context.Context, url string) error {
	return f.bidi.call(ctx, "browsingContext.navigate", object{"context": f.page, "url": url, "wait": "interactive"}, nil)
}

func (f *firefox) Evaluate(ctx context.Context, expression string, value any) error {
	var answer struct {
		Type   string `json:"type"`
		Result struct {
			Value string `json:"value"`
		} `json:"result"`
		ExceptionDetails struct {
			Text string `json:"text"`
		} `json:"exceptionDetails"`
	}
	err := f.bidi.call(ctx, "script.evaluate", object{
		"expression": "JSON.stringify((" + expression + ") ?? null)", "awaitPromise": false,
		"target": object{"context": f.page, "sandbox": "story"}, // pages cannot change what the expression uses
	}, &answer)
	if err != nil {
		return err
	}
	if answer.Type != "success" {
		return errors.New(answer.ExceptionDetails.Text)
	}
	return json.Unmarshal([]byte(answer.Result.Value), value)
}

// find is a reference to the element.
func (f *firefox) find(ctx context.Context, selector string) (object, error) {
	var found struct {
		Nodes []struct {
			SharedID string `json:"sharedId"`
		} `json:"nodes"`
	}
	err := f.bidi.call(ctx, "browsingContext.locateNodes", object{
		"context": f.page, "locator": object{"type": "css", "value": selector}, "maxNodeCount": 1,
	}, &found)
	if err != nil {
		return nil, err
	}
	if len(found.Nodes) == 0 {
		return nil, fmt.Errorf("%s: %w", selector, ErrNoElement)
	}
	return object{"type": "element", "element": object{"sharedId": found.Nodes[0].SharedID}}, nil
}

func (f *firefox) Click(ctx context.Context, selector string) error {
	// Firefox's actions do not scroll.
	var scrolled bool
	scroll := fmt.Sprintf("(document.querySelector(%q)?.scrollIntoView({ block: 'nearest', behavior: 'instant' }), true)", selector)
	if err := f.Evaluate(ctx, scroll, &scrolled); err != nil {
		return err
	}
	element, err := f.find(ctx, selector)
	if err != nil {
		return err
	}
	return f.act(ctx, "pointer", []object{
		{"type": "pointerMove", "x": 0, "y": 0, "origin": element},
		{"type": "pointerDown", "button": 0},
		{"type": "pointerUp", "button": 0},
	})
}

func (f *firefox) act(ctx context.Context, device string, actions []object) error {
	return f.bidi.call(ctx, "input.performActions", object{
		"context": f.page, "actions": []object{{"type": device, "id": device, "actions": actions}},
	}, nil)
}

func (f *firefox) Fill(ctx context.Context, selector, text string) error {
	if err := f.Click(ctx, selector); err != nil {
		return err
	}
	const control, remove = "\uE009", "\uE003" // https://w3c.github.io/webdriver/#keyboard-actions
	actions := []object{key("Down", control), key("Down", "a"), key("Up", "a"), key("Up", control), key("Down", remove), key("Up", remove)}
	for _, char := range text {
		actions = append(actions, key("Down", string(char)), key("Up", string(char)))
	}
	return f.act(ctx, "key", actions)
}

func key(direction, value string) object { return object{"type": "key" + direction, "value": value} }

func (f *firefox) ForgetCookies(ctx context.Context) error {
	return f.bidi.call(ctx, "storage.deleteCookies", object{"partition": object{"type": "context", "context": f.page}}, nil)
}

func (f *firefox) Resize(ctx context.Context, width, height int) error {
	return f.bidi.call(ctx, "browsingContext.setViewport", object{"context": f.page, "viewport": object{"width": width, "height": height}}, nil)
}

func (f *firefox) Screenshot(ctx context.Context) ([]byte, error) {
	var picture struct {
		Data []byte `json:"data"`
	}
	err := f.bidi.call(ctx, "browsingContext.captureScreenshot", object{"context": f.page, "origin": "viewport"}, &picture)
	return picture.Data, err
}

func (f *firefox) Close() error {
	if f.bidi != nil {
		f.bidi.close()
	}
	f.process.stop()
	return nil
}
