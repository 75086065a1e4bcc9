package caddyauth

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	httpauth "github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/internal/token"
)

func init() {
	caddy.RegisterModule(new(Bearer))
}

// Bearer lets API clients in who bring a token of the realm's user pool as `Authorization: Bearer` (RFC 6750). It answers 401 to
// all others and never redirects. Placeholders: {http.auth.user.id} (the user name), {http.auth.user.subject},
// {http.auth.user.email}, {http.auth.user.email_verified}, {http.auth.user.verified_email}, {http.auth.user.groups}, {http.auth.user.client_id}. A machine's user name is "client:" and its name. Identity headers
// of the guard, which a client might forge, and our cookies are removed. A sign-out at the portal ends the token; one made elsewhere cannot be seen
// in it before it expires.
type Bearer struct {
	// Name of the realm. Default: "default".
	Realm string `json:"realm,omitempty"`

	// Which token to ask for: "access" or "id". Default: "access".
	Use string `json:"use,omitempty"`

	BearerClients

	app    *App
	logger *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*Bearer) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.authentication.providers.passwordless", New: func() caddy.Module { return new(Bearer) }}
}

// Provision finds the realm. It opens nothing.
func (b *Bearer) Provision(ctx caddy.Context) error {
	b.logger = ctx.Logger()
	if b.Realm == "" {
		b.Realm = DefaultRealm
	}
	if b.Use == "" {
		b.Use = string(token.Access)
	}
	if b.Use != string(token.Access) && b.Use != string(token.ID) {
		return fmt.Errorf("passwordless_bearer: use: %q is not a kind of token: use access or id", b.Use)
	}
	if err := b.prepareClients(b.Use); err != nil {
		return fmt.Errorf("passwordless_bearer: %w", err)
	}
	app, err := appOf(ctx, b.Realm)
	if err != nil {
		return fmt.Errorf("passwordless_bearer: %w", err)
	}
	b.app = app
	return nil
}

// Authenticate implements [httpauth.Authenticator]. It says nothing of how answers to a good token are cached: those to requests with
// Authorization are private already (RFC 9111, section 3.5).
func (b *Bearer) Authenticate(w http.ResponseWriter, r *http.Request) (httpauth.User, bool, error) {
	if _, guarded := caddyhttp.GetVar(r.Context(), guardVar(b.Realm)).(*visit); !guarded {
		new(guardFamily).scrub(r, judged{})
		caddyhttp.SetVar(r.Context(), strippedVar, &visit{cookies: cookieLines(r)})
		session.StripCookies(r.Header)
	}
	if tooEarly(r) { // in Caddy's own handler, which knows no other answer; BearerHandler has a better one
		b.logger.Debug("refused a request", zap.Error(errTooEarly))
		b.challenge(w, "", "")
		return httpauth.User{}, false, nil
	}
	raw, ok := bearerToken(r.Header)
	if !ok {
		b.challenge(w, "", "")
		return httpauth.User{}, false, nil
	}
	rt, err := b.app.realm(b.Realm)
	if err != nil {
		w.Header().Set("Cache-Control", "no-store")
		return httpauth.User{}, false, fmt.Errorf("realm %q is not open: %w", b.Realm, err)
	}
	claims, username, err := rt.verifyBearer(r.Context(), raw, token.Use(b.Use), &b.BearerClients)
	if err != nil {
		return httpauth.User{}, false, b.refuse(w, err)
	}
	user := httpauth.User{ID: username, Metadata: map[string]string{
		"subject":   claims.Subject,
		"client_id": claims.ClientID,
		"groups":    strings.Join(claims.Groups, ","),
	}}
	if claims.Email != "" && !isMachine(username) {
		user.Metadata["email"] = claims.Email
		user.Metadata["email_verified"] = fmt.Sprint(claims.EmailVerified)
		if claims.EmailVerified {
			user.Metadata[verifiedEmail] = claims.Email
		}
	}
	return user, true, nil
}

// refuse writes the challenge to a token that does not count. Where nothing could be said about the token, it returns the error.
func (b *Bearer) refuse(w http.ResponseWriter, why error) error {
	switch {
	case errors.Is(why, token.ErrUnavailable), errors.Is(why, session.ErrUnavailable):
		w.Header().Set("Cache-Control", "no-store")
		return why
	case errors.Is(why, session.ErrDenied):
		b.challenge(w, "invalid_token", "signed out")
	default:
		b.logger.Debug("refused a bearer token", zap.Error(why))
		b.challenge(w, "invalid_token", "")
	}
	return nil
}

// challenge sets the headers of a 401 (RFC 6750, section 3).
func (b *Bearer) challenge(w http.ResponseWriter, code, description string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("WWW-Authenticate", bearerChallenge(b.Realm, code, description))
}

// UnmarshalCaddyfile sets up the provider from Caddyfile tokens; see [parseBearer] for the syntax.
func (b *Bearer) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	return unmarshalBlock(d, "passwordless_bearer", map[string]func() error{
		"realm":   func() error { return stringArgument(d, &b.Realm) },
		"clients": func() error { return b.unmarshalClients(d, d.RemainingArgs()) },
		"machine": func() error { return b.unmarshalMachine(d, d.RemainingArgs()) },
		"use":     func() error { return choiceArgument(d, &b.Use, string(token.Access), string(token.ID)) },
	})
}

// Interface guards
var (
	_ caddy.Provisioner      = (*Bearer)(nil)
	_ httpauth.Authenticator = (*Bearer)(nil)
	_ caddyfile.Unmarshaler  = (*Bearer)(nil)
)
