package caddyauth

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/internal/token"
)

// claimAuthMethods is the claim of our pretoken trigger that says which factors brought the token: names, separated by spaces.
const claimAuthMethods = "auth_methods"

// identify finds out once per request who it is from: by the session cookie, or, when none came, by a token of the kind that this
// guard accepts. A guard never lets anybody in by a token that only another guard accepts.
func (g *Guard) identify(v *visit, w http.ResponseWriter, r *http.Request) *refusal {
	use := token.Use(g.Bearer)
	switch {
	case v.opened && v.authenticated && v.bearer != "" && !g.acceptsToken(v):
		return g.challenged(&refusal{status: http.StatusUnauthorized, reason: "bearer_not_accepted", detail: "this address takes no such token", client: true})
	case !v.opened && use != "" && errors.Is(v.cookieErr, http.ErrNoCookie):
		if raw, ok := bearerToken(r.Header); ok {
			return g.challenged(v.openBearer(r, raw, use, &g.BearerClients))
		}
	}
	return g.challenged(v.open(w, r))
}

// acceptsToken reports whether this guard accepts the token by which another guard let the client in.
func (g *Guard) acceptsToken(v *visit) bool {
	if v.bearer != token.Use(g.Bearer) {
		return false
	}
	username, err := g.caller(v.rt.verifier, v.claims)
	return err == nil && username == v.session.Username
}

// challenged adds to a 401 that a token will do as well.
func (g *Guard) challenged(why *refusal) *refusal {
	if why == nil || g.Bearer == "" || why.status != http.StatusUnauthorized {
		return why
	}
	with := *why
	with.bearer = bearerChallenge(g.realmName(), "", "")
	if why.client {
		with.bearer = bearerChallenge(g.realmName(), "invalid_token", why.detail)
	}
	return &with
}

// openBearer lets a client in by its token. The token itself goes no further: what the upstream gets is the guard's to say.
func (v *visit) openBearer(r *http.Request, raw string, use token.Use, clients *BearerClients) *refusal {
	v.opened, v.bearer = true, use
	if v.refused = v.unlisted(r); v.refused != nil {
		return v.refused
	}
	claims, username, err := v.rt.verifyBearer(r.Context(), raw, use, clients)
	switch {
	case errors.Is(err, token.ErrUnavailable), errors.Is(err, session.ErrUnavailable):
		v.logger.Error("a bearer token cannot be checked", zap.Error(err))
		v.refused = &refusal{status: http.StatusServiceUnavailable, reason: "unavailable", detail: "tokens cannot be checked now", client: true}
	case errors.Is(err, session.ErrDenied):
		v.refused = &refusal{status: http.StatusUnauthorized, reason: "signed_out", detail: "signed out", client: true}
	case err != nil:
		v.logger.Debug("refused a bearer token", zap.Error(err))
		v.refused = &refusal{status: http.StatusUnauthorized, reason: "invalid_token", detail: "the token is not valid here", client: true}
	}
	if v.refused != nil {
		return v.refused
	}
	delete(r.Header, "Authorization")
	v.session = v.rt.bearerSession(claims, username)
	v.token, v.claims = raw, claims
	v.authenticated = true
	v.stream.lapsed = func() bool {
		return !v.rt.now().Before(claims.Expires) || v.rt.sessions.CheckBearer(claims.OriginJTI, claims.Subject, claims.AuthTime) != nil
	}
	v.setIdentity(r.Header)
	return nil
}

// verifyBearer checks a client's token, and, each time, that nobody signed it out. The user name is that of
// [BearerClients.caller]. Errors are those of [token.Verifier.Verify] and [session.Manager.CheckBearer].
func (rt *realm) verifyBearer(ctx context.Context, raw string, use token.Use, clients *BearerClients) (c token.Claims, username string, err error) {
	claims, err := rt.verifier.VerifyCached(ctx, raw, use, clients.all...)
	if err != nil {
		return token.Claims{}, "", err
	}
	if username, err = clients.caller(rt.verifier, claims); err != nil {
		return token.Claims{}, "", err
	}
	if err := rt.sessions.CheckBearer(claims.OriginJTI, claims.Subject, claims.AuthTime); err != nil {
		return token.Claims{}, "", err
	}
	return claims, username, nil
}

// bearerSession is what a token says, in the form that rules and headers know. It has no ID, for it is no session of ours; its factors
// are those that our pretoken trigger vouches for, as old as the sign-in.
func (rt *realm) bearerSession(c token.Claims, username string) session.Session {
	s := session.Session{
		Subject: c.Subject, Username: username, Groups: c.Groups,
		AuthTime: c.AuthTime, Started: c.AuthTime, Ends: c.Expires, AccessExpires: c.Expires,
	}
	if !isMachine(username) { // a machine has no address that could be taken for a person's
		s.Email, s.EmailVerified = c.Email, c.EmailVerified
	}
	if scope, ok := c.All["scope"].(string); ok {
		s.Scopes = strings.Fields(scope)
	}
	for _, name := range rt.config.Session.Claims {
		if value, ok := c.All[name]; ok {
			if s.Claims == nil {
				s.Claims = make(map[string]any)
			}
			s.Claims[name] = value
		}
	}
	if methods, ok := c.All[claimAuthMethods].(string); ok && !c.AuthTime.IsZero() {
		for name := range strings.FieldsSeq(methods) {
			if validFactor(name) != nil {
				continue
			}
			s.Factors = s.Factors.With(session.Factor(name), c.AuthTime)
		}
	}
	return s
}
