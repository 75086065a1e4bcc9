package caddyauth

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/internal/token"
)

// visit is what the guards of one realm know of one request. The first guard makes it; the others find it in the request's
// variables, so that the session is opened, the headers are set and the cookies are taken off exactly once.
type visit struct {
	rt     *realm
	logger *zap.Logger

	origin string // of the application, "" when the request's host is not listed
	host   string // the part of origin that binds cookies
	shared bool   // the portal lives on this very origin
	judged judged // what the rules on this host look at

	cookie    string // session cookie as it came
	cookieErr error
	cookies   []string    // all lines of the header as they came
	nonceRead *nonceValue // see nonce

	family   *guardFamily // nil where bodies cannot be kept
	keepBody int          // bytes
	sent     bool         // the body is a form that had waited

	opened        bool
	authenticated bool
	turnedAway    bool     // a guard has answered
	watched       bool     // stream is entered
	request       string   // its digest, where a rule asks for an approval
	sought        bool     // the approval was looked for
	approval      approval // of this request; zero: none
	held          int      // bytes of the body in memory
	refused       *refusal
	session       session.Session
	bearer        token.Use // the kind of token that opened it, "" for a cookie
	token         string    // that token
	claims        token.Claims
	values        [3]string // backing of the identity headers, to save allocations
	writer        privateWriter
	stream        stream
}

// refusal is why a request was not let through. reason is for programs, detail for people; neither tells a secret.
type refusal struct {
	status         int
	reason, detail string
	demand         *demand // a step-up would let it through
	bearer         string  // a further WWW-Authenticate
	client         bool    // it presented a token, so it is no browser on its way through pages
}

// String keeps the visit out of placeholders such as {http.vars.*}.
func (v *visit) String() string { return "" }

// visit returns the request's visit and, the first time, takes off what a client may not send: identity headers and our cookies.
func (g *Guard) visit(r *http.Request, rt *realm) *visit {
	if v, ok := caddyhttp.GetVar(r.Context(), g.visitID).(*visit); ok {
		return v
	}
	v := &visit{rt: rt, logger: g.logger, cookies: cookieLines(r)}
	v.cookie, v.cookieErr = rt.sessionCookie.Find(v.cookies)
	facts := g.family.lookUp(rt, r)
	v.origin, v.host, v.shared, v.judged = facts.origin, facts.host, facts.portal, facts.judged.or(g.judges())
	v.writer.shared = v.shared
	session.StripCookies(r.Header)
	g.family.scrub(r, v.judged)
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Map(v.placeholder)
	}
	caddyhttp.SetVar(r.Context(), g.visitID, v)
	if g.EndpointsOnly || len(g.app.Realms) > 1 {
		caddyhttp.SetVar(r.Context(), strippedVar, v)
	}
	return v
}

// guardVar is the request's variable that holds the visit of a realm's guards.
func guardVar(realmName string) string { return "passwordless.guard." + realmName }

// strippedVar is the visit that took our cookies off a request which others may still ask about a session: guards of other realms, forward auth.
const strippedVar = "passwordless.guard/stripped"

// cookieLines are the request's Cookie headers as they came.
func cookieLines(r *http.Request) []string {
	if v, ok := caddyhttp.GetVar(r.Context(), strippedVar).(*visit); ok {
		return v.cookies
	}
	return r.Header["Cookie"]
}

// open opens the session once per request and says why not. It sets the cookie again when the session was refreshed or touched.
func (v *visit) open(w http.ResponseWriter, r *http.Request) *refusal {
	if v.opened {
		return v.refused
	}
	v.opened = true
	if v.refused = v.check(w, r); v.refused != nil {
		return v.refused
	}
	v.authenticated = true
	v.setIdentity(r.Header)
	return nil
}

// nonce is what the browser brought of the nonce cookie, or what it was given since. Few requests need it, so it is read when one does.
func (v *visit) nonce() *nonceValue {
	if v.nonceRead == nil {
		v.nonceRead = new(nonceValue)
		if value, err := v.rt.nonceCookie.Find(v.cookies); err == nil {
			*v.nonceRead = parseNonce(value)
		}
	}
	return v.nonceRead
}

// unlisted refuses hosts that the configuration does not name.
func (v *visit) unlisted(r *http.Request) *refusal {
	if v.origin != "" {
		return nil
	}
	if o, err := originOf(&url.URL{Scheme: "https", Host: r.Host}); err == nil && requestScheme(r) == "http" && v.rt.config.isApplication(o) {
		v.logger.Error("a request for an application came over http, but `applications` names it with https: if a proxy in front ends TLS, name its addresses in the "+
			"server's trusted_proxies, and have it set X-Forwarded-Proto", zap.String("realm", v.rt.name), zap.String("host", r.Host), zap.String("remote", r.RemoteAddr))
		return &refusal{status: http.StatusForbidden, reason: "unlisted_scheme",
			detail: "this request came over http, but the application is at " + o.String() + "; if a proxy in front ends TLS, its operator has to name it in Caddy's `trusted_proxies`"}
	}
	v.logger.Error("request for a host that is not among the realm's applications; add it to `applications`",
		zap.String("realm", v.rt.name), zap.String("host", r.Host), zap.String("scheme", requestScheme(r)))
	return &refusal{status: http.StatusForbidden, reason: "unlisted_application",
		detail: "this address is not among the `applications` of the passwordless configuration; its operator has to add it there"}
}

// check opens the session and sets its cookie again when that is due.
func (v *visit) check(w http.ResponseWriter, r *http.Request) *refusal {
	changed, refused := v.inspect(r)
	if refused != nil {
		if errors.Is(v.cookieErr, session.ErrDuplicate) {
			v.rt.forgetCookies(w, v.host)
		}
		return refused
	}
	if changed {
		v.rt.streams.touched(v.session.ID, v.session.Seen)
		v.setCookie(w)
	}
	return nil
}

// inspect opens the session, refreshed if need be, and reports whether its cookie is to be set again.
func (v *visit) inspect(r *http.Request) (changed bool, refused *refusal) {
	if refused := v.unlisted(r); refused != nil {
		return false, refused
	}
	switch {
	case errors.Is(v.cookieErr, session.ErrDuplicate):
		return false, &refusal{status: http.StatusBadRequest, reason: "duplicate_cookie", detail: "two session cookies came; clear this site's cookies and try again"}
	case v.cookieErr != nil:
		return false, &refusal{status: http.StatusUnauthorized, reason: "no_session", detail: "sign in first"}
	case isUpgrade(r) && !v.rt.upgradeOriginAllowed(r):
		return false, &refusal{status: http.StatusForbidden, reason: "foreign_origin", detail: "a WebSocket needs the Origin of this host or of a listed application"}
	}
	s, err := v.rt.sessions.Open(v.cookie, v.rt.sessionHost(v.host))
	if err != nil {
		return false, refusalOf(err)
	}
	if isMachine(s.Username) {
		v.logger.Error("refused a person whose user name begins like a machine's", zap.String("subject", s.Subject))
		return false, &refusal{status: http.StatusForbidden, reason: "reserved_username", detail: "user names that begin with client: are reserved"}
	}
	if v.rt.sessions.NeedsRefresh(s) {
		refreshed, err := v.rt.sessions.Refresh(r.Context(), s)
		if err != nil {
			return false, refusalOf(err)
		}
		changed = refreshed.Generation != s.Generation
		s = refreshed
	}
	if s.Partial {
		if s, err = v.rt.sessions.Load(r.Context(), s); err != nil {
			return false, refusalOf(err)
		}
	}
	if touched, due := v.rt.sessions.Touch(s); due {
		s, changed = touched, true
	}
	v.session = s
	return changed, nil
}

// setCookie sends the session's cookie again. A session that no longer fits keeps its old cookie.
func (v *visit) setCookie(w http.ResponseWriter) {
	value, err := v.rt.sessions.Seal(v.session, v.rt.sessionHost(v.host))
	if err != nil {
		v.logger.Error("could not seal a session", zap.Error(err))
		return
	}
	v.rt.sessionCookie.Set(w, value, v.session.Ends.Sub(v.rt.now()))
	v.writer.cookieSet = true
}

// refusalOf says what is wrong with a session cookie.
func refusalOf(err error) *refusal {
	switch {
	case errors.Is(err, session.ErrUnavailable):
		return &refusal{status: http.StatusServiceUnavailable, reason: "unavailable", detail: "sessions cannot be checked now"}
	case errors.Is(err, session.ErrRefused):
		return &refusal{status: http.StatusUnauthorized, reason: "refresh_refused", detail: "your session has ended; sign in again"}
	case errors.Is(err, session.ErrDamaged):
		return &refusal{status: http.StatusUnauthorized, reason: "damaged_session", detail: "your session cannot be read any more; sign in again"}
	case errors.Is(err, session.ErrFuture):
		return &refusal{status: http.StatusUnauthorized, reason: "clock_skew", detail: "the clocks of the servers differ; sign in again"}
	case errors.Is(err, session.ErrIdle):
		return &refusal{status: http.StatusUnauthorized, reason: "idle", detail: "you were signed out after a time without use"}
	case errors.Is(err, session.ErrExpired):
		return &refusal{status: http.StatusUnauthorized, reason: "expired", detail: "your session has ended"}
	case errors.Is(err, session.ErrDenied):
		return &refusal{status: http.StatusUnauthorized, reason: "signed_out", detail: "you were signed out"}
	default:
		return &refusal{status: http.StatusUnauthorized, reason: "invalid_session", detail: "sign in again"}
	}
}
