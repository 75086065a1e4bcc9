package caddyauth

import (
	"net/http"
	"strings"
)

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

// isFrame reports whether a browser shows the answer inside another page.
func isFrame(r *http.Request) bool {
	mode, dest := r.Header["Sec-Fetch-Mode"], r.Header["Sec-Fetch-Dest"]
	if len(mode) != 1 || mode[0] != "navigate" || len(dest) != 1 || r.Method == http.MethodHead {
		return false
	}
	switch dest[0] {
	case "iframe", "frame", "object", "embed":
		return !isPrefetch(r.Header)
	}
	return false
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
