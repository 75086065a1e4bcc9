package caddyauth

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/ratelimit"
)

func init() {
	caddy.RegisterModule(new(Portal))
}

// Portal serves the sign-in pages and the FIDO2 API of a realm, below the path of its `portal` URL and on that host only. All other
// requests pass. Put it on a host of its own that serves no application: a script there could act as whoever is signed in.
type Portal struct {
	// Name of the realm. Default: "default".
	Realm string `json:"realm,omitempty"`

	// Origins of other front ends whose scripts may call the FIDO2 API with `Authorization: Bearer <ID token>`, such as
	// "https://app.example.com". Cookies never count there. Default: none.
	FIDO2Origins []string `json:"fido2_origins,omitempty"`

	app     *App
	origins []string
	limits  *ratelimit.Limiter
	logger  *zap.Logger
	hint    sync.Once

	untrusted sync.Once // says that trusted_proxies is missing

	handoffs handoffQuota
}

// CaddyModule returns the Caddy module information.
func (*Portal) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.passwordless_portal", New: func() caddy.Module { return new(Portal) }}
}

// Provision finds the realm. It opens nothing.
func (p *Portal) Provision(ctx caddy.Context) error {
	p.logger = ctx.Logger()
	app, err := appOf(ctx, p.realmName())
	if err != nil {
		return fmt.Errorf("passwordless_portal: %w", err)
	}
	if err := p.bind(app); err != nil {
		return err
	}
	app.checkSites(httpApp(ctx))
	return nil
}

// bind checks the options and joins the realm's limits.
func (p *Portal) bind(app *App) error {
	p.origins = nil
	for _, s := range p.FIDO2Origins {
		o, err := parseOrigin(s)
		if err == nil && o.wildcard {
			err = fmt.Errorf("%q: list each origin", s)
		}
		if err != nil {
			return fmt.Errorf("passwordless_portal: fido2_origins: %w", err)
		}
		p.origins = append(p.origins, o.String())
	}
	limits, err := joinLimits(p.realmName(), app.Realms[p.realmName()].limits)
	if err != nil {
		return fmt.Errorf("passwordless_portal: %w", err)
	}
	p.app, p.limits = app, limits
	return nil
}

// Cleanup leaves the realm's limits.
func (p *Portal) Cleanup() error {
	if p.limits == nil {
		return nil // Provision failed before
	}
	return leaveLimits(p.realmName())
}

func (p *Portal) realmName() string {
	if p.Realm == "" {
		return DefaultRealm
	}
	return p.Realm
}

// ServeHTTP answers what is below the portal's URL and hands everything else on.
func (p *Portal) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	config := p.app.Realms[p.realmName()]
	on := config.onPortal(r)
	if !on && strings.HasPrefix(r.URL.Path, config.portalURL.Path) && r.Host == config.portalURL.Host {
		p.hint.Do(func() {
			p.logger.Warn("a request for the portal's host came over another scheme than its URL has; behind a proxy that ends TLS, set trusted_proxies",
				zap.String("scheme", requestScheme(r)), zap.String("portal", config.portalURL.String()))
		})
		return unlessAnswered(w, r, next, func() error {
			return plainAnswer(w, http.StatusForbidden, "this request came over "+requestScheme(r)+", but the sign-in pages are at "+config.portalURL.String()+
				"; if a proxy in front ends TLS, its operator has to name it in Caddy's `trusted_proxies`")
		})
	}
	if !on {
		return next.ServeHTTP(w, r)
	}
	if isServiceWorkerScript(r) && (!config.SharedHost || config.coversPortal(r.URL)) {
		return plainAnswer(w, http.StatusForbidden, "a service worker here could control the sign-in pages")
	}
	below, ok := strings.CutPrefix(r.URL.Path, config.portalURL.Path)
	if !ok {
		if r.URL.Path+"/" == config.portalURL.Path && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			w.Header().Set("Location", config.portalURL.Path)
			return plainAnswer(w, http.StatusFound, "see "+config.portalURL.Path)
		}
		if came, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && strings.HasPrefix(came.URL.Path, config.portalURL.Path) {
			p.hint.Do(func() {
				p.logger.Warn("the portal is not reached, for its path was rewritten before: use handle instead of handle_path, and no rewrite",
					zap.String("portal", config.portalURL.String()))
			})
		}
		if r.URL.Path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead) && !config.SharedHost {
			return unlessAnswered(w, r, next, func() error {
				w.Header().Set("Location", config.portalURL.Path)
				return plainAnswer(w, http.StatusFound, "see "+config.portalURL.Path)
			})
		}
		return next.ServeHTTP(w, r)
	}
	if reason := ambiguousPath(r.URL); reason != "" {
		return plainAnswer(w, http.StatusBadRequest, reason)
	}
	if tooEarly(r) {
		return plainAnswer(w, refusedEarly.status, refusedEarly.detail)
	}
	rt, err := p.app.realm(p.realmName())
	if err != nil {
		w.Header().Set("Retry-After", fmt.Sprint(retryAfter))
		w.Header().Set("Cache-Control", "no-store")
		return caddyhttp.Error(http.StatusServiceUnavailable, fmt.Errorf("realm %q is not open: %w", p.realmName(), err))
	}
	v := &portalVisit{portal: p, rt: rt, w: w, r: r}
	v.limitBody() // also of what is refused before its body is read
	v.commonHeaders()
	return v.serve(below)
}

// route is one address of the portal by method; nil methods answer 405.
type route struct {
	get, post func(*portalVisit) error
	script    bool // talks JSON to the pages' scripts
}

// portalRoutes are the addresses below the portal's path, but for the assets and the FIDO2 API.
var portalRoutes = map[string]route{
	"":                        {get: (*portalVisit).getSignIn},
	"sign-in":                 {get: (*portalVisit).getSignIn, post: (*portalVisit).postSignIn},
	"people/forget":           {post: (*portalVisit).postForget, script: true},
	"passkey/options":         {post: (*portalVisit).postPasskeyOptions, script: true},
	"passkey/sign-in":         {post: (*portalVisit).postPasskeySignIn, script: true},
	"check-mail":              {get: (*portalVisit).getCheckMail},
	"check-mail/resend":       {post: (*portalVisit).postResend},
	"check-mail/code":         {post: (*portalVisit).postMailCode, script: true},
	"check-mail/status":       {get: (*portalVisit).getMailStatus, script: true},
	"step-up":                 {get: (*portalVisit).getStepUp},
	"step-up/link":            {post: (*portalVisit).postStepUpLink},
	"step-up/passkey/options": {post: (*portalVisit).postStepUpPasskeyOptions, script: true},
	"step-up/passkey":         {post: (*portalVisit).postStepUpPasskey, script: true},
	"step-up/sms/send":        {post: (*portalVisit).postSendCode, script: true},
	"step-up/sms":             {post: (*portalVisit).postStepUpCode, script: true},
	"link":                    {get: (*portalVisit).getLink, post: (*portalVisit).postLink},
	"account":                 {get: (*portalVisit).getAccount},
	"phone":                   {post: (*portalVisit).postPhone, script: true},
	"phone/resend":            {post: (*portalVisit).postPhoneCode, script: true},
	"phone/verify":            {post: (*portalVisit).postPhoneVerify, script: true},
	"phone/remove":            {post: (*portalVisit).postPhoneRemove, script: true},
	"sessions/end":            {post: (*portalVisit).postEndSession},
	"sessions/end-all":        {post: (*portalVisit).postEndAll},
	"sign-out":                {get: (*portalVisit).getSignOut, post: (*portalVisit).postSignOut},
	"signed-out":              {get: (*portalVisit).getSignedOut},
	"reauthenticate/options":  {post: (*portalVisit).postReauthenticateOptions, script: true},
	"reauthenticate":          {post: (*portalVisit).postReauthenticate, script: true},
}

// serve finds the route and turns its error into an answer.
func (v *portalVisit) serve(below string) error {
	if api, ok := strings.CutPrefix(below, "fido2/"); ok {
		return v.serveFIDO2(api)
	}
	if strings.HasPrefix(below, "assets/") {
		v.w.Header().Del("Cache-Control")
		http.StripPrefix(v.rt.portal.Path+"assets", v.rt.pages.Assets()).ServeHTTP(v.w, v.r)
		return nil
	}
	found, ok := portalRoutes[below]
	if !ok {
		return v.fail(failure{status: http.StatusNotFound, code: "not_found"})
	}
	v.script = found.script
	var handle func(*portalVisit) error
	switch v.r.Method {
	case http.MethodGet, http.MethodHead:
		handle = found.get
	case http.MethodPost:
		handle = found.post
	}
	if handle == nil {
		v.w.Header().Set("Allow", found.allowed())
		return v.fail(failure{status: http.StatusMethodNotAllowed, code: "invalid"})
	}
	if v.r.Method == http.MethodPost {
		if err := http.NewCrossOriginProtection().Check(v.r); err != nil {
			v.audit(happenedCrossOrigin, "refused", zap.String("path", v.r.URL.Path))
			return v.fail(failure{status: http.StatusForbidden, code: "cross_origin", cause: err})
		}
	}
	return v.traced(below, handle)
}

// traced runs a route's handler in a span of its own and turns its error into an answer.
func (v *portalVisit) traced(name string, handle func(*portalVisit) error) error {
	ctx, span := startSpan(v.r.Context(), "passwordless.portal "+name, trace.SpanKindInternal)
	defer span.End()
	v.r = v.r.WithContext(ctx)
	err := handle(v)
	if err == nil {
		return nil
	}
	f := failureOf(err)
	span.SetAttributes(attribute.String("passwordless.failure", f.code))
	if f.status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, f.code)
	}
	return v.fail(f)
}

func (r route) allowed() string {
	var methods []string
	if r.get != nil {
		methods = append(methods, http.MethodGet, http.MethodHead)
	}
	if r.post != nil {
		methods = append(methods, http.MethodPost)
	}
	return strings.Join(methods, ", ")
}

// portalPolicy is the Content-Security-Policy of the portal's pages. No form leads away from the portal: see [portalVisit.goOn].
const portalPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// errNoSession says that the request needs somebody who is signed in.
var errNoSession = errors.New("nobody is signed in")

// Interface guards
var (
	_ caddy.Provisioner           = (*Portal)(nil)
	_ caddy.CleanerUpper          = (*Portal)(nil)
	_ caddyhttp.MiddlewareHandler = (*Portal)(nil)
)
