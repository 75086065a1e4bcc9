package create

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// maxRedirect bounds a redirectUri in bytes.
const maxRedirect = 2048

// errRedirect is one text for every refusal: the caller learns nothing of what is allowed.
var errRedirect = errors.New("invalid redirectUri")

// checkRedirect accepts a redirectUri that is nothing but a plain http(s) URL, below one of the allowed prefixes. It may have a
// query. What it accepts needs no escaping in a mail except for "&", and keeps its host when a fragment is put behind it.
func checkRedirect(redirect string, allowed []string) (host string, err error) {
	u, err := plainURL(redirect)
	if err != nil {
		return "", errRedirect
	}
	for _, prefix := range allowed {
		p, err := plainURL(prefix)
		if err != nil {
			return "", fmt.Errorf("allowed redirect %q: %w", prefix, err)
		}
		if p.Scheme == u.Scheme && canonicalHost(p) == canonicalHost(u) && below(u.EscapedPath(), p.EscapedPath()) {
			return u.Host, nil
		}
	}
	return "", errRedirect
}

// below reports whether path is prefix or lies under it, by whole segments.
func below(path, prefix string) bool {
	prefix = strings.TrimSuffix(prefix, "/")
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

// plainURL parses an absolute http(s) URL that no two parsers read differently: printable ASCII without quotes, brackets other
// than those of an IPv6 host, backslashes, userinfo or fragment; no dot segments, empty segments or encoded separators.
func plainURL(s string) (*url.URL, error) {
	if s == "" || len(s) > maxRedirect {
		return nil, errors.New("empty or too long")
	}
	for _, r := range s {
		if r <= ' ' || r >= 0x7f || strings.ContainsRune("\"'`<>\\^{|}#", r) {
			return nil, errors.New("holds a character that does not belong in a plain URL")
		}
	}
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || scheme != "https" && scheme != "http" {
		return nil, errors.New("not an http or https URL")
	}
	authority, _, _ := strings.Cut(rest, "/")
	authority, _, _ = strings.Cut(authority, "?")
	if authority == "" || strings.ContainsAny(authority, "@%,;!$&()*+=~_") {
		return nil, errors.New("not a plain host")
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	if u.User != nil || u.Opaque != "" || u.Host != authority || u.Hostname() == "" || u.Fragment != "" {
		return nil, errors.New("not a plain host")
	}
	path := strings.ToLower(u.EscapedPath())
	if strings.ContainsAny(path, ";[]") || strings.Contains(path, "//") ||
		strings.Contains(path, "%2f") || strings.Contains(path, "%5c") || strings.Contains(path, "%2e") || strings.Contains(path, "%00") {
		return nil, errors.New("ambiguous path")
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return nil, errors.New("dot segment in the path")
		}
	}
	if _, err := url.QueryUnescape(u.RawQuery); err != nil {
		return nil, errors.New("malformed query")
	}
	return u, nil
}

// canonicalHost is the host in lower case without the scheme's own port.
func canonicalHost(u *url.URL) string {
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if port == "" || u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		return host
	}
	return net.JoinHostPort(host, port)
}
