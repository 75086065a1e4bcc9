package caddyauth

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// privateRanges is what `private_ranges` stands for, as in Caddy's own trusted_proxies.
var privateRanges = []string{"192.168.0.0/16", "172.16.0.0/12", "10.0.0.0/8", "127.0.0.1/8", "fd00::/8", "::1"}

// parseForwardAuth sets up the directive.
func parseForwardAuth(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	f := new(ForwardAuth)
	return f, f.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	passwordless_forward_auth [<matcher>] traefik|nginx|envoy {
//		trusted_proxies <range...>
//		path_prefix     <prefix>
//		realm           <name>
//		allow …
//		deny …
//		…
//	}
//
// Beyond the first two, the options are those of passwordless_guard without keep_body and step_up upstream. private_ranges stands for all private ranges.
func (f *ForwardAuth) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	if !d.AllArgs(&f.Proxy) {
		return d.Err("passwordless_forward_auth takes the kind of proxy: traefik, nginx or envoy")
	}
	for d.NextBlock(0) {
		option := d.Val()
		var err error
		switch option {
		case "trusted_proxies":
			err = f.unmarshalTrusted(d)
		case "path_prefix":
			err = stringArgument(d, &f.PathPrefix)
		case "keep_body":
			err = d.Err("keep_body: forms are not kept here, for the proxy has their bodies; leave it out")
		default:
			err = f.unmarshalOption(d, "passwordless_forward_auth", "trusted_proxies, path_prefix, "+strings.Replace(guardOptions, "keep_body, ", "", 1))
		}
		if err != nil {
			return err
		}
		if err := refuseBlock(d, option); err != nil {
			return err
		}
	}
	switch {
	case f.UpstreamStepUp:
		return d.Err("step_up upstream: the application's answers do not come this way; leave it out, or put passwordless_guard before the application")
	case f.PathPrefix != "" && f.Proxy != proxyEnvoy && f.Proxy != "":
		return d.Errf("path_prefix is for envoy alone; leave it out for %s", f.Proxy)
	}
	if err := f.prepare(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (f *ForwardAuth) unmarshalTrusted(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.Err("trusted_proxies takes the addresses of the proxy, as in `trusted_proxies 10.0.0.5 10.1.0.0/16`, or private_ranges")
	}
	for _, arg := range args {
		if arg == "private_ranges" {
			f.TrustedProxies = append(f.TrustedProxies, privateRanges...)
			continue
		}
		f.TrustedProxies = append(f.TrustedProxies, arg)
	}
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*ForwardAuth)(nil)
