package caddyauth

import (
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"
)

// A path that passes means the same to every server: cleaning, decoding again, or cutting parameters changes nothing.
func FuzzAmbiguousPath(f *testing.F) {
	for _, seed := range []string{"/", "/a/b", "/a/../b", "/a/%2e%2e/b", "/a%2fb", "/a%5cb", "//a", "/a;b", "/a%252fb", "/%c0%ae", "*", "", "/é", "/a/", "/100%25"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || ambiguousPath(u) != "" {
			return
		}
		cleaned := path.Clean(u.Path)
		if cleaned != "/" && strings.HasSuffix(u.Path, "/") {
			cleaned += "/"
		}
		if cleaned != u.Path {
			t.Errorf("%q passes but cleans to %q", u.Path, cleaned)
		}
		if again, err := url.PathUnescape(u.Path); err == nil && again != u.Path {
			t.Errorf("%q passes but decodes again to %q", u.Path, again)
		}
		if strings.Count(u.EscapedPath(), "/") != strings.Count(u.Path, "/") || strings.ContainsAny(u.Path, "\\;\x00\r\n") {
			t.Errorf("%q passes", u.EscapedPath())
		}
	})
}

// Whatever is asked for, the return target is an absolute URL on the very origin, and the way back is a path on it.
func FuzzReturnTarget(f *testing.F) {
	g := newGuarded(f)
	for _, seed := range []string{"/", "//evil.com", "/\\evil.com", "/a?b#c", "/%09//evil.com", "http://evil.com/", "/\xff?\xfe", "/?a=\"<>`", "/..//evil.com"} {
		f.Add(seed, "frag\r\nment")
	}
	f.Fuzz(func(t *testing.T, target, fragment string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		r := &http.Request{Method: http.MethodGet, URL: u, Host: "app.example.com", Header: http.Header{}}
		got := g.rt.returnTarget(r, appOrigin)
		checked, err := g.rt.allowedReturn(got)
		if err != nil || checked.Host != "app.example.com" || checked.Scheme != "https" || !strings.HasPrefix(got, appOrigin+"/") {
			t.Fatalf("%q became %q: %v", target, got, err)
		}
		location := relativeReturn(checked, fragment)
		if !sameOriginPath(location) || strings.ContainsFunc(location, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			t.Errorf("location %q", location)
		}
		base, _ := url.Parse(appOrigin + "/x")
		beforeFragment, _, _ := strings.Cut(location, "#") // browsers take any fragment, url.Parse does not
		back, err := base.Parse(beforeFragment)
		if err != nil || back.Host != "app.example.com" {
			t.Errorf("location %q leads to %v %v", location, back, err)
		}
	})
}

// A navigation is never anything that a script can send with fetch() or XMLHttpRequest in a browser with fetch metadata.
func FuzzNavigation(f *testing.F) {
	f.Add("GET", "navigate", "document", "text/html", "", "")
	f.Add("POST", "navigate", "document", "text/html", "", "")
	f.Add("GET", "", "", "text/html;q=0", "websocket", "")
	f.Add("GET", "cors", "empty", "text/html", "", "application/json")
	f.Fuzz(func(t *testing.T, method, mode, dest, accept, upgrade, contentType string) {
		h := http.Header{}
		for name, value := range map[string]string{"Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest, "Accept": accept, "Upgrade": upgrade, "Content-Type": contentType} {
			if value != "" {
				h[name] = []string{value}
			}
		}
		r := &http.Request{Method: method, Header: h, URL: &url.URL{Path: "/"}}
		if !isNavigation(r) {
			return
		}
		if method != http.MethodGet && method != http.MethodHead || isUpgrade(r) {
			t.Errorf("%s with upgrade %q", method, upgrade)
		}
		if (mode != "" || dest != "") && (mode != "navigate" || dest != "document") {
			t.Errorf("mode %q, dest %q", mode, dest)
		}
		if mode == "" && dest == "" && !strings.Contains(strings.ToLower(accept), "text/html") {
			t.Errorf("accept %q", accept)
		}
	})
}

// Header values are printable ASCII and decode to what they were.
func FuzzHeaderValue(f *testing.F) {
	for _, seed := range []string{"alice", "a,b", "100%", " x ", "é\r\n", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		for _, got := range []string{headerValue(value), headerList([]string{value})} {
			if strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r >= 0x7f }) || strings.TrimSpace(got) != got {
				t.Errorf("%q", got)
			}
			if back, err := url.PathUnescape(got); err != nil || back != value {
				t.Errorf("%q became %q, %v", value, back, err)
			}
		}
		if strings.Count(headerList([]string{value, value}), ",") != 1 {
			t.Errorf("%q splits a list", value)
		}
	})
}
