package session

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// Cookie is one of our cookies on a host. Over https its name carries the __Host- prefix (RFC 6265bis, section 4.1.3.2), which
// keeps sibling subdomains from setting it.
type Cookie struct {
	Name   string
	Secure bool
}

// SessionCookie carries the sealed session.
func SessionCookie(secure bool) Cookie { return newCookie("passwordless_session", secure) }

// NonceCookie binds a handoff to the browser that asked for it.
func NonceCookie(secure bool) Cookie { return newCookie("passwordless_nonce", secure) }

// BrowserCookie binds sign-in flows on the portal to one browser.
func BrowserCookie(secure bool) Cookie { return newCookie("passwordless_browser", secure) }

// CookieNames lists the names of all our cookies, for [StripCookies].
func CookieNames(secure bool) []string {
	return []string{SessionCookie(secure).Name, NonceCookie(secure).Name, BrowserCookie(secure).Name}
}

func newCookie(name string, secure bool) Cookie {
	if secure {
		name = "__Host-" + name
	}
	return Cookie{Name: name, Secure: secure}
}

// Read returns the cookie's value, http.ErrNoCookie, or [ErrDuplicate] when the request carries the name twice: one of the two
// was planted and nothing tells which.
func (c Cookie) Read(r *http.Request) (string, error) {
	var value string
	found := false
	for _, line := range r.Header["Cookie"] {
		if !strings.Contains(line, c.Name) {
			continue
		}
		for line != "" {
			var part string
			part, line, _ = strings.Cut(line, ";")
			name, v, _ := strings.Cut(part, "=")
			if strings.Trim(name, " \t") != c.Name {
				continue
			}
			if found {
				return "", ErrDuplicate
			}
			found, value = true, strings.Trim(v, " \t")
		}
	}
	if !found {
		return "", http.ErrNoCookie
	}
	return value, nil
}

// Set sends the cookie. maxAge is rounded down to seconds; zero makes a cookie that ends with the browser session.
func (c Cookie) Set(w http.ResponseWriter, value string, maxAge time.Duration) {
	hc := c.bare()
	hc.Value = value
	hc.MaxAge = int(max(maxAge, 0) / time.Second)
	http.SetCookie(w, hc)
}

// Clear tells the browser to forget the cookie.
func (c Cookie) Clear(w http.ResponseWriter) {
	hc := c.bare()
	hc.MaxAge = -1
	http.SetCookie(w, hc)
}

func (c Cookie) bare() *http.Cookie {
	return &http.Cookie{Name: c.Name, Path: "/", HttpOnly: true, Secure: c.Secure, SameSite: http.SameSiteLaxMode}
}

// StripCookies removes the named cookies from all Cookie headers and leaves the others byte for byte. A header that becomes
// empty is deleted.
func StripCookies(h http.Header, names ...string) {
	lines := h["Cookie"]
	var kept []string
	changed := false
	for _, line := range lines {
		stripped := stripLine(line, names)
		changed = changed || stripped != line
		if stripped != "" || line == "" {
			kept = append(kept, stripped)
		}
	}
	switch {
	case !changed:
	case len(kept) == 0:
		delete(h, "Cookie")
	default:
		h["Cookie"] = kept
	}
}

func stripLine(line string, names []string) string {
	if !containsAny(line, names) {
		return line
	}
	var out strings.Builder
	first, removed := true, false
	for rest, more := line, true; more; {
		var part string
		part, rest, more = strings.Cut(rest, ";")
		name, _, _ := strings.Cut(part, "=")
		if slices.Contains(names, strings.Trim(name, " \t")) {
			removed = true
			continue
		}
		if !first {
			out.WriteByte(';')
		} else if removed {
			part = strings.TrimLeft(part, " \t") // the space after a semicolon that is gone
		}
		first = false
		out.WriteString(part)
	}
	return out.String()
}

func containsAny(line string, names []string) bool {
	for _, name := range names {
		if strings.Contains(line, name) {
			return true
		}
	}
	return false
}
