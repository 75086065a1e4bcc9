package create

import (
	"html"
	"net/url"
	"strings"
	"testing"
)

var allowed = []string{"https://auth.example.com/auth/link", "https://whole.example.com", "http://localhost:8080/auth/"}

func TestRedirects(t *testing.T) {
	for redirect, host := range map[string]string{
		"https://auth.example.com/auth/link":              "auth.example.com",
		"https://auth.example.com/auth/link?flow=a%2Bb&c": "auth.example.com",
		"https://auth.example.com/auth/link/":             "auth.example.com",
		"https://auth.example.com/auth/link/sub":          "auth.example.com",
		"https://auth.example.com:443/auth/link":          "auth.example.com:443",
		"https://AUTH.example.com/auth/link":              "AUTH.example.com",
		"https://whole.example.com":                       "whole.example.com",
		"https://whole.example.com/":                      "whole.example.com",
		"https://whole.example.com?x=1":                   "whole.example.com",
		"https://whole.example.com/any/where?x=/..//":     "whole.example.com",
		"http://localhost:8080/auth/link":                 "localhost:8080",
		"http://localhost:8080/auth":                      "localhost:8080",
	} {
		if got, err := checkRedirect(redirect, allowed); err != nil || got != host {
			t.Errorf("%s: %q, %v", redirect, got, err)
		}
	}
	for attack, redirect := range map[string]string{
		"empty":                        "",
		"markup in the mail":           `https://auth.example.com/auth/link"><img src=x>`,
		"markup in the query":          `https://auth.example.com/auth/link?a=<b>`,
		"quote":                        "https://auth.example.com/auth/link?a='b'",
		"line break":                   "https://auth.example.com/auth/link\r\nBcc: eve@example.com",
		"tab in the scheme":            "ht\ttps://auth.example.com/auth/link",
		"space in front":               " https://auth.example.com/auth/link",
		"userinfo":                     "https://auth.example.com@evil.example/auth/link",
		"userinfo of the right host":   "https://eve@auth.example.com/auth/link",
		"backslash":                    `https://auth.example.com\@evil.example/auth/link`,
		"fragment":                     "https://auth.example.com/auth/link#x",
		"script":                       "javascript://auth.example.com/auth/link",
		"data":                         "data:text/html,x",
		"no scheme":                    "//auth.example.com/auth/link",
		"one slash":                    "https:/auth.example.com/auth/link",
		"no slash":                     "https:auth.example.com/auth/link",
		"downgrade to http":            "http://auth.example.com/auth/link",
		"other port":                   "https://auth.example.com:8443/auth/link",
		"longer host":                  "https://auth.example.com.evil.example/auth/link",
		"shorter host":                 "https://example.com/auth/link",
		"trailing dot":                 "https://auth.example.com./auth/link",
		"longer path":                  "https://auth.example.com/auth/linkage",
		"other path":                   "https://auth.example.com/open-redirect?to=evil",
		"path upward":                  "https://auth.example.com/auth/link/../../open-redirect",
		"encoded path upward":          "https://auth.example.com/auth/link/%2e%2e/%2E%2e/open-redirect",
		"encoded slash":                "https://auth.example.com/auth/link/..%2fx",
		"encoded backslash":            "https://auth.example.com/auth/link/..%5cx",
		"empty segment":                "https://auth.example.com/auth/link//evil.example",
		"path parameter":               "https://auth.example.com/auth/link/;x",
		"host in unicode":              "https://auth.example.com\u3002evil.example/auth/link",
		"letter that folds to another": "https://auth.example.com/auth/lin\u212a",
		"encoded host":                 "https://auth%2eexample.com/auth/link",
		"malformed escape":             "https://auth.example.com/auth/link?a=%zz",
		"huge":                         "https://auth.example.com/auth/link?" + strings.Repeat("a", 3000),
	} {
		if host, err := checkRedirect(redirect, allowed); err == nil {
			t.Errorf("%s: accepted for %s", attack, host)
		}
	}
}

// What is accepted leads to an allowed host in any parser, needs no escape but that of "&", and keeps host and query when a link
// is put behind it.
func FuzzRedirect(f *testing.F) {
	for _, s := range []string{
		"https://auth.example.com/auth/link?flow=1&x=%20", "https://whole.example.com", "http://localhost:8080/auth/x", "https://whole.example.com/..;/",
		"https://whole.example.com:0443/", "https://[::1]/", "https://whole.example.com/%", "https://whole.example.com?@evil", "https://whole.example.com/@evil:80/",
	} {
		f.Add(s)
	}
	hosts := map[string]bool{"auth.example.com": true, "whole.example.com": true, "localhost": true}
	f.Fuzz(func(t *testing.T, s string) {
		host, err := checkRedirect(s, allowed)
		if err != nil {
			if host != "" {
				t.Error("an error and a host")
			}
			return
		}
		if escaped := html.EscapeString(s); strings.ReplaceAll(escaped, "&amp;", "&") != s {
			t.Errorf("needs escaping: %q", s)
		}
		u, err := url.Parse(s + "#message.signature")
		if err != nil || u.Fragment != "message.signature" || u.User != nil || !hosts[strings.ToLower(u.Hostname())] {
			t.Errorf("%q leads to %v, %v", s, u, err)
		}
		if clean := u.JoinPath(); clean.Path != "" && strings.TrimSuffix(clean.Path, "/") != strings.TrimSuffix(u.Path, "/") && u.Path != "" {
			t.Errorf("%q leads elsewhere when cleaned: %q", s, clean.Path)
		}
		if strings.ContainsAny(s, "\r\n\t \\\"'<>#") {
			t.Errorf("not plain: %q", s)
		}
	})
}

func TestDeliverable(t *testing.T) {
	for address, want := range map[string]bool{
		"alice@example.com": true, "o'brien+tag@sub.example.com": true, "": false, "alice": false, "@example.com": false, "alice@": false,
		"a@b@c": false, "alice@example.com,eve@example.com": false, "alice@example.com\r\nBcc: eve@example.com": false, "Alice <a@example.com>": false,
		"a@\xff.example": false, "a@\ufffd.example": false,
	} {
		if got := deliverable(address); got != want {
			t.Errorf("%q: %v", address, got)
		}
	}
}
