package caddyauth

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/session"
)

func init() {
	caddy.RegisterModule(new(Guard))
}

// Guard lets only people through who are signed in and whom its rules allow. Browsers are sent to the portal and come back to the
// very address they asked for; scripts and API clients get 401. The upstream learns who it is from the headers
// X-Passwordless-User, X-Passwordless-Email (verified addresses only) and X-Passwordless-Groups (comma-separated), which no
// client can forge; values are ASCII, other bytes, `%`, and commas inside a group name percent-encoded. Our own cookies are
// taken off. Placeholders: {http.auth.user.id} (the user name), {http.auth.user.subject}, {http.auth.user.email},
// {http.auth.user.email_verified}, {http.auth.user.verified_email}, {http.auth.user.email_local_part@<domain>},
// {http.auth.user.groups} and {http.auth.user.claims.*}.
//
// Guards are cumulative: where several match a request, each must allow it. The session is opened once.
//
// On the application's host the guard itself serves three addresses below the portal's path: /auth/handoff, /auth/assets/* and
// /auth/sign-out, which leads to the portal's sign-out page.
//
// On a host where a guard of the realm has a path rule (`bypass`, or a matcher that looks at the path), requests whose path two servers
// could read differently are answered 400, and headers by which some upstreams replace the path, such as X-Original-URL, are removed. Where a
// rule looks at the method, those are removed that replace it, such as X-HTTP-Method-Override. Where requests are approved one by one, both kinds
// are removed. X-Forwarded-Prefix stays if it comes from one
// of the server's trusted_proxies.
type Guard struct {
	// Name of the realm. Default: "default".
	Realm string `json:"realm,omitempty"`

	// If given, one of these rules must match. Default: everyone who is signed in.
	Allow []Rule `json:"allow,omitempty"`

	// None of these rules may match; deny goes before allow. Default: none.
	Deny []Rule `json:"deny,omitempty"`

	// Factors that must have passed not long ago; all of the rules that cover a request must be met. Default: none.
	StepUp []StepUpRule `json:"step_up,omitempty"`

	// Lets the upstream ask for a step-up, too, by answering 401 with the challenge of RFC 9470 (`WWW-Authenticate: Bearer
	// error="insufficient_user_authentication"`, with acr_values and max_age if it likes). Default: its answers pass as they are.
	UpstreamStepUp bool `json:"upstream_step_up,omitempty"`

	// The largest form, in bytes, that is kept while its sender steps up; at most 16 MiB. A larger one has to be filled in again.
	// Negative: none is kept. Default: 1 MiB.
	KeepBody int64 `json:"keep_body,omitempty"`

	// Also lets clients in that bring no session cookie but a token of the realm's user pool as `Authorization: Bearer`: "id" or "access".
	// E-mail addresses are in ID tokens only. The token does not travel upstream. Default: sessions only.
	Bearer string `json:"bearer,omitempty"`

	BearerClients

	// Paths that this guard leaves open to everyone: "/health" for that path alone, "/assets/*" for everything below, and with methods
	// before it, as in "GET,HEAD /assets/*", for these alone. Compared with the decoded path after rewrites; case counts. Identity headers
	// are removed and not set there. Default: none.
	Bypass []string `json:"bypass,omitempty"`

	// Further headers for the upstream: header name to claim name. "verified_email" is the address only if it is verified;
	// "email_local_part@example.com" the part before the "@" of a verified address of that domain, in lower case, and only if it
	// consists of letters, digits, ".", "_", "+" and "-". Every spelling a client might send is removed on all routes that a
	// guard of this realm protects. Default: none.
	Headers map[string]string `json:"headers,omitempty"`

	// Gives the upstream the person's token as `Authorization: Bearer`, in place of any such header of the client: "id" or "access". For
	// clients that came with a token it is that one. Default: none, and a session's client keeps its own header.
	UpstreamBearer string `json:"upstream_bearer,omitempty"`

	// Gives the upstream this credential as `Authorization: Basic`, in place of any such header of the client. Default: none.
	UpstreamBasic *BasicCredential `json:"upstream_basic,omitempty"`

	// Accepts paths with encoded separators, backslashes, dot segments, `//` or `;` in spite of path rules. Only for an upstream
	// that reads them as Caddy does. Default: false.
	AllowAmbiguousPaths bool `json:"allow_ambiguous_paths,omitempty"`

	// Says that this guard's route has a matcher that looks at the path, so that path rules apply on its hosts. The Caddyfile sets it.
	// Matchers and paths of routes around the guard are found without it. Default: false.
	PathRule bool `json:"path_rule,omitempty"`

	// Asks for no session: it serves the guard's own addresses, and of what no other guard sees it refuses paths that an upstream might take
	// for guarded ones and takes our cookies and forged identity headers off. The Caddyfile adds such a guard beside one with a matcher.
	// Default: false.
	EndpointsOnly bool `json:"endpoints_only,omitempty"`

	app     *App
	http    *caddyhttp.App // that this guard is provisioned for
	family  *guardFamily
	bypass  []bypass
	remote  bool // another proxy asks, and has the bodies
	headers []claimHeader
	stepUps []stepUp
	basic   string
	methods bool // a rule looks at the method
	address bool // requests are approved one by one, each for its address
	visitID string
	logger  *zap.Logger
}

type claimHeader struct{ name, claim string }

// CaddyModule returns the Caddy module information.
func (*Guard) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.passwordless_guard", New: func() caddy.Module { return new(Guard) }}
}

// Provision finds the realm and checks the rules. It opens nothing.
func (g *Guard) Provision(ctx caddy.Context) error {
	g.logger, g.http = ctx.Logger(), httpApp(ctx)
	app, err := appOf(ctx, g.realmName())
	if err != nil {
		return fmt.Errorf("passwordless_guard: %w", err)
	}
	if err := g.bind(app, app.Realms[g.realmName()]); err != nil {
		return fmt.Errorf("passwordless_guard: %w", err)
	}
	app.checkSites(g.http)
	return nil
}

// bind checks the guard against its realm and joins the realm's other guards.
func (g *Guard) bind(app *App, config *Realm) error {
	known := config.keepsClaim
	for _, rules := range [][]Rule{g.Allow, g.Deny} {
		for i := range rules {
			if err := rules[i].validate(known); err != nil {
				return err
			}
		}
	}
	g.bypass, g.headers, g.stepUps, g.methods, g.address = nil, nil, nil, false, false
	for _, s := range g.Bypass {
		b, err := parseBypass(s)
		if err != nil {
			return fmt.Errorf("bypass: %w", err)
		}
		g.bypass = append(g.bypass, b)
		g.methods = g.methods || len(b.methods) > 0
	}
	for name, claim := range g.Headers {
		if !validHeaderName(name) {
			return fmt.Errorf("header: %q cannot carry a claim; choose a name of your own, as in X-Department", name)
		}
		if !known(claim) {
			return fmt.Errorf("header: %w", unknownClaim(claim))
		}
		g.headers = append(g.headers, claimHeader{http.CanonicalHeaderKey(name), claim})
	}
	if err := g.prepareStepUps(); err != nil {
		return err
	}
	if err := g.checkFactors(config); err != nil {
		return err
	}
	if g.KeepBody > maxKeepBody {
		return fmt.Errorf("keep_body: %d bytes are more than %d", g.KeepBody, maxKeepBody)
	}
	if err := g.prepareCredentials(); err != nil {
		return err
	}
	if err := g.prepareClients(g.Bearer); err != nil {
		return err
	}
	if g.remote && g.UpstreamStepUp {
		return errors.New("step_up upstream: the upstream's answers do not come this way")
	}
	if g.EndpointsOnly && (g.UpstreamStepUp || len(g.Bearer)+len(g.UpstreamBearer)+len(g.basic)+len(g.StepUp)+len(g.Allow)+len(g.Deny)+len(g.Bypass)+len(g.Headers) > 0) {
		return errors.New("endpoints_only guards nothing, so it takes no rules")
	}
	family, _, err := guardFamilies.LoadOrNew(familyKey{app, g.realmName()}, func() (caddy.Destructor, error) { return new(guardFamily), nil })
	if err != nil {
		return err
	}
	g.app, g.family, g.visitID = app, family.(*guardFamily), guardVar(g.realmName())
	g.family.join(g, g.http)
	return nil
}

// prepareStepUps checks the rules. Those for transactions come last: no approval is used up for what another rule refuses.
func (g *Guard) prepareStepUps() error {
	for _, rule := range g.StepUp {
		if err := rule.validate(); err != nil {
			return err
		}
		prepared := stepUp{rule.demand(), rule.Methods}
		if rule.Transaction {
			g.stepUps = append(g.stepUps, prepared)
		} else {
			g.stepUps = slices.Insert(g.stepUps, 0, prepared)
		}
		// An approved request must not become one of another method or path behind us either.
		g.methods, g.address = g.methods || len(rule.Methods) > 0 || rule.Transaction, g.address || rule.Transaction
	}
	return nil
}

// Cleanup leaves the realm's guards.
func (g *Guard) Cleanup() error {
	if g.family == nil {
		return nil // Provision failed before
	}
	_, err := guardFamilies.Delete(familyKey{g.app, g.realmName()})
	return err
}

func (g *Guard) realmName() string {
	if g.Realm == "" {
		return DefaultRealm
	}
	return g.Realm
}

// ServeHTTP lets the request through, or answers it.
func (g *Guard) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	rt, err := g.app.realm(g.realmName())
	if err != nil {
		g.family.scrub(r, g.family.judgedAt(r).or(g.judges())) // the site's own error routes may lead to the upstream
		session.StripCookies(r.Header)
		w.Header().Set("Retry-After", "5")
		w.Header().Set("Cache-Control", "no-store")
		return caddyhttp.Error(http.StatusServiceUnavailable, fmt.Errorf("realm %q is not open: %w", g.realmName(), err))
	}
	for _, asked := range [...]*http.Request{rt.asAsked(r), r} {
		if below, ok := rt.guardPath(asked); ok && g.serveEndpoint(w, asked, rt, below) {
			return nil
		}
	}
	if rt.isPortalPath(r) {
		g.family.scrub(r, g.family.judgedAt(r).or(g.judges()))
		return next.ServeHTTP(w, r)
	}
	v := g.visit(r, rt)
	if v.shared && isServiceWorkerScript(r) && rt.config.coversPortal(r.URL) {
		return v.refuse(w, r, refusal{status: http.StatusForbidden, reason: "service_worker", detail: "a service worker here could control the sign-in pages"})
	}
	if v.judged.paths || g.judges().paths {
		if reason := ambiguousPath(r.URL); reason != "" && !g.AllowAmbiguousPaths {
			return v.refuse(w, r, refusal{status: http.StatusBadRequest, reason: "ambiguous_path", detail: reason})
		}
	}
	if g.EndpointsOnly {
		if v.shared {
			return v.pass(w, r, next) // which keeps service workers off the portal
		}
		return next.ServeHTTP(w, r)
	}
	preflight := !g.remote && isPreflight(r)
	if preflight || g.methods {
		stripMethodOverrides(r.Header)
	}
	if preflight {
		return v.passPreflight(w, r, next)
	}
	for i := range g.bypass {
		if g.bypass[i].matches(r) {
			return v.pass(w, r, next)
		}
	}
	return g.admit(v, w, r, next)
}

// admit lets a request through that the guard's rules allow, with what they give the upstream, or answers it.
func (g *Guard) admit(v *visit, w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if tooEarly(r) {
		return v.refuse(w, r, refusedEarly)
	}
	if refused := g.identify(v, w, r); refused != nil {
		return v.refuse(w, r, *refused)
	}
	if !permitted(g.Allow, g.Deny, &v.session) {
		return v.refuse(w, r, refusal{status: http.StatusForbidden, reason: "forbidden", detail: "your account may not use this page", bearer: v.scopeChallenge()})
	}
	defer v.release(g.family)
	if refused := g.stepUpRefusal(v, w, r); refused != nil {
		g.mayKeep(v)
		return v.refuse(w, r, *refused)
	}
	if namesForm(r) {
		if answered, err := v.sendForm(w, r); answered || err != nil {
			return err
		}
	}
	if refused := g.authorize(v, r); refused != nil {
		return v.refuse(w, r, *refused)
	}
	for _, h := range g.headers {
		if values := claimValues(&v.session, h.claim); len(values) == 1 {
			r.Header[h.name] = []string{headerValue(values[0])}
		} else if len(values) > 1 {
			r.Header[h.name] = []string{headerList(values)}
		}
	}
	if g.UpstreamStepUp {
		if err := g.awaitDemand(v, w, r); err != nil {
			return caddyhttp.Error(http.StatusBadRequest, fmt.Errorf("reading a form: %w", err))
		}
	}
	return v.pass(w, r, next)
}

// mayKeep says how large a form this guard lets a visit keep.
func (g *Guard) mayKeep(v *visit) {
	if g.remote || g.KeepBody < 0 {
		return
	}
	v.family, v.keepBody = g.family, int(g.KeepBody)
	if v.keepBody == 0 {
		v.keepBody = defaultKeepBody
	}
}

// stripMethodOverrides removes headers by which an upstream would read a request as one of another method: a preflight, which passes
// without identity, or one that a rule has judged by its method.
func stripMethodOverrides(h http.Header) {
	for name := range h {
		if isMethodOverride(name) {
			delete(h, name)
		}
	}
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Guard)(nil)
	_ caddy.CleanerUpper          = (*Guard)(nil)
	_ caddyhttp.MiddlewareHandler = (*Guard)(nil)
)
