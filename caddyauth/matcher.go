package caddyauth

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

func init() {
	caddy.RegisterModule(new(Matcher))
}

// Matcher matches requests of people who are signed in and, where it has rules, whom one of these describes. It chooses between
// routes and protects none: the guard does that. It changes nothing about the request, matches nothing that a guard of the realm would not
// know as signed in, and while sessions cannot be checked the request fails, whether or not the matcher is negated.
type Matcher struct {
	// Name of the realm. Default: "default".
	Realm string `json:"realm,omitempty"`

	// One of these must match. Default: everyone who is signed in.
	Allow []Rule `json:"allow,omitempty"`

	app    *App
	logger *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*Matcher) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.matchers.passwordless", New: func() caddy.Module { return new(Matcher) }}
}

// Provision finds the realm and checks the rules. It opens nothing.
func (m *Matcher) Provision(ctx caddy.Context) error {
	m.logger = ctx.Logger()
	app, err := appOf(ctx, m.realmName())
	if err == nil {
		err = m.bind(app, app.Realms[m.realmName()])
	}
	if err != nil {
		return fmt.Errorf("matcher passwordless: %w", err)
	}
	return nil
}

func (m *Matcher) bind(app *App, config *Realm) error {
	for i := range m.Allow {
		if err := m.Allow[i].validate(config.keepsClaim); err != nil {
			return err
		}
	}
	m.app = app
	return nil
}

func (m *Matcher) realmName() string {
	if m.Realm == "" {
		return DefaultRealm
	}
	return m.Realm
}

// MatchWithError implements [caddyhttp.RequestMatcherWithError].
func (m *Matcher) MatchWithError(r *http.Request) (bool, error) {
	rt, err := m.app.realm(m.realmName())
	if err != nil {
		return false, caddyhttp.Error(http.StatusServiceUnavailable, fmt.Errorf("realm %q is not open: %w", m.realmName(), err))
	}
	v := m.visit(r, rt)
	if !v.opened {
		v.opened = true
		_, v.refused = v.inspect(r)
		v.authenticated = v.refused == nil
	}
	if v.refused != nil && v.refused.status == http.StatusServiceUnavailable {
		return false, caddyhttp.Error(http.StatusServiceUnavailable, errors.New("sessions cannot be checked now"))
	}
	return v.authenticated && permitted(m.Allow, nil, &v.session), nil
}

// visit is what a guard already knows of the request, or a look of our own that leaves no trace but the session.
func (m *Matcher) visit(r *http.Request, rt *realm) *visit {
	if v, ok := caddyhttp.GetVar(r.Context(), guardVar(m.realmName())).(*visit); ok {
		if v.opened {
			return v
		}
		look := &visit{rt: rt, logger: m.logger, cookie: v.cookie, cookieErr: v.cookieErr, origin: v.origin, host: v.host, shared: v.shared}
		return look
	}
	id := "passwordless.matcher." + m.realmName()
	if v, ok := caddyhttp.GetVar(r.Context(), id).(*visit); ok {
		return v
	}
	v := &visit{rt: rt, logger: m.logger}
	v.cookie, v.cookieErr = rt.sessionCookie.Find(cookieLines(r))
	v.origin, v.host, v.shared = rt.cookieHost(r)
	caddyhttp.SetVar(r.Context(), id, v)
	return v
}

// UnmarshalCaddyfile sets up the matcher from Caddyfile tokens. Syntax:
//
//	passwordless {
//		realm        <name>
//		group        <group...>
//		client       <name...>
//		scope        <scope...>
//		claim        <name> [equals|contains|matches] <value...>
//		email_domain <domain...>
//		factor       <factor...>
//	}
//
// The block may be left out; all but realm may be repeated, and one of them has to match.
func (m *Matcher) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	for d.Next() { // several of one name: any rule of any block
		if d.NextArg() {
			return d.Errf("the matcher passwordless takes a block, not the argument %q", d.Val())
		}
		for nesting := d.Nesting(); d.NextBlock(nesting); {
			option, args := d.Val(), d.RemainingArgs()
			if option == "realm" {
				if len(args) != 1 || args[0] == "" || m.Realm != "" {
					return d.Err("realm takes one name, once")
				}
				m.Realm = args[0]
				continue
			}
			if option == "{" {
				return d.Err("a rule of the matcher takes no block")
			}
			rule, err := parseRule(d, "the matcher", append([]string{option}, args...))
			if err != nil {
				return err
			}
			m.Allow = append(m.Allow, rule)
		}
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner                 = (*Matcher)(nil)
	_ caddyhttp.RequestMatcherWithError = (*Matcher)(nil)
	_ caddyfile.Unmarshaler             = (*Matcher)(nil)
)
