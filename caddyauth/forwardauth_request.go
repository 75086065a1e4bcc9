package caddyauth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// forwardFamilies are the headers by which each proxy says which request it asks about.
var forwardFamilies = map[string][]string{
	proxyTraefik: {"X-Forwarded-Method", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Uri"},
	proxyNginx:   {"X-Original-Method", "X-Original-Url"},
	proxyEnvoy:   {"X-Forwarded-Proto"},
}

// asked is the request that the proxy asks about, as if it had come here itself.
func (f *ForwardAuth) asked(r *http.Request) (*http.Request, error) {
	if !f.isTrusted(r) {
		return nil, errors.New("the peer is not a trusted proxy: name its address in `trusted_proxies`")
	}
	var method, scheme, host, target string
	var err error
	switch f.Proxy {
	case proxyTraefik:
		err = oneEach(r.Header, map[string]*string{
			"X-Forwarded-Method": &method, "X-Forwarded-Proto": &scheme, "X-Forwarded-Host": &host, "X-Forwarded-Uri": &target,
		})
	case proxyNginx:
		var original string
		if err = oneEach(r.Header, map[string]*string{"X-Original-Method": &method, "X-Original-Url": &original}); err == nil {
			scheme, host, target, err = splitURL(original)
		}
	case proxyEnvoy:
		err = oneEach(r.Header, map[string]*string{"X-Forwarded-Proto": &scheme})
		method, host, target = r.Method, r.Host, r.RequestURI
		if rest, ok := strings.CutPrefix(target, f.PathPrefix); ok {
			target = rest
		} else if err == nil {
			err = fmt.Errorf("the path does not begin with the path_prefix %s", f.PathPrefix)
		}
	}
	if err != nil {
		return nil, err
	}
	socket := false
	switch scheme {
	case "http", "https":
	case "ws", "wss": // Traefik's word for a WebSocket
		scheme, socket = strings.Replace(scheme, "ws", "http", 1), true
	default:
		return nil, fmt.Errorf("the scheme %q is neither http nor https", scheme)
	}
	if !isMethod(method) {
		return nil, errors.New("the method is no method")
	}
	u, err := parseTarget(target)
	if err != nil {
		return nil, err
	}
	return f.request(r, method, scheme, host, u, socket), nil
}

// request builds the request. Its headers are the client's, as far as the proxy forwarded them.
func (f *ForwardAuth) request(r *http.Request, method, scheme, host string, u *url.URL, socket bool) *http.Request {
	asked := &http.Request{
		Method: method, URL: u, Host: host, RequestURI: u.RequestURI(), RemoteAddr: r.RemoteAddr, Header: r.Header.Clone(),
		Proto: r.Proto, ProtoMajor: r.ProtoMajor, ProtoMinor: r.ProtoMinor, Body: http.NoBody,
	}
	for _, family := range forwardFamilies { // another's may come from the client and are never read
		for _, name := range family {
			asked.Header.Del(name)
		}
	}
	if lines := cookieLines(r); len(lines) > 0 { // a guard on the way here may have taken ours off
		asked.Header["Cookie"] = slices.Clone(lines)
	}
	asked.Header.Set("X-Forwarded-Proto", scheme)
	if scheme == "https" {
		asked.TLS = &tls.ConnectionState{HandshakeComplete: true}
	}
	// Proxies take hop-by-hop headers off, Upgrade among them.
	if socket || len(asked.Header["Sec-Websocket-Key"]) > 0 || len(asked.Header["Sec-Websocket-Version"]) > 0 || asked.Header.Get("Sec-Fetch-Mode") == "websocket" {
		asked.Header.Set("Upgrade", "websocket")
		if asked.Method == http.MethodConnect { // over HTTP/2 or HTTP/3; the upstream gets a GET
			asked.Method = http.MethodGet
		}
	}
	ctx := withVars(r)
	return asked.WithContext(context.WithValue(ctx, caddyhttp.OriginalRequestCtxKey, *asked))
}

// withVars gives a request variables of its own: what handlers noted about the proxy's request does not hold for the one it asks
// about.
func withVars(r *http.Request) context.Context {
	vars := map[string]any{caddyhttp.TrustedProxyVarKey: true}
	if address := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey); address != nil {
		vars[caddyhttp.ClientIPVarKey] = address
	}
	return context.WithValue(r.Context(), caddyhttp.VarsCtxKey, vars)
}

func (f *ForwardAuth) isTrusted(r *http.Request) bool {
	if len(f.trusted) == 0 {
		trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
		return trusted
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	address := peer.Addr().Unmap().WithZone("")
	return slices.ContainsFunc(f.trusted, func(p netip.Prefix) bool { return p.Contains(address) })
}

// oneEach reads headers of which each must be there exactly once. What comes twice was put there by two, and one of them is the
// client.
func oneEach(h http.Header, targets map[string]*string) error {
	for name, target := range targets {
		values := h[name]
		switch {
		case len(values) == 0 || len(values) == 1 && values[0] == "":
			return fmt.Errorf("the header %s is missing: the proxy has to set it", name)
		case len(values) > 1:
			return fmt.Errorf("the header %s came %d times: the proxy has to replace what the client sends", name, len(values))
		}
		*target = values[0]
	}
	return nil
}

// splitURL takes nginx's "$scheme://$http_host$request_uri" apart.
func splitURL(original string) (scheme, host, target string, err error) {
	scheme, rest, ok := strings.Cut(original, "://")
	slash := strings.IndexByte(rest, '/')
	if !ok || slash < 1 {
		return "", "", "", errors.New("the header X-Original-Url is not a URL: set it to $scheme://$http_host$request_uri")
	}
	return scheme, rest[:slash], rest[slash:], nil
}

// parseTarget reads a request target in origin form (RFC 9112, section 3.2.1) as Caddy's own server does.
func parseTarget(target string) (*url.URL, error) {
	if !strings.HasPrefix(target, "/") || strings.ContainsFunc(target, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return nil, errors.New("the request target is not a path")
	}
	u, err := url.ParseRequestURI(target)
	if err != nil || u.Host != "" || u.Scheme != "" {
		return nil, errors.New("the request target cannot be read")
	}
	return u, nil
}

// isMethod reports whether s is a token of letters, as all registered methods are but for their hyphens.
func isMethod(s string) bool {
	return s != "" && len(s) <= 32 && !strings.ContainsFunc(s, func(r rune) bool { return (r < 'A' || r > 'Z') && r != '-' })
}
