package caddyauth

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-cognito/passwordless/internal/token"
)

// parseGuard sets up the directive. A guard with a matcher may not see the guard's own addresses (/auth/handoff and so on), nor what only the
// upstream would take for a guarded path, so one without a matcher, which asks for no session, follows it.
func parseGuard(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	if !h.Next() {
		return nil, h.ArgErr()
	}
	matcherSet, err := h.ExtractMatcherSet()
	if err != nil {
		return nil, err
	}
	g := new(Guard)
	if err := g.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	g.PathRule = rawLooksAt(matcherSet).paths
	routes := h.NewRoute(matcherSet, g)
	if matcherSet != nil {
		routes = append(routes, h.NewRoute(nil, &Guard{Realm: g.Realm, EndpointsOnly: true, AllowAmbiguousPaths: g.AllowAmbiguousPaths})...)
	}
	return routes, nil
}

// UnmarshalCaddyfile sets up the guard from Caddyfile tokens. Syntax:
//
//	passwordless_guard [<matcher>] {
//		realm  <name>
//		allow  group <group...> | client <name...> | scope <scope...> | claim <name> [equals|contains|matches] <value...> | email_domain <domain...> | factor <factor...>
//		deny   group <group...> | client <name...> | scope <scope...> | claim <name> [equals|contains|matches] <value...> | email_domain <domain...> | factor <factor...>
//		step_up <max_age> [<factor...>] {
//			methods <method...>
//			transaction
//		}
//		step_up upstream
//		keep_body <size>|off
//		bearer  id|access
//		clients <client id...>
//		machine <client id> [<name>]
//		upstream_bearer id|access
//		upstream_basic  <user> <password>
//		bypass [<method>,<method...>] <path...>
//		header <name> <claim>
//		ambiguous_paths allow
//	}
//
// allow, deny, step_up, bypass and header may be repeated. One allow has to match, any deny refuses.
func (g *Guard) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	if d.NextArg() {
		return d.Errf("passwordless_guard takes a matcher and a block, not the argument %q", d.Val())
	}
	for d.NextBlock(0) {
		if err := g.unmarshalOption(d, "passwordless_guard", guardOptions); err != nil {
			return err
		}
	}
	return nil
}

// guardOptions are the options of the guard, for an error message.
const guardOptions = "realm, allow, deny, step_up, keep_body, bearer, clients, machine, upstream_bearer, upstream_basic, bypass, header or ambiguous_paths"

// unmarshalOption reads one option; the directive and its options are named where there is no such one.
func (g *Guard) unmarshalOption(d *caddyfile.Dispenser, directive, options string) error {
	option := d.Val()
	args := d.RemainingArgs()
	if option == "step_up" {
		return g.unmarshalStepUp(d, args)
	}
	switch option {
	case "realm":
		if len(args) != 1 || args[0] == "" {
			return d.Err("realm takes one name")
		}
		if g.Realm != "" {
			return d.Err("realm is given twice")
		}
		g.Realm = args[0]
	case "allow", "deny":
		rule, err := parseRule(d, option, args)
		if err != nil {
			return err
		}
		if option == "allow" {
			g.Allow = append(g.Allow, rule)
		} else {
			g.Deny = append(g.Deny, rule)
		}
	case "keep_body":
		if err := g.unmarshalKeepBody(d, args); err != nil {
			return err
		}
	case "bearer", "upstream_bearer":
		target := &g.Bearer
		if option == "upstream_bearer" {
			target = &g.UpstreamBearer
		}
		if len(args) != 1 || !slices.Contains([]string{string(token.ID), string(token.Access)}, args[0]) {
			return d.Errf("%s takes id or access", option)
		}
		if *target != "" {
			return d.Errf("%s is given twice", option)
		}
		*target = args[0]
	case "clients":
		if err := g.unmarshalClients(d, args); err != nil {
			return err
		}
	case "machine":
		if err := g.unmarshalMachine(d, args); err != nil {
			return err
		}
	case "upstream_basic":
		if g.UpstreamBasic != nil {
			return d.Err("upstream_basic is given twice")
		}
		if len(args) != 2 {
			return d.Err("upstream_basic takes a user name and a password, as in `upstream_basic legacy {env.LEGACY_PASSWORD}`")
		}
		g.UpstreamBasic = &BasicCredential{Username: args[0], Password: args[1]}
	case "bypass":
		if err := g.unmarshalBypass(args); err != nil {
			return d.Err(err.Error())
		}
	case "header":
		if err := g.unmarshalHeader(d, args); err != nil {
			return err
		}
	case "ambiguous_paths":
		if len(args) != 1 || args[0] != "allow" {
			return d.Err("ambiguous_paths takes the word allow; leave it out to refuse such paths")
		}
		g.AllowAmbiguousPaths = true
	default:
		return d.Errf("unknown option %q for %s: use %s", option, directive, options)
	}
	return refuseBlock(d, option)
}

func (g *Guard) unmarshalKeepBody(d *caddyfile.Dispenser, args []string) error {
	if g.KeepBody != 0 {
		return d.Err("keep_body is given twice")
	}
	if len(args) != 1 {
		return d.Err("keep_body takes one size, as in `keep_body 4MiB`, or off")
	}
	if args[0] == "off" {
		g.KeepBody = -1
		return nil
	}
	size, ok := parseSize(args[0])
	if !ok || size > maxKeepBody {
		return d.Errf("keep_body: %q is not a size up to 16MiB: write it as in 512KiB or 4MiB", args[0])
	}
	g.KeepBody = size
	return nil
}

func (g *Guard) unmarshalHeader(d *caddyfile.Dispenser, args []string) error {
	if len(args) != 2 {
		return d.Err("header takes a header name and a claim, as in `header X-Department department`")
	}
	if !validHeaderName(args[0]) {
		return d.Errf("header: %q cannot carry a claim; choose a name of your own, as in X-Department", args[0])
	}
	name := http.CanonicalHeaderKey(args[0])
	for other := range g.Headers {
		switch {
		case other == name:
			return d.Errf("header %s is given twice", name)
		case foldName(other) == foldName(name):
			return d.Errf("header %s and %s: many applications take these for the same; choose another name", other, name)
		}
	}
	if g.Headers == nil {
		g.Headers = make(map[string]string)
	}
	g.Headers[name] = args[1]
	return nil
}

// unmarshalStepUp reads what follows step_up.
func (g *Guard) unmarshalStepUp(d *caddyfile.Dispenser, args []string) error {
	if len(args) == 0 {
		return d.Err("step_up takes an age and factors, as in `step_up 5m passkey sms`")
	}
	if args[0] == "upstream" {
		if len(args) > 1 {
			return d.Err("step_up upstream takes nothing else: the application's challenge names factors and age")
		}
		g.UpstreamStepUp = true
		return refuseBlock(d, "step_up upstream")
	}
	age, err := caddy.ParseDuration(args[0])
	if err != nil {
		return d.Errf("step_up: %q is not an age: write it as in `step_up 5m passkey sms`", args[0])
	}
	for _, arg := range args[1:] {
		switch {
		case arg == "methods" || arg == "transaction":
			return d.Errf("step_up: write %s on a line of its own, in a block behind `step_up %s`", arg, args[0])
		case strings.Contains(arg, ","):
			return d.Errf("step_up: %q: write several factors with spaces between them, without commas", arg)
		}
	}
	rule := StepUpRule{MaxAge: caddy.Duration(age), Factors: args[1:]}
	if len(rule.Factors) == 0 {
		rule.Factors = nil
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		switch d.Val() {
		case "methods":
			methods := d.RemainingArgs()
			if len(methods) == 0 {
				return d.Err("methods takes at least one, as in `methods POST DELETE`")
			}
			rule.Methods = append(rule.Methods, methods...)
			if err := refuseBlock(d, "methods"); err != nil {
				return err
			}
		case "transaction":
			if d.NextArg() {
				return d.Err("transaction takes no arguments")
			}
			rule.Transaction = true
			if err := refuseBlock(d, "transaction"); err != nil {
				return err
			}
		default:
			return d.Errf("unknown option %q for step_up: use methods or transaction", d.Val())
		}
	}
	if err := rule.validate(); err != nil {
		return d.Err(err.Error())
	}
	g.StepUp = append(g.StepUp, rule)
	return nil
}

// parseSize reads "512KiB", "4MiB" or a number of bytes.
func parseSize(s string) (int64, bool) {
	unit := int64(1)
	if number, ok := strings.CutSuffix(s, "KiB"); ok {
		s, unit = number, 1<<10
	} else if number, ok := strings.CutSuffix(s, "MiB"); ok {
		s, unit = number, 1<<20
	}
	n, err := strconv.ParseUint(s, 10, 31)
	return int64(n) * unit, err == nil && n > 0
}

// unmarshalBypass reads what follows bypass: paths, and before them methods that apply to all of these.
func (g *Guard) unmarshalBypass(args []string) error {
	methods := ""
	if len(args) > 0 && !strings.HasPrefix(args[0], "/") && !strings.HasSuffix(args[0], ",") && isMethod(strings.ReplaceAll(args[0], ",", "")) {
		methods, args = args[0]+" ", args[1:]
	}
	if len(args) == 0 {
		return errors.New("bypass takes at least one path, as in `bypass /health` or `bypass GET,HEAD /assets/*`")
	}
	for _, path := range args {
		if looksLikeMethods(path) {
			return fmt.Errorf("bypass: %q: write methods in capitals and as one word before the paths, as in `bypass GET,HEAD /assets/*`", path)
		}
		if _, err := parseBypass(methods + path); err != nil {
			return fmt.Errorf("bypass: %w", err)
		}
		g.Bypass = append(g.Bypass, methods+path)
	}
	return nil
}

// parseRule reads what follows allow or deny.
func parseRule(d *caddyfile.Dispenser, option string, args []string) (Rule, error) {
	if len(args) == 0 {
		return Rule{}, d.Errf("%s takes a rule: group, client, scope, claim, email_domain or factor with values", option)
	}
	var rule Rule
	switch kind, values := args[0], args[1:]; {
	case kind == "group" && len(values) > 0:
		rule.Groups = values
	case kind == "email_domain" && len(values) > 0:
		rule.EmailDomains = values
	case kind == "factor" && len(values) > 0:
		rule.Factors = values
	case kind == "client" && len(values) > 0:
		rule.Clients = values
	case kind == "scope" && len(values) > 0:
		rule.Scopes = values
	case kind == "claim" && len(values) > 1:
		rule.Claim, rule.Values = values[0], values[1:]
		if slices.Contains(claimOperators, values[1]) {
			rule.Operator, rule.Values = values[1], values[2:]
		}
	case kind == "claim":
	case slices.Contains([]string{"group", "client", "scope", "email_domain", "factor"}, kind):
		return Rule{}, d.Errf("%s %s takes at least one value", option, kind)
	default:
		return Rule{}, d.Errf("%s: %q is not a rule: use group, client, scope, claim, email_domain or factor", option, kind)
	}
	if rule.Operator == "" && len(rule.Values) > 1 && slices.Contains(almostOperators, rule.Values[0]) {
		return Rule{}, d.Errf("%s claim: %q is not a comparison: use equals, contains or matches, or write `claim %s equals %s` if it is a value", option, rule.Values[0], rule.Claim, strings.Join(rule.Values, " "))
	}
	if err := refuseRuleCommas(d, option+" "+args[0], &rule); err != nil {
		return Rule{}, err
	}
	if args[0] == "claim" && len(rule.Values) == 0 {
		return Rule{}, d.Errf("%s claim takes a name and at least one value, as in `%s claim department sales`", option, option)
	}
	if err := rule.validate(func(string) bool { return true }); err != nil {
		return Rule{}, d.Errf("%s: %v", option, err)
	}
	return rule, nil
}

// refuseRuleCommas refuses commas between the values of a rule. In a part or an expression one may be meant.
func refuseRuleCommas(d *caddyfile.Dispenser, option string, rule *Rule) error {
	if len(rule.EmailDomains) > 0 {
		return refuseNoDomain(d, option, rule.EmailDomains)
	}
	names := slices.Concat(rule.Groups, rule.Factors, rule.Clients, rule.Scopes)
	if rule.Operator == "" || rule.Operator == claimEquals {
		names = append(names, rule.Values...)
	}
	return refuseCommas(d, option, names)
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Guard)(nil)
