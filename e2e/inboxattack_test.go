package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// canary is a stranger's server that notes what it is asked for, and who merely connects.
type canary struct {
	*httptest.Server
	mu          sync.Mutex
	asked       []string // paths
	referrers   []string
	connections int
}

// newCanary starts one. Its page /landing tells it whether it could reach the window that opened it.
func newCanary(t *testing.T) *canary {
	t.Helper()
	c := new(canary)
	c.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.asked = append(c.asked, r.URL.Path)
		c.referrers = append(c.referrers, r.Header.Get("Referer"))
		c.mu.Unlock()
		w.Header().Set("Access-Control-Allow-Origin", "*")
		if r.URL.Path == "/landing" {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, `<script>fetch(window.opener ? "/opener" : "/alone")</script>`)
		}
	}))
	c.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			c.mu.Lock()
			c.connections++
			c.mu.Unlock()
		}
	}
	c.Start()
	t.Cleanup(c.Close)
	return c
}

func (c *canary) heard() (asked []string, connections int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.asked), c.connections
}

// isReached waits for a connection.
func (c *canary) isReached(t *testing.T, by string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stepTimeout)
	defer cancel()
	eventually(ctx, func() bool {
		_, connections := c.heard()
		return connections > 0
	}, func() { t.Fatalf("%s connects to nobody", by) })
}

// hears waits until all these paths have been asked for.
func (c *canary) hears(t *testing.T, paths ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stepTimeout)
	defer cancel()
	var missing string
	eventually(ctx, func() bool {
		asked, _ := c.heard()
		at := slices.IndexFunc(paths, func(path string) bool { return !slices.Contains(asked, path) })
		if at < 0 {
			return true
		}
		missing = paths[at]
		return false
	}, func() { t.Fatalf("nothing asked for %s", missing) })
}

// hostileMail runs scripts and loads things from $ in the ways that HTML has. Its link covers all of it.
const hostileMail = `<base href="$/base/"><link rel="stylesheet" href="$/stylesheet"><link rel="preload" as="image" href="$/preload"><link rel="prefetch" href="$/prefetch">
<style>@import url($/import); body { background: url($/background) }</style>
<script>parent.postMessage("ran", "*"); new Image().src = "$/script"; fetch("/messages.json").then((r) => r.text()).then((t) => parent.postMessage(t, "*"))</script>
<script src="$/script-src"></script><img src="$/img"><img src="data:," onerror="new Image().src='$/onerror'"><svg onload="new Image().src='$/svg'"></svg>
<video src="$/video" poster="$/poster"></video><audio src="$/audio" preload="auto"></audio><input type="image" src="$/input"><picture><source srcset="$/srcset"><img></picture>
<iframe src="$/iframe"></iframe><iframe srcdoc="<script>new Image().src='$/nested'</script>"></iframe><object data="$/object"></object><embed src="$/embed">
<a href="$/landing" target="other" style="position: fixed; inset: 0; z-index: 1">Sign in</a>`

// connecting are ways to open a connection and ask for nothing, which tells enough: each mail can name a host of its own.
var connecting = map[string]string{
	"plain":    `<link rel="preconnect" href="$">`,
	"spelling": `<LinK/href="$" rel=" PreConnect ">`,
	"frame":    `<iframe srcdoc="&lt;link rel=preconnect href=$>"></iframe>`,
	"template": `<div><template shadowrootmode="open"><link rel="preconnect" href="$"></template></div>`,
	"svg":      `<svg><foreignObject><link rel="preconnect" href="$"></foreignObject></svg>`,
}

// at names an origin in HTML that has "$" in its place.
func at(origin, html string) string { return strings.NewReplacer("$", origin).Replace(html) }

// connectors are all of those ways, and one that works only where scripts do not.
func connectors(origin string) string {
	all := `<noscript><link rel="preconnect" href="$"></noscript>`
	for _, html := range connecting {
		all += html
	}
	return at(origin, all)
}

// hostileEffects are what it asks for where nothing holds it.
var hostileEffects = []string{
	"/stylesheet", "/preload", "/import", "/background", "/script", "/script-src", "/img", "/onerror", "/svg", "/poster", "/input", "/srcset",
	"/iframe", "/nested", "/object", "/embed", "/video", "/audio", "/prefetch",
}

// Attack: the HTML of a mail runs scripts, tells its sender that it was read, reads the other mails, or leads the page elsewhere.
func TestInboxHostileMail(t *testing.T) {
	t.Parallel()
	b := browseAlone(t) // a shared one opens no connections beforehand
	held, heldQuietly := newCanary(t), newCanary(t)
	mail := at(held.URL, hostileMail) + connectors(heldQuietly.URL) +
		fmt.Sprintf(`<meta http-equiv="refresh" content="0;url=%s/refresh">`, held.URL)
	inbox := inboxWith(t, mail)
	// Frames load before anybody opens them.
	_, err := chromedp.Call(b.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
		Source: `window.heard = []; addEventListener("message", (m) => heard.push(m.data));`,
	})
	if err != nil {
		t.Fatal(err)
	}
	b.open(inbox)
	b.click("summary")

	// The link is there, so all that comes before it has been. A person's own click opens it, outside.
	b.do("scrolling", chromedp.ScrollIntoView(chromedp.CSS("iframe")))
	middle := ask[[]float64](b, `(() => { const r = document.querySelector("iframe").getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] })()`)
	clicked, cancel := context.WithTimeout(b.ctx, stepTimeout)
	defer cancel()
	eventually(clicked, func() bool {
		if asked, _ := held.heard(); slices.Contains(asked, "/alone") || slices.Contains(asked, "/opener") {
			return true
		}
		// A click that comes before the frame is painted goes by it; one that comes after the other page has opened is not answered.
		once, cancel := context.WithTimeout(clicked, time.Second)
		defer cancel()
		_ = chromedp.Do(once, chromedp.MouseClickXY(middle[0], middle[1]))
		return false
	}, func() { t.Error("a click on the link of a mail opens nothing") })

	// The same HTML without the inbox around it does all of this; meanwhile that in the inbox has had its time.
	open, free := browseAlone(t), newCanary(t)
	pages := map[string]string{
		"/":        at(free.URL, hostileMail),
		"/refresh": fmt.Sprintf(`<meta http-equiv="refresh" content="0;url=%s/refresh">`, free.URL),
	}
	quiet := make(map[string]*canary)
	for name, html := range connecting {
		quiet[name] = newCanary(t)
		pages["/"+name] = at(quiet[name].URL, html)
	}
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, pages[r.URL.Path])
	}))
	t.Cleanup(bare.Close)
	open.open(bare.URL)
	free.hears(t, hostileEffects...)
	open.open(bare.URL + "/refresh")
	free.hears(t, "/refresh")
	for name, c := range quiet {
		open.open(bare.URL + "/" + name)
		c.isReached(t, name)
	}

	if said := ask[[]string](b, "window.heard"); len(said) > 0 {
		t.Errorf("a script of the mail ran: %.100q", said)
	}
	if at := b.location(); at != inbox+"/" {
		t.Errorf("the mail led to %s", at)
	}
	if asked, connections := heldQuietly.heard(); connections > 0 {
		t.Errorf("the mail made %d connections and asked for %q", connections, asked)
	}
	// What the link opened, on a click, is alone: it cannot reach back, nor learn where it came from.
	held.mu.Lock()
	defer held.mu.Unlock()
	for at, path := range held.asked {
		if !slices.Contains([]string{"/landing", "/alone", "/favicon.ico"}, path) || path == "/landing" && held.referrers[at] != "" {
			t.Errorf("the mail asked for %s, from %q", path, held.referrers[at])
		}
	}
}

// inboxWith serves an inbox of the product in which there is a mail with this HTML, and returns its address.
func inboxWith(t *testing.T, mail string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "localpool.test")
	build := exec.Command("go", "test", "-c", "-o", binary, "./internal/localpool")
	build.Dir = ".."
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as bin/caddy is built, whose packages need not be compiled again
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the tests of the pool: %v\n%s", err, out)
	}
	line, err := json.Marshal(map[string]string{"From": "no-reply@example.com", "To": anna, "Subject": "Sign in", "Text": "Sign in.", "HTML": mail})
	if err != nil {
		t.Fatal(err)
	}
	server := exec.CommandContext(t.Context(), binary)
	server.Env = append(os.Environ(), "LOCALPOOL_INBOX=1")
	server.Stderr = os.Stderr
	in, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	if _, err := in.Write(append(line, '\n')); err != nil {
		t.Fatal(err)
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(address)
}
