package caddyauth

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// allowedReturn checks an absolute return target: https (or http on loopback) on the portal's own origin or a listed
// application. Anything that two URL parsers could read differently is refused: control characters, white space,
// backslashes, userinfo, hosts that are not in ASCII, and a path that begins with more than one slash.
func (rt *realm) allowedReturn(raw string) (*url.URL, error) {
	if strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' }) {
		return nil, fmt.Errorf("the return target has characters a URL cannot have")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("the return target is not a URL")
	}
	if u.User != nil || u.Opaque != "" || u.Host == "" || strings.HasPrefix(u.Path, "//") || strings.HasPrefix(u.EscapedPath(), "//") {
		return nil, fmt.Errorf("the return target is not a plain URL")
	}
	if strings.ContainsFunc(u.Host, func(r rune) bool { return r > '~' }) {
		return nil, fmt.Errorf("the return target's host is not in ASCII")
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
func (rt *realm) onPortal(r *http.Request) bool {
	o, err := originOf(&url.URL{Scheme: requestScheme(r), Host: r.Host})
	return err == nil && rt.config.portalOrigin.covers(o)
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
