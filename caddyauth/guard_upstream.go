package caddyauth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/internal/token"
)

// BasicCredential is a fixed user name and password (RFC 7617).
type BasicCredential struct {
	// User name; it has no colon.
	Username string `json:"username,omitempty"`

	// Password. Use a placeholder such as {env.LEGACY_PASSWORD} to keep it out of the configuration.
	Password string `json:"password,omitempty"`
}

// authorization is the header's value, with placeholders replaced that do not depend on a request.
func (c *BasicCredential) authorization() (string, error) {
	repl := caddy.NewReplacer()
	username, err := repl.ReplaceOrErr(c.Username, true, true)
	if err != nil {
		return "", err
	}
	password, err := repl.ReplaceOrErr(c.Password, true, true)
	if err != nil {
		return "", err
	}
	switch {
	case username == "" || password == "":
		return "", errors.New("it takes a user name and a password, as in `upstream_basic legacy {env.LEGACY_PASSWORD}`")
	case strings.Contains(username, ":"):
		return "", errors.New("a user name cannot have a colon (RFC 7617)")
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(username+":"+password)), nil
}

// prepareCredentials checks what the upstream is to be given.
func (g *Guard) prepareCredentials() error {
	g.basic = ""
	for option, kind := range map[string]string{"bearer": g.Bearer, "upstream_bearer": g.UpstreamBearer} {
		if kind != "" && kind != string(token.ID) && kind != string(token.Access) {
			return fmt.Errorf("%s: %q is not a kind of token: use id or access", option, kind)
		}
	}
	switch {
	case g.UpstreamBearer != "" && g.UpstreamBasic != nil:
		return errors.New("upstream_bearer and upstream_basic exclude each other: there is one Authorization header")
	case g.Bearer != "" && g.UpstreamBearer != "" && g.Bearer != g.UpstreamBearer:
		return fmt.Errorf("upstream_bearer %s: clients bring %s tokens (bearer %s), which is all there is to pass on", g.UpstreamBearer, g.Bearer, g.Bearer)
	case g.UpstreamBasic != nil:
		WarnOfLiteralSecret(g.logger, "upstream_basic: password", g.UpstreamBasic.Password)
		value, err := g.UpstreamBasic.authorization()
		if err != nil {
			return fmt.Errorf("upstream_basic: %w", err)
		}
		g.basic = value
	}
	return nil
}

// authorize puts the upstream's credential in place of whatever the client sent.
func (g *Guard) authorize(v *visit, r *http.Request) *refusal {
	value := g.basic
	if g.UpstreamBearer != "" {
		raw, refused := v.tokenFor(r, token.Use(g.UpstreamBearer))
		if refused != nil {
			return refused
		}
		value = "Bearer " + raw
	}
	if value == "" {
		return nil
	}
	isAuthorization := func(name string) bool { return foldedMatch(name, "authorization", false) }
	for name := range r.Header {
		if isAuthorization(name) {
			delete(r.Header, name)
		}
	}
	scrubList(r.Header, "Connection", isAuthorization)
	scrubList(r.Header, "Trailer", isAuthorization)
	r.Header["Authorization"] = []string{value}
	return nil
}

// tokenFor is the person's token: of the session's record, or the one that the client brought.
func (v *visit) tokenFor(r *http.Request, use token.Use) (string, *refusal) {
	if v.bearer != "" {
		if v.bearer != use {
			return "", &refusal{status: http.StatusUnauthorized, reason: "bearer_not_accepted", detail: "this address takes no such token", client: true}
		}
		return v.token, nil
	}
	tokens, err := v.rt.sessions.Tokens(r.Context(), v.session)
	if err != nil {
		if errors.Is(err, session.ErrUnavailable) {
			v.logger.Error("the tokens of a session cannot be read", zap.Error(err))
		}
		return "", refusalOf(err)
	}
	raw := tokens.Access
	if use == token.ID {
		raw = tokens.ID
	}
	if raw == "" {
		v.logger.Error("a session has no such token", zap.String("use", string(use)))
		return "", &refusal{status: http.StatusServiceUnavailable, reason: "unavailable", detail: "there is no token for the application"}
	}
	return raw, nil
}
