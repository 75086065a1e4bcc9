package templates

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The whole sign-in page, with what it loads, stays within 20 KB on the wire.
func TestWeightOfSignIn(t *testing.T) {
	const limit = 20 << 10
	pages := newPages(t, Options{Branding: Branding{Name: "Example Corp", Accent: "#0f766e"}})
	page := samples()["sign-in"].(SignInPage)
	page.Flow, page.State = strings.Repeat("aB3_", 128), strings.Repeat("xY9-", 64)
	page.Challenge = `{"challenge":"` + strings.Repeat("q7", 43) + `","rpId":"example.com","timeout":120000,"userVerification":"required"}`
	for _, lang := range Locales() {
		html := render(t, pages, lang, page)
		weight := packed(t, html)
		var queue []string
		for _, m := range regexp.MustCompile(`/auth/assets(/[^"]+)`).FindAllStringSubmatch(html, -1) {
			queue = append(queue, m[1])
		}
		for i := 0; i < len(queue); i++ {
			w := get(pages.Assets(), queue[i], http.Header{"Accept-Encoding": {"gzip"}})
			if w.Code != http.StatusOK {
				t.Fatalf("%s: %d", queue[i], w.Code)
			}
			weight += w.Body.Len()
			for _, m := range regexp.MustCompile(`from "\.(/[^"]+)"`).FindAllStringSubmatch(unpacked(t, w.Body.Bytes(), w.Header()), -1) {
				if !slices.Contains(queue, m[1]) {
					queue = append(queue, m[1])
				}
			}
		}
		if weight > limit || len(queue) < 5 {
			t.Errorf("%s: %d bytes in %d files, at most %d", lang, weight, len(queue)+1, limit)
		}
		t.Logf("%s: %d bytes gzip in %d files", lang, weight, len(queue)+1)
	}
}

func packed(t *testing.T, s string) int {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Len()
}

func unpacked(t *testing.T, body []byte, h http.Header) string {
	t.Helper()
	if h.Get("Content-Encoding") != "gzip" {
		return string(body)
	}
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAssets(t *testing.T) {
	h := Assets()
	for file := range builtAssets().byFile {
		name := AssetPath(file)
		w := get(h, "/"+name, nil)
		if w.Code != http.StatusOK || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
		if again := get(h, "/"+name, http.Header{"If-None-Match": {`"other", W/` + w.Header().Get("ETag")}}); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
			t.Errorf("%s again: %d", name, again.Code)
		}
		if strings.Contains(w.Body.String(), `from "./`) && regexp.MustCompile(`from "\./[a-z0-9-]+\.js"`).Match(w.Body.Bytes()) {
			t.Errorf("%s imports a name without a hash", name)
		}
		if p := get(h, "/"+name, http.Header{"Accept-Encoding": {"br, gzip;q=0.5"}}); unpacked(t, p.Body.Bytes(), p.Header()) != w.Body.String() {
			t.Errorf("%s differs when packed", name)
		}
		if p := get(h, "/"+name, http.Header{"Accept-Encoding": {"gzip;q=0"}}); p.Header().Get("Content-Encoding") != "" {
			t.Errorf("%s is packed for someone who refuses that", name)
		}
	}
	for _, path := range []string{"/", "/style.css", "/../templates.go", "/assets/style.css", "/brand.css", "//"} {
		if w := get(h, path, nil); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if AssetPath("nothing.js") != "" {
		t.Error("an unknown file has a name")
	}
}

// No script or stylesheet names a host, a sink for markup, or storage for tokens.
func TestScriptsAreTame(t *testing.T) {
	bad := regexp.MustCompile(`https?://|//[a-z]+\.[a-z]|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|@import|sessionStorage|document\.cookie`)
	for file, a := range builtAssets().byFile {
		if found := bad.Find(a.body); found != nil {
			t.Errorf("%s has %s", file, found)
		}
	}
}

// Whatever colour an operator chooses, words on it and in it can be read.
func TestAccentContrast(t *testing.T) {
	rule := regexp.MustCompile(`--accent:(#\w{6});--on-accent:(#\w{6});--accent-text:(#\w{6})`)
	for _, accent := range []string{"#000000", "#ffffff", "#ffff00", "#2454d6", "#0f766e", "#ff0000", "#777777", "#00ff00", "#123456"} {
		rules := rule.FindAllStringSubmatch(string(brandAsset(Branding{Accent: accent}).body), -1)
		if len(rules) != 2 {
			t.Fatalf("%s: %d rules", accent, len(rules))
		}
		for i, back := range []colour{lightBack, darkBack} {
			fill, on, text := parseColour(rules[i][1]), parseColour(rules[i][2]), parseColour(rules[i][3])
			if contrast(fill, on) < readable || contrast(text, back) < readable || contrast(fill, back) < visible-0.05 {
				t.Errorf("%s: %v", accent, rules[i][0])
			}
		}
	}
	style := string(builtAssets().byFile["style.css"].body)
	for _, c := range []colour{lightBack, darkBack} {
		if !strings.Contains(style, "--quiet-back: "+c.String()) {
			t.Errorf("style.css does not have %s as --quiet-back", c)
		}
	}
}

func TestBrandStylesheet(t *testing.T) {
	pages := newPages(t, Options{Branding: Branding{CSS: "h1{color:red}"}})
	path := strings.TrimPrefix(pages.brandPath(), "/auth/assets")
	if w := get(pages.Assets(), path, nil); w.Body.String() != "h1{color:red}" || w.Header().Get("Content-Type") != "text/css; charset=utf-8" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	if newPages(t, Options{}).brandPath() != "" {
		t.Error("a stylesheet without content")
	}
}
