package caddyauth

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// maxReturnLength bounds a return target in bytes; a longer one comes back without its query, so that the sign-in page's
// address stays within what browsers and proxies accept.
const maxReturnLength = 4096

// isNavigation reports whether r is a browser's top-level navigation to a document, the only kind of request that a redirect to
// a sign-in page helps. Fetch metadata decides where the browser sends it (https://www.w3.org/TR/fetch-metadata/); else the
// Accept header does. Scripts, assets, frames, prefetches, upgrades and anything that is not GET or HEAD are no navigations.
func isNavigation(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	h := r.Header
	if len(h["X-Requested-With"]) > 0 || isUpgrade(r) || isPrefetch(h) {
		return false
	}
	if contentType := h.Get("Content-Type"); strings.HasPrefix(contentType, "application/") && contentType != "application/x-www-form-urlencoded" {
		return false
	}
	mode, dest := h["Sec-Fetch-Mode"], h["Sec-Fetch-Dest"]
	if len(mode)+len(dest) > 0 {
		return len(mode) == 1 && mode[0] == "navigate" && len(dest) == 1 && dest[0] == "document"
	}
	return acceptsHTML(h["Accept"])
}

// isPrefetch reports whether the browser fetches ahead of the person: following it into a sign-in would start one for nothing.
func isPrefetch(h http.Header) bool {
	for _, name := range [...]string{"Sec-Purpose", "Purpose", "X-Moz"} {
		for _, value := range h[name] {
			if strings.Contains(strings.ToLower(value), "prefetch") {
				return true
			}
		}
	}
	return false
}

// acceptsHTML reports whether text/html is named in Accept and not ruled out by q=0. "*/*" does not count: curl, scripts and API
// clients send it.
func acceptsHTML(accept []string) bool {
	for _, line := range accept {
		for item := range strings.SplitSeq(line, ",") {
			mediaType, parameters, _ := strings.Cut(item, ";")
			if !strings.EqualFold(strings.TrimSpace(mediaType), "text/html") {
				continue
			}
			q := strings.ReplaceAll(strings.ToLower(parameters), " ", "")
			return !strings.Contains(q, "q=0") || strings.Contains(q, "q=0.")
		}
	}
	return false
}

// isPreflight reports whether r is a CORS preflight (https://fetch.spec.whatwg.org/#cors-preflight-request): it never carries
// cookies, a body or an upgrade, so it has to pass without identity or the browser blocks the request it asks for.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && len(r.Header["Origin"]) == 1 && len(r.Header["Access-Control-Request-Method"]) == 1 &&
		r.ContentLength == 0 && len(r.TransferEncoding) == 0 && len(r.Header["Upgrade"]) == 0
}

// returnTarget is the absolute URL that the person asked for, before any rewrite, on the given origin. Host header and
// absolute-form request targets have no say: origin comes from the configuration. A URL that cannot be returned to safely
// becomes the origin's root.
func (rt *realm) returnTarget(r *http.Request, origin string) string {
	u := r.URL
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && original.URL != nil {
		u = original.URL
	}
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
