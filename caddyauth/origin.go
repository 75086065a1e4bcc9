package caddyauth

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/net/idna"
)

// origin is a web origin (RFC 6454) that the configuration names; with wildcard it stands for every subdomain of host, not for
// host itself.
type origin struct {
	scheme   string
	host     string // lower case, ASCII (IDNA), without port
	port     string // "" when it is the scheme's default
	wildcard bool
}

// parseOrigin reads "https://app.example.com", "https://*.tools.example.com" or "http://app.localhost:8080". Plain http is for
// loopback names only: elsewhere cookies and passkeys would travel in clear, and browsers refuse WebAuthn.
func parseOrigin(s string) (origin, error) {
	u, err := url.Parse(s)
	if err != nil {
		return origin{}, fmt.Errorf("%q is not an origin: write it as https://app.example.com", s)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || (u.Path != "" && u.Path != "/") || u.Host == "" || u.Opaque != "" {
		return origin{}, fmt.Errorf("%q is not an origin: write scheme, host and, if it is not the default, port, as in https://app.example.com", s)
	}
	return originOf(u)
}

// originOf takes the origin of an absolute URL.
func originOf(u *url.URL) (origin, error) {
	o := origin{scheme: strings.ToLower(u.Scheme), port: u.Port()}
	host := u.Hostname()
	if rest, ok := strings.CutPrefix(host, "*."); ok {
		o.wildcard, host = true, rest
	}
	ascii, err := canonicalHost(host)
	if err != nil {
		return origin{}, fmt.Errorf("%q has no valid host name: %w", u.Redacted(), err)
	}
	o.host = ascii
	switch {
	case o.scheme == "https":
		if o.port == "443" {
			o.port = ""
		}
	case o.scheme == "http" && isLoopbackName(o.host):
		if o.port == "80" {
			o.port = ""
		}
	case o.scheme == "http":
		return origin{}, fmt.Errorf("%q is plain http: use https (http is accepted for localhost only)", u.Redacted())
	default:
		return origin{}, fmt.Errorf("%q is neither https nor http", u.Redacted())
	}
	return o, nil
}

// canonicalHost lower-cases, converts to ASCII and refuses what is not a host name or address.
func canonicalHost(host string) (string, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.String(), nil
	}
	ascii, err := idna.Lookup.ToASCII(host)
	if err != nil {
		return "", err
	}
	if ascii == "" || strings.ContainsAny(ascii, "*%@\\ ") || strings.HasSuffix(ascii, ".") {
		return "", fmt.Errorf("%q", host)
	}
	return ascii, nil
}

// isLoopbackName reports whether browsers treat the host as this machine (Secure Contexts, section 3.1).
func isLoopbackName(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// String is the origin as browsers serialise it.
func (o origin) String() string {
	host := o.host
	if o.wildcard {
		host = "*." + host
	}
	if o.port != "" {
		return o.scheme + "://" + net.JoinHostPort(host, o.port)
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return o.scheme + "://" + host
}

// covers reports whether a concrete origin is this one or, for a wildcard, below it.
func (o origin) covers(c origin) bool {
	if o.scheme != c.scheme || o.port != c.port || c.wildcard {
		return false
	}
	if o.wildcard {
		return strings.HasSuffix(c.host, "."+o.host)
	}
	return o.host == c.host
}
