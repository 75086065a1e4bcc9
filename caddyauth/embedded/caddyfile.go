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
//		protocol               <host:port>
//		issuer                 <origin>
//		custom_attributes      <name...>
//		writable_custom_attributes <name...>
//		browser_client         <origin...>
//		admin_key              <id> <secret>
//		from                   <address>
//		product                <name>
//		access_token_lifetime  <duration>
//		refresh_token_lifetime <duration>
//		refresh_token_rotation on|off
//		session_lifetime       <duration>
//		signing_key_rotation   <duration>|off
//		unverified_account_lifetime <duration>|off
//		pre_token_version      V1_0|V2_0
//		trigger                <name> <function> { … }
//	}
func (p *UserPool) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the module's name
	if d.NextArg() {
		p.Path = d.Val()
	}
	if d.NextArg() {
		return d.Errf("user_pool embedded takes one file or folder and a block, not %q as well", d.Val())
	}
	seen := make(map[string]bool)
	for d.NextBlock(0) {
		option := d.Val()
		if seen[option] && option != "trigger" {
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
	case "protocol":
		text = &p.Protocol
	case "issuer":
		text = &p.Issuer
	case "admin_key":
		return p.unmarshalAdminKey(d)
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
	case "custom_attributes", "writable_custom_attributes":
		names := d.RemainingArgs()
		if len(names) == 0 {
			return d.Errf("%s takes at least one name, such as tenant", option)
		}
		if option == "custom_attributes" {
			p.CustomAttributes = names
		} else {
			p.WritableCustomAttributes = names
		}
		return nil
	case "browser_client":
		if p.BrowserClient = d.RemainingArgs(); len(p.BrowserClient) == 0 {
			return d.Err("browser_client takes at least one origin, such as http://localhost:3000")
		}
		return nil
	case "access_token_lifetime":
		return unmarshalLifetime(d, option, &p.AccessTokenLifetime)
	case "refresh_token_lifetime":
		return unmarshalLifetime(d, option, &p.RefreshTokenLifetime)
	case "signing_key_rotation":
		return unmarshalLifetimeOrOff(d, option, "90d", &p.SigningKeyRotation)
	case "unverified_account_lifetime":
		return unmarshalLifetimeOrOff(d, option, "24h", &p.UnverifiedAccountLifetime)
	case "session_lifetime":
		return unmarshalLifetime(d, option, &p.SessionLifetime)
	case "pre_token_version":
		text = &p.PreTokenVersion
	case "trigger":
		return p.unmarshalTrigger(d)
	case "refresh_token_rotation":
		var value string
		if !d.AllArgs(&value) || (value != "on" && value != "off") {
			return d.Err("refresh_token_rotation is on or off")
		}
		p.RefreshTokenRotation = value == "on"
		return nil
	default:
		return d.Errf("unknown option %q for user_pool embedded: use inbox, inbox_public, inbox_host, protocol, issuer, custom_attributes, writable_custom_attributes, browser_client, admin_key, smtp, from, product, access_token_lifetime, refresh_token_lifetime, "+
			"refresh_token_rotation, signing_key_rotation, session_lifetime, unverified_account_lifetime, pre_token_version or trigger", option)
	}
	if !d.AllArgs(text) {
		return d.Errf("%s takes one value", option)
	}
	return nil
}

// unmarshalLifetimeOrOff reads a duration, or off as a negative one.
func unmarshalLifetimeOrOff(d *caddyfile.Dispenser, option, example string, target *caddy.Duration) error {
	var value string
	if !d.AllArgs(&value) {
		return d.Errf("%s takes one duration, such as %s, or off", option, example)
	}
	if value == "off" {
		*target = -1
		return nil
	}
	return parseLifetime(d, option, value, target)
}

func unmarshalLifetime(d *caddyfile.Dispenser, option string, field *caddy.Duration) error {
	var value string
	if !d.AllArgs(&value) {
		return d.Errf("%s takes one duration, such as 1h", option)
	}
	return parseLifetime(d, option, value, field)
}

func parseLifetime(d *caddyfile.Dispenser, option, value string, field *caddy.Duration) error {
	lifetime, err := caddy.ParseDuration(value)
	if err != nil || lifetime < 0 {
		return d.Errf("%s: %q is not a duration; write it as 1h or 30m", option, value)
	}
	*field = caddy.Duration(lifetime)
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*UserPool)(nil)
