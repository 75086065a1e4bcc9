package session

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// Cookie is one of our cookies. Over https, unless it is a whole domain's, its name carries the __Host- prefix (RFC 6265bis, section
// 4.1.3.2), which keeps sibling subdomains from setting it.
type Cookie struct {
	Name   string
	Secure bool
	Domain string // whose hosts all get it; "" for the one that sets it
}

// ownMark is part of the names of all our cookies.
const ownMark = "passwordless_"

// SessionCookie carries the sealed session.
func SessionCookie(secure bool) Cookie { return newCookie(ownMark+"session", secure) }

// DomainCookie carries the sealed session to all hosts of a domain. The __Host- prefix is not to be had for that, so each of them can read
// the cookie, and set another in its place.
func DomainCookie(domain string) Cookie {
	return Cookie{Name: "__Secure-" + ownMark + "session", Secure: true, Domain: domain}
}

// NonceCookie binds a handoff to the browser that asked for it.
func NonceCookie(secure bool) Cookie { return newCookie(ownMark+"nonce", secure) }

// BrowserCookie binds sign-in flows on the portal to one browser.
func BrowserCookie(secure bool) Cookie { return newCookie(ownMark+"browser", secure) }

// PeopleCookie remembers on the portal who signed in with one browser.
func PeopleCookie(secure bool) Cookie { return newCookie(ownMark+"people", secure) }

// ownNames are the names of all our cookies, secure, plain and of domains alike.
var ownNames = []string{
	SessionCookie(true).Name, NonceCookie(true).Name, BrowserCookie(true).Name, PeopleCookie(true).Name,
	SessionCookie(false).Name, NonceCookie(false).Name, BrowserCookie(false).Name, PeopleCookie(false).Name,
	DomainCookie("").Name,
}

func newCookie(name string, secure bool) Cookie {
	if secure {
		name = "__Host-" + name
	}
	return Cookie{Name: name, Secure: secure}
}

// Read returns the cookie's value, http.ErrNoCookie, or [ErrDuplicate] when the request carries the name twice: one of the two
// was planted and nothing tells which.
func (c Cookie) Read(r *http.Request) (string, error) { return c.Find(r.Header["Cookie"]) }

// Find is Read for a request's Cookie headers, each a line.
func (c Cookie) Find(lines []string) (string, error) {
	var value string
	found := false
	for _, line := range lines {
		if !strings.Contains(line, c.Name) {
			continue // a search is cheaper than cutting up a long line
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
	return &http.Cookie{Name: c.Name, Path: "/", Domain: c.Domain, HttpOnly: true, Secure: c.Secure, SameSite: http.SameSiteLaxMode}
}

// StripCookies removes our cookies, of whatever scheme, from all Cookie headers and leaves the others byte for byte. A header that
// becomes empty is deleted.
func StripCookies(h http.Header) {
	lines := h["Cookie"]
	var kept []string
	changed := false
	for _, line := range lines {
		stripped := stripLine(line)
		changed = changed || len(stripped) != len(line)
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

// stripLine copies only what our cookies stand in the middle of: this runs on every request.
func stripLine(line string) string {
	if !strings.Contains(line, ownMark) {
		return line
	}
	var before strings.Builder
	start, end := -1, -1 // of the piece that is kept and not in before yet
	for at, next := 0, 0; at <= len(line); at = next + 1 {
		if next = len(line); at < next {
			if length := strings.IndexByte(line[at:], ';'); length >= 0 {
				next = at + length
			}
		}
		part := line[at:next]
		name, _, _ := strings.Cut(part, "=")
		switch {
		case slices.Contains(ownNames, strings.Trim(name, " \t")):
		case start < 0:
			if start, end = at, next; at > 0 {
				start = next - len(strings.TrimLeft(part, " \t")) // the space after a semicolon that is gone
			}
		case end == at-1:
			end = next
		default:
			before.WriteString(line[start:end])
			start, end = at-1, next // with its semicolon
		}
	}
	switch {
	case start < 0:
		return ""
	case before.Len() == 0:
		return line[start:end]
	}
	before.WriteString(line[start:end])
	return before.String()
}
