package engines

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// webKit is WebKitGTK's MiniBrowser, driven by WebKitWebDriver. Both need a screen and a message bus: each browser has its own.
type webKit struct {
	processes []*process
	*webDriver
}

// Xvfb prints the number of its display on a line of its own, among complaints about displays that are taken.
var displayNumber = regexp.MustCompile(`^(\d+)$`)

func startWebKit(ctx context.Context, folder string, options Options) (Browser, error) {
	w := new(webKit)
	if err := w.start(ctx, folder, options); err != nil {
		_ = w.Close()
		return nil, err
	}
	return w, nil
}

func (w *webKit) start(ctx context.Context, folder string, options Options) error {
	binary, err := miniBrowser()
	if err != nil {
		return err
	}
	// The screen is larger than any window.
	lines := make(chan string, 100)
	server, err := run(folder, lines, nil, "Xvfb", "-displayfd", "1", "-screen", "0", "1920x1200x24", "-nolisten", "tcp")
	if err != nil {
		return err
	}
	w.processes = append(w.processes, server)
	display, err := announced(ctx, lines, displayNumber)
	if err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	theme := "Adwaita"
	if options.Dark {
		theme = "Adwaita:dark"
	}
	driver, err := run(folder, nil, []string{
		"DISPLAY=:" + display, "GTK_THEME=" + theme, "HOME=" + folder, "XDG_RUNTIME_DIR=" + folder,
		"LIBGL_ALWAYS_SOFTWARE=1", "NO_AT_BRIDGE=1",
	}, "dbus-run-session", "--", "WebKitWebDriver", "--host=127.0.0.1", "--port="+port)
	if err != nil {
		return err
	}
	w.processes = append(w.processes, driver)
	address := "http://127.0.0.1:" + port
	if err := answering(ctx, address+"/status", driver.ended); err != nil {
		return err
	}
	// Without the toolbar, which is wider than a phone, the window is as large as its page.
	arguments := []string{"--automation", "--full-screen"}
	if options.NoScript {
		arguments = append(arguments, "--enable-javascript=false")
	}
	w.webDriver, err = newWebDriver(ctx, address, object{
		"timeouts":                 object{"script": 3000}, // a page that changes meanwhile never answers
		"webkitgtk:browserOptions": object{"binary": binary, "args": arguments},
	})
	if err != nil {
		return err
	}
	return w.Resize(ctx, options.Width, options.Height)
}

// miniBrowser is where Debian keeps it, by the newest version of the library.
func miniBrowser() (string, error) {
	found, err := filepath.Glob("/usr/lib/*/webkit2gtk-4.*/MiniBrowser")
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", errors.New("MiniBrowser is missing: run `make test-engines`, which installs it")
	}
	return found[len(found)-1], nil
}

func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port), nil
}

// answering waits for any answer.
func answering(ctx context.Context, url string, ended <-chan struct{}) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			return response.Body.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w", url, err)
		case <-ended:
			return fmt.Errorf("the driver ended: %w", err)
		case <-tick.C:
		}
	}
}

func (w *webKit) Open(ctx context.Context, url string) error {
	return w.call(ctx, http.MethodPost, "/url", object{"url": url}, nil)
}

func (w *webKit) Evaluate(ctx context.Context, expression string, value any) error {
	var text string
	script := object{"script": "return JSON.stringify((" + expression + ") ?? null)", "args": []any{}}
	if err := w.call(ctx, http.MethodPost, "/execute/sync", script, &text); err != nil {
		return err
	}
	return json.Unmarshal([]byte(text), value)
}

// find is the path of the element's commands.
func (w *webKit) find(ctx context.Context, selector string) (string, error) {
	const reference = "element-6066-11e4-a52e-4f735466cecf" // https://w3c.github.io/webdriver/#elements
	var element map[string]string
	err := w.call(ctx, http.MethodPost, "/element", object{"using": "css selector", "value": selector}, &element)
	if failure := (*webDriverError)(nil); errors.As(err, &failure) && failure.Code == "no such element" {
		return "", fmt.Errorf("%s: %w", selector, ErrNoElement)
	}
	return "/element/" + element[reference], err
}

func (w *webKit) Click(ctx context.Context, selector string) error {
	element, err := w.find(ctx, selector)
	if err != nil {
		return err
	}
	return w.call(ctx, http.MethodPost, element+"/click", object{}, nil)
}

func (w *webKit) Fill(ctx context.Context, selector, text string) error {
	element, err := w.find(ctx, selector)
	if err != nil {
		return err
	}
	if err := w.call(ctx, http.MethodPost, element+"/clear", object{}, nil); err != nil {
		return err
	}
	return w.call(ctx, http.MethodPost, element+"/value", object{"text": text}, nil)
}

func (w *webKit) ForgetCookies(ctx context.Context) error {
	return w.call(ctx, http.MethodDelete, "/cookie", nil, nil)
}

func (w *webKit) Resize(ctx context.Context, width, height int) error {
	if err := w.call(ctx, http.MethodPost, "/window/rect", object{"width": width, "height": height}, nil); err != nil {
		return err
	}
	tick := time.NewTicker(50 * time.Millisecond) // the page follows the window
	defer tick.Stop()
	for {
		var page [2]int
		if err := w.Evaluate(ctx, "[innerWidth, innerHeight]", &page); err != nil {
			return err
		}
		if page == [2]int{width, height} {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the page has %d by %d pixels, not %d by %d", page[0], page[1], width, height)
		case <-tick.C:
		}
	}
}

// Screenshot waits for two frames: before, WebKit gives the picture of the size before the last Resize.
func (w *webKit) Screenshot(ctx context.Context) (picture []byte, err error) {
	const frames = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()))"
	if err := w.call(ctx, http.MethodPost, "/execute/async", object{"script": frames, "args": []any{}}, nil); err != nil {
		return nil, err
	}
	err = w.call(ctx, http.MethodGet, "/screenshot", nil, &picture)
	return picture, err
}

func (w *webKit) Close() error {
	for _, p := range w.processes {
		p.stop()
	}
	return nil
}
