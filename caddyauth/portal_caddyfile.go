package caddyauth

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// The portal comes before the guards; see routeorder.go.
func init() {
	httpcaddyfile.RegisterHandlerDirective("passwordless_portal", parsePortalDirective)
	httpcaddyfile.RegisterDirectiveOrder("passwordless_portal", httpcaddyfile.Before, "basic_auth")
}

func parsePortalDirective(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	p := new(Portal)
	return p, p.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the portal from Caddyfile tokens. Syntax:
//
//	passwordless_portal [realm <name>] {
//		realm         <name>
//		fido2_origins <origin...>
//	}
func (p *Portal) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	if args := d.RemainingArgs(); len(args) > 0 {
		if len(args) != 2 || args[0] != "realm" || args[1] == "" {
			return d.Errf("passwordless_portal takes nothing, or `realm <name>`, not %q", args)
		}
		p.Realm = args[1]
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		args := d.RemainingArgs()
		switch option {
		case "realm":
			if len(args) != 1 || args[0] == "" {
				return d.Err("realm takes one name")
			}
			if p.Realm != "" {
				return d.Err("realm is given twice")
			}
			p.Realm = args[0]
		case "fido2_origins":
			if len(args) == 0 {
				return d.Err("fido2_origins takes at least one origin, as in `fido2_origins https://app.example.com`")
			}
			for _, s := range args {
				if o, err := parseOrigin(s); err != nil {
					return d.WrapErr(err)
				} else if o.wildcard {
					return d.Errf("fido2_origins: %q: list each origin", s)
				}
			}
			p.FIDO2Origins = append(p.FIDO2Origins, args...)
		default:
			return d.Errf("unknown option %q for passwordless_portal: use realm or fido2_origins", option)
		}
		if inner := d.Nesting(); d.NextBlock(inner) {
			return d.Errf("%s takes no block", option)
		}
	}
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Portal)(nil)
