package embedded

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// UnmarshalCaddyfile sets up the module from Caddyfile tokens. Syntax:
//
//	user_pool embedded [<file or folder>] {
//		inbox                  <host:port>
//		inbox_public
//		inbox_host             <name...>
//		smtp                   <host:port> { … }
//		from                   <address>
//		product                <name>
//		access_token_lifetime  <duration>
//		refresh_token_rotation on|off
//	}
func (p *UserPool) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the module's name
	if d.NextArg() {
		p.Path = d.Val()
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	seen := make(map[string]bool)
	for d.NextBlock(0) {
		option := d.Val()
		if seen[option] {
			return d.Errf("%s is given twice", option)
		}
		seen[option] = true
		if err := p.unmarshalOption(d, option); err != nil {
			return err
		}
	}
	return nil
}

func (p *UserPool) unmarshalOption(d *caddyfile.Dispenser, option string) error {
	var text *string
	switch option {
	case "inbox":
		text = &p.Inbox
	case "from":
		text = &p.From
	case "product":
		text = &p.Product
	case "smtp":
		return p.unmarshalSMTP(d)
	case "inbox_public":
		p.InboxPublic = true
		if d.NextArg() {
			return d.Err("inbox_public takes no value")
		}
		return nil
	case "inbox_host":
		p.InboxHosts = d.RemainingArgs()
		if len(p.InboxHosts) == 0 {
			return d.Err("inbox_host takes at least one name")
		}
		return nil
	case "access_token_lifetime":
		var value string
		if !d.AllArgs(&value) {
			return d.Err("access_token_lifetime takes one duration, such as 1h")
		}
		lifetime, err := caddy.ParseDuration(value)
		if err != nil {
			return d.Errf("access_token_lifetime: %q is not a duration; write it as 1h or 30m", value)
		}
		p.AccessTokenLifetime = caddy.Duration(lifetime)
		return nil
	case "refresh_token_rotation":
		var value string
		if !d.AllArgs(&value) || (value != "on" && value != "off") {
			return d.Err("refresh_token_rotation is on or off")
		}
		p.RefreshTokenRotation = value == "on"
		return nil
	default:
		return d.Errf("unknown option %q for user_pool embedded: use inbox, inbox_public, inbox_host, smtp, from, product, access_token_lifetime or refresh_token_rotation", option)
	}
	if !d.AllArgs(text) {
		return d.Errf("%s takes one value", option)
	}
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*UserPool)(nil)
