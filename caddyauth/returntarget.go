package caddyauth

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// maxReturnLength bounds a return target in bytes; a longer one comes back without its query, so that the sign-in page's
// address stays within what browsers and proxies accept.
const maxReturnLength = 4096

// returnTarget is the absolute URL that the person asked for, before any rewrite, on the given origin. Host header and
// absolute-form request targets have no say: origin comes from the configuration. A URL that cannot be returned to safely
// becomes the origin's root.
func (rt *realm) returnTarget(r *http.Request, origin string) string {
	u := originalURL(r)
	target := origin + u.EscapedPath()
	if u.RawQuery != "" && len(target)+len(u.RawQuery) < maxReturnLength {
		target += "?" + escapeQuery(u.RawQuery)
	}
	if checked, err := rt.allowedReturn(target); err != nil || len(target) > maxReturnLength || !sameOriginPath(checked.EscapedPath()) {
		return origin + "/"
	}
	return target
}

// sameOriginPath reports whether path, used as a Location, stays on the same origin: browsers read "//host" and "/\host" as
// another host.
func sameOriginPath(path string) bool {
	return strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") && !strings.HasPrefix(path, "/\\")
}

// escapeQuery percent-encodes what a URL's query cannot hold and leaves everything else as it came.
func escapeQuery(query string) string {
	clean := true
	for i := 0; i < len(query) && clean; i++ {
		clean = isQueryByte(query[i])
	}
	if clean {
		return query
	}
	var b strings.Builder
	for i := 0; i < len(query); i++ {
		if c := query[i]; isQueryByte(c) {
			b.WriteByte(c)
		} else {
			writePercent(&b, c)
		}
	}
	return b.String()
}

func isQueryByte(c byte) bool {
	return c > ' ' && c < 0x7f && !strings.ContainsRune("\"#<>\\`", rune(c))
}

func writePercent(b *strings.Builder, c byte) {
	const digits = "0123456789ABCDEF"
	b.WriteByte('%')
	b.WriteByte(digits[c>>4])
	b.WriteByte(digits[c&15])
}

// relativeReturn turns a checked absolute URL and the fragment the browser kept into a Location on the same origin.
func relativeReturn(u *url.URL, fragment string) string {
	path := u.EscapedPath()
	if path == "" || !sameOriginPath(path) {
		path = "/"
	}
	if u.RawQuery != "" {
		path += "?" + escapeQuery(u.RawQuery)
	}
	if fragment != "" && len(fragment) <= maxReturnLength {
		path += "#" + escapeQuery(fragment)
	}
	return path
}

// allowedReturn checks an absolute return target: https (or http on loopback) on the portal's own origin or a listed
// application. Anything that two URL parsers could read differently is refused: control characters, white space,
// backslashes, userinfo, hosts that are not in ASCII, and a path that begins with more than one slash.
func (rt *realm) allowedReturn(raw string) (*url.URL, error) {
	if strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' }) {
		return nil, errors.New("the return target has characters a URL cannot have")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("the return target is not a URL")
	}
	if u.User != nil || u.Opaque != "" || u.Host == "" || strings.HasPrefix(u.Path, "//") || strings.HasPrefix(u.EscapedPath(), "//") {
		return nil, errors.New("the return target is not a plain URL")
	}
	if strings.ContainsFunc(u.Host, func(r rune) bool { return r > '~' }) {
		return nil, errors.New("the return target's host is not in ASCII")
	}
	o, err := originOf(u)
	if err != nil {
		return nil, err
	}
	if !rt.ownOrigin(o) {
		return nil, fmt.Errorf("the return target's origin %s is neither the portal nor a listed application", o)
	}
	return u, nil
}

func (rt *realm) ownOrigin(o origin) bool {
	if rt.config.portalOrigin.covers(o) {
		return true
	}
	return rt.config.isApplication(o)
}

// applicationFor returns the origin of the request if it is a listed application's. The scheme is the connection's, or what a
// proxy trusted by Caddy's trusted_proxies says.
func (rt *realm) applicationFor(r *http.Request) (string, bool) {
	o, err := originOf(&url.URL{Scheme: requestScheme(r), Host: r.Host})
	if err != nil || !rt.config.isApplication(o) {
		return "", false
	}
	return o.String(), true
}

// onPortal reports whether the request came to the portal's own origin.
func (r *Realm) onPortal(request *http.Request) bool {
	o, err := originOf(&url.URL{Scheme: requestScheme(request), Host: request.Host})
	return err == nil && r.portalOrigin.covers(o)
}

// requestScheme is "https" or "http"; X-Forwarded-Proto counts only from a trusted proxy.
func requestScheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	if trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool); trusted {
		if values := r.Header.Values("X-Forwarded-Proto"); len(values) == 1 && strings.EqualFold(values[0], "https") {
			return "https"
		}
	}
	return "http"
}
