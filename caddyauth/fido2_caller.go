package caddyauth

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/ratelimit"
	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/internal/token"
)

// fido2Caller is who calls the FIDO2 API: a session of the portal, or the bearer of an ID token.
type fido2Caller struct {
	username, subject, email string
	handle                   string           // WebAuthn user handle
	session                  *session.Session // nil for a bearer
	authTime                 time.Time        // of a bearer
}

func (c fido2Caller) fields() []zap.Field {
	via := "bearer"
	if c.session != nil {
		via = "session"
	}
	return []zap.Field{zap.String("user", c.username), zap.String("subject", c.subject), zap.String("email", c.email), zap.String("via", via)}
}

// shareCrossOrigin sets the CORS headers for listed origins, errors included, and never allows credentials. It reports whether
// another origin calls.
func (v *portalVisit) shareCrossOrigin() (cross bool, err error) {
	h := v.w.Header()
	h.Add("Vary", "Origin")
	origins := v.r.Header.Values("Origin")
	if len(origins) == 0 || len(origins) == 1 && origins[0] == v.rt.config.portalOrigin.String() {
		return false, nil
	}
	if len(origins) != 1 || !slices.Contains(v.portal.origins, origins[0]) {
		return true, fido2Failure{failure{status: http.StatusForbidden, code: "cross_origin", cause: errors.New("the origin is not listed")}, "Forbidden"}
	}
	h.Set("Access-Control-Allow-Origin", origins[0])
	h.Set("Access-Control-Allow-Methods", "POST")
	h.Set("Access-Control-Allow-Headers", "Content-Type,Authorization")
	h.Set("Access-Control-Max-Age", "86400")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	return true, nil
}

// caller authenticates. With Authorization cookies do not count, and a cross-origin call has nothing but that.
func (v *portalVisit) caller(cross bool) (fido2Caller, error) {
	if values := v.r.Header.Values("Authorization"); len(values) > 0 {
		scheme, raw, _ := strings.Cut(values[0], " ")
		if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") {
			return fido2Caller{}, v.unauthorized(messageUnauthorized, nil)
		}
		if err := v.limitSender(); err != nil { // a signature is checked next
			return fido2Caller{}, err
		}
		return v.bearer(strings.TrimSpace(raw))
	}
	if cross {
		return fido2Caller{}, v.unauthorized(messageUnauthorized, errors.New("a cross-origin call without a token"))
	}
	if err := http.NewCrossOriginProtection().Check(v.r); err != nil {
		return fido2Caller{}, fido2Failure{failure{status: http.StatusForbidden, code: "cross_origin", cause: err}, "Forbidden"}
	}
	s, err := v.signedIn()
	if errors.Is(err, errNoSession) {
		return fido2Caller{}, v.unauthorized(messageUnauthorized, err)
	}
	if err != nil {
		return fido2Caller{}, err
	}
	return fido2Caller{
		username: s.Username, subject: s.Subject, email: s.Email, session: &s,
		handle: challenge.UserHandle(s.Username, s.Subject),
	}, nil
}

func (v *portalVisit) bearer(raw string) (fido2Caller, error) {
	ctx, cancel := context.WithTimeout(v.r.Context(), poolTimeout)
	defer cancel()
	claims, err := v.rt.verifier.Verify(ctx, raw, token.ID)
	if errors.Is(err, token.ErrInvalid) {
		if _, accessErr := v.rt.verifier.Verify(ctx, raw, token.Access); accessErr == nil {
			return fido2Caller{}, v.unauthorized(messageUseIDToken, err)
		}
		return fido2Caller{}, v.unauthorized(messageUnauthorized, err)
	}
	if err != nil {
		return fido2Caller{}, err
	}
	err = v.rt.sessions.CheckBearer(claims.OriginJTI, claims.Subject, claims.AuthTime)
	if errors.Is(err, session.ErrUnavailable) {
		return fido2Caller{}, err
	}
	if err != nil {
		return fido2Caller{}, v.unauthorized(messageUnauthorized, err)
	}
	return fido2Caller{
		username: claims.Username, subject: claims.Subject, email: claims.Email, authTime: claims.AuthTime,
		handle: challenge.UserHandle(claims.Username, claims.Subject),
	}, nil
}

// limitCaller counts a call: what strangers want of the store leaves room for everybody else.
func (v *portalVisit) limitCaller(c fido2Caller) error {
	if c.subject != "" {
		return v.limited(v.signedInWait(ratelimit.Passkeys, c.subject))
	}
	if err := v.limited(v.senderWait(ratelimit.Challenges)); err != nil {
		return err
	}
	return v.limited(v.limiter().Stranger(v.rt.now(), ratelimit.Challenges, v.address()))
}

func (v *portalVisit) unauthorized(message string, cause error) error {
	v.w.Header().Set("WWW-Authenticate", "Bearer")
	return fido2Failure{failure{status: http.StatusUnauthorized, code: "invalid", cause: cause}, message}
}

// authorise asks for more than being signed in: a session needs a proof for this very act, a bearer a recent authentication.
func (v *portalVisit) authorise(c fido2Caller, code string, wanted proof) error {
	var err error
	if c.session == nil {
		err = v.freshBearer(c)
	} else {
		wanted.Session = c.session.ID
		err = v.redeemProof(code, wanted)
	}
	if err == nil {
		return nil
	}
	what := happenedPasskeyAdded
	if wanted.Purpose == proofDelete {
		what = happenedPasskeyDeleted
	}
	v.audit(what, "not_reauthenticated", c.fields()...)
	return err
}

// freshBearer refuses a bearer whose authentication is too long ago; sessions pass (RFC 9470, section 3).
func (v *portalVisit) freshBearer(c fido2Caller) error {
	if c.session != nil || v.rt.recent(c.authTime, freshSignIn) {
		return nil
	}
	v.w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_user_authentication", max_age=600`)
	return fido2Failure{failure{status: http.StatusUnauthorized, code: "reauthentication_required"}, messageAgain}
}
