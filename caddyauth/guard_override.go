package caddyauth

import (
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Headers by which frameworks, servers and proxies replace the path of a request, folded.
var pathOverrides = []string{
	"xoriginalurl", "xrewriteurl", // IIS, Symfony, Zend
	"xoriginaluri", "xoriginalpath", "xforwardeduri", "xforwardedpath", "xforwardedurl", "xoverrideurl", "xrewriteuri",
	"xhttppathoverride", "xenvoyoriginalpath",
	forwardedPrefix, "xscriptname", // Spring, WSGI
}

// Headers by which they replace its method.
var methodOverrides = []string{
	"xhttpmethodoverride", "xmethodoverride", "xhttpmethod", "xmethod", "xhttpverb", "xhttpverboverride", "xoriginalmethod", "xforwardedmethod",
	"xrequestmethod",
}

// forwardedPrefix is the one header among them that proxies set as a matter of course: what they took off the path. In this very spelling it
// stays when it comes from a proxy that Caddy's trusted_proxies names, which has to replace what its own clients send.
const forwardedPrefix = "xforwardedprefix"

func isPathOverride(name string) bool { return matchesFolded(name, pathOverrides) }

func isMethodOverride(name string) bool { return matchesFolded(name, methodOverrides) }

func matchesFolded(name string, list []string) bool {
	return slices.ContainsFunc(list, func(folded string) bool { return foldedMatch(name, folded, false) })
}

// overrides reports whether a header could replace what was judged.
func (j judged) overrides(name string) bool {
	return (j.paths || j.address) && isPathOverride(name) || j.methods && isMethodOverride(name)
}

// mayOverride reports whether a header that replaces the path was set by a proxy that the server trusts.
func mayOverride(r *http.Request, name string) bool {
	return name == "X-Forwarded-Prefix" && len(r.Header[name]) == 1 && fromTrustedProxy(r)
}

func fromTrustedProxy(r *http.Request) bool {
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	return trusted
}
