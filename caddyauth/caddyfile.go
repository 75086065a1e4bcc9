package caddyauth

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

func init() {
	httpcaddyfile.RegisterGlobalOption(appName, parseGlobalOption)
}

// parseGlobalOption sets up the app from the global option. It may be repeated, once a realm. Syntax:
//
//	passwordless {
//		realm            <name>
//		portal           <url>
//		applications     <origin...>
//		shared_host
//		user_pool        <provider> ...
//		credential_store <store> ...
//		session_store    <store> ...
//		passkeys {
//			relying_party        <id> [<name> [<origin...>]]
//			related_origins      <id> <origin...>
//			user_verification    required|preferred|discouraged
//			resident_key         required|preferred|discouraged
//			attachment           platform|cross-platform
//			attestation          none|direct
//			trust_anchors        <file...>
//			allow_providers      <aaguid...>
//			deny_providers       <aaguid...>
//			algorithms           <cose...>
//			extensions           credProps|credProtect|none
//			registration_timeout <duration>
//			sign_in_timeout      <duration>
//		}
//		magic_link {
//			lifetime <duration>
//			code
//		}
//		sms_step_up      [<calling code...>]
//		remembered_users <number>|off
//		sign_up open|invitation|closed|domains <domain...>
//		session {
//			idle_timeout <duration>
//			lifetime     <duration>
//			claims       <name...>
//			cookie_domain <domain>
//		}
//		limits {
//			mails|links|passkeys|challenges|texts|codes {
//				address|network|site|account|overall <burst> <every>|off
//				daily <number>|off
//			}
//			reserve <percent>%
//			trusted_networks <network...>
//		}
//		branding {
//			name   <name>
//			logo   <path>
//			accent "<#rrggbb>"
//			css    <css>
//		}
//		templates <directory>
//	}
func parseGlobalOption(d *caddyfile.Dispenser, existing any) (any, error) {
	app := new(App)
	if previous, ok := existing.(httpcaddyfile.App); ok {
		if err := json.Unmarshal(previous.Value, app); err != nil {
			return nil, err
		}
	}
	d.Next() // consume the option's name
	name, r := DefaultRealm, new(Realm)
	if d.NextArg() {
		return nil, d.Err("passwordless takes no argument; name a realm inside the block with `realm <name>`")
	}
	if !d.NextBlock(0) {
		return nil, d.Err("passwordless needs a block: `passwordless { portal …; applications …; user_pool …; passkeys … }`")
	}
	seen := make(map[string]bool)
	for ok := true; ok; ok = d.NextBlock(0) {
		option := d.Val()
		if seen[option] {
			return nil, d.Errf("%s is given twice", option)
		}
		seen[option] = true
		if option == "realm" {
			if !d.AllArgs(&name) {
				return nil, d.Err("realm takes one name")
			}
			if err := refuseBlock(d, option); err != nil {
				return nil, err
			}
			continue
		}
		if err := r.unmarshalOption(d, option); err != nil {
			return nil, err
		}
		if err := refuseBlock(d, option); err != nil {
			return nil, err
		}
	}
	for _, required := range []struct{ option, example string }{
		{"portal", "portal https://auth.example.com/auth/"},
		{"applications", "applications https://legacy.example.com"},
		{"user_pool", "user_pool cognito eu-west-1_Ab12Cd34E { … }"},
		{"passkeys", "passkeys { relying_party example.com \"Example Corp\" }"},
	} {
		if !seen[required.option] {
			return nil, d.Errf("passwordless: %s is missing: add `%s`", required.option, required.example)
		}
	}
	if app.Realms == nil {
		app.Realms = make(map[string]*Realm)
	}
	if _, ok := app.Realms[name]; ok {
		return nil, d.Errf("realm %q is configured twice; give one of them another name with `realm <name>`", name)
	}
	app.Realms[name] = r
	return httpcaddyfile.App{Name: appName, Value: caddyconfig.JSON(app, nil)}, nil
}

func (r *Realm) unmarshalOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "portal":
		if !d.AllArgs(&r.Portal) {
			return d.Err("portal takes one URL, as in `portal https://auth.example.com/auth/`")
		}
		if _, _, err := parsePortal(r.Portal); err != nil && !hasPlaceholder(r.Portal) {
			return d.WrapErr(err)
		}
	case "applications":
		if r.Applications = d.RemainingArgs(); len(r.Applications) == 0 {
			return d.Err("applications takes at least one origin, as in `applications https://legacy.example.com`")
		}
		for _, s := range r.Applications {
			if _, err := parseOrigin(s); err != nil && !hasPlaceholder(s) {
				return d.WrapErr(err)
			}
		}
	case "shared_host":
		r.SharedHost = true
		return noArgument(d)
	case "user_pool":
		return unmarshalGuest(d, "passwordless.user_pools", "provider", &r.UserPoolRaw)
	case "credential_store":
		return unmarshalGuest(d, "passwordless.credential_stores", "store", &r.CredentialStoreRaw)
	case "session_store":
		return unmarshalGuest(d, "passwordless.session_stores", "store", &r.SessionStoreRaw)
	case "passkeys":
		r.Passkeys = new(Passkeys)
		return r.Passkeys.unmarshal(d)
	case "magic_link":
		r.MagicLink = new(MagicLink)
		return unmarshalBlock(d, "magic_link", map[string]func() error{
			"lifetime": func() error { return durationArgument(d, &r.MagicLink.Lifetime) },
			"code":     func() error { r.MagicLink.Code = true; return noArgument(d) },
		})
	case "sms_step_up":
		r.SMSStepUp, r.SMSCallingCodes = true, d.RemainingArgs()
		if err := challenge.CheckCallingCodes(r.SMSCallingCodes); err != nil {
			return d.Errf("sms_step_up: %v", err)
		}
	case "remembered_users":
		return r.unmarshalRememberedUsers(d)
	case "sign_up":
		return r.unmarshalSignUp(d)
	case "session":
		return r.unmarshalSession(d)
	case "limits":
		return r.unmarshalLimits(d)
	case "branding":
		return r.unmarshalBranding(d)
	case "templates":
		return stringArgument(d, &r.Templates)
	default:
		return d.Errf("unknown option %q for passwordless: use realm, portal, applications, shared_host, user_pool, credential_store, session_store, "+
			"passkeys, magic_link, sms_step_up, remembered_users, sign_up, session, limits, branding or templates", option)
	}
	return nil
}

func (r *Realm) unmarshalSession(d *caddyfile.Dispenser) error {
	s := new(Session)
	r.Session = s
	return unmarshalBlock(d, "session", map[string]func() error{
		"idle_timeout":  func() error { return durationArgument(d, &s.IdleTimeout) },
		"lifetime":      func() error { return durationArgument(d, &s.Lifetime) },
		"cookie_domain": func() error { return stringArgument(d, &s.CookieDomain) },
		"claims": func() error {
			if s.Claims = d.RemainingArgs(); len(s.Claims) == 0 {
				return d.Err("claims takes at least one claim name")
			}
			return refuseCommas(d, "claims", s.Claims)
		},
	})
}

func (r *Realm) unmarshalBranding(d *caddyfile.Dispenser) error {
	b := new(Branding)
	r.Branding = b
	return unmarshalBlock(d, "branding", map[string]func() error{
		"name": func() error { return stringArgument(d, &b.Name) },
		"logo": func() error { return stringArgument(d, &b.Logo) },
		"accent": func() error {
			if !d.AllArgs(&b.Accent) {
				return d.Err("accent takes one colour in quotes, as in `accent \"#0a6b4f\"`: without them # begins a comment")
			}
			return nil
		},
		"css": func() error { return stringArgument(d, &b.CSS) },
	})
}

func (r *Realm) unmarshalRememberedUsers(d *caddyfile.Dispenser) error {
	var value string
	if err := stringArgument(d, &value); err != nil {
		return err
	}
	n, err := strconv.Atoi(value)
	if value == "off" {
		n, err = 0, nil
	}
	if err != nil {
		return d.Errf("remembered_users takes off or a number up to %d, not %q", maxRememberedUsers, value)
	}
	r.RememberedUsers = &n
	return nil
}

func (r *Realm) unmarshalSignUp(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.Err("sign_up takes a mode: open, invitation, closed, or domains with the domains")
	}
	r.SignUp = &SignUp{Mode: args[0]}
	if len(args) > 1 {
		r.SignUp.Domains = args[1:]
	}
	switch {
	case args[0] != SignUpOpen && args[0] != SignUpInvitation && args[0] != SignUpClosed && args[0] != SignUpDomains:
		return d.Errf("sign_up: %q is not a mode: use open, invitation, closed, or domains with the domains", args[0])
	case args[0] == SignUpDomains && len(args) == 1:
		return d.Err("sign_up domains needs at least one domain, as in `sign_up domains example.com`")
	case args[0] != SignUpDomains && len(args) > 1:
		return d.Errf("sign_up %s takes no domains", args[0])
	}
	return refuseNoDomain(d, "sign_up domains", r.SignUp.Domains)
}

// unmarshalGuest reads `option <module> …` into the raw JSON of a guest module.
func unmarshalGuest(d *caddyfile.Dispenser, namespace, inlineKey string, raw *json.RawMessage) error {
	option := d.Val()
	if !d.NextArg() {
		return d.Errf("%s takes the name of a %s: use %s", option, inlineKey, builtIn(namespace))
	}
	name := d.Val()
	if _, err := caddy.GetModule(namespace + "." + name); err != nil {
		if namespace == "passwordless.user_pools" && name == "embedded" {
			return d.Err("user_pool: this Caddy was built without the embedded user pool: add `--with github.com/caddy-cognito/passwordless/caddyauth/embedded` to xcaddy build")
		}
		return d.Errf("%s: there is no %s %q in this Caddy: use %s", option, inlineKey, name, builtIn(namespace))
	}
	module, err := caddyfile.UnmarshalModule(d, namespace+"."+name)
	if err != nil {
		return err
	}
	*raw = caddyconfig.JSONModuleObject(module, inlineKey, name, nil)
	return nil
}

// unmarshalBlock reads an optional block whose options are the keys of parse.
func unmarshalBlock(d *caddyfile.Dispenser, option string, parse map[string]func() error) error {
	if d.NextArg() {
		return d.Errf("%s takes a block, not the argument %q", option, d.Val())
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		f, ok := parse[d.Val()]
		if !ok {
			return d.Errf("unknown option %q for %s: use %s", d.Val(), option, joinKeys(parse))
		}
		name := d.Val()
		if err := f(); err != nil {
			return err
		}
		if err := refuseBlock(d, name); err != nil {
			return err
		}
	}
	return nil
}

func stringArgument(d *caddyfile.Dispenser, target *string) error {
	option := d.Val()
	if *target != "" {
		return d.Errf("%s is given twice", option)
	}
	if !d.AllArgs(target) {
		return d.Errf("%s takes one value", option)
	}
	return nil
}

func choiceArgument(d *caddyfile.Dispenser, target *string, choices ...string) error {
	option := d.Val()
	if err := stringArgument(d, target); err != nil {
		return err
	}
	for _, choice := range choices {
		if *target == choice {
			return nil
		}
	}
	return d.Errf("%s: %q is not a choice: use %s", option, *target, strings.Join(choices, ", "))
}

func durationArgument(d *caddyfile.Dispenser, target *caddy.Duration) error {
	option := d.Val()
	if *target != 0 {
		return d.Errf("%s is given twice", option)
	}
	var value string
	if err := stringArgument(d, &value); err != nil {
		return err
	}
	duration, err := caddy.ParseDuration(value)
	if err != nil || duration <= 0 {
		return d.Errf("%s: %q is not a positive duration such as 15m, 8h or 30d", option, value)
	}
	*target = caddy.Duration(duration)
	return nil
}

func noArgument(d *caddyfile.Dispenser) error {
	option := d.Val()
	if d.NextArg() {
		return d.Errf("%s takes no value", option)
	}
	return nil
}

func hasPlaceholder(s string) bool { return strings.Contains(s, "{") }
