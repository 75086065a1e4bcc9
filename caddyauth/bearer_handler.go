package caddyauth

import (
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	httpauth "github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
)

func init() {
	caddy.RegisterModule(new(BearerHandler))
}

// BearerHandler is Caddy's authentication handler with [Bearer] as its provider, and an answer that a provider cannot give: what came in TLS
// early data and may change something gets 425, so that the client sends it once more when the handshake is done.
type BearerHandler struct {
	Bearer

	authentication httpauth.Authentication
}

// CaddyModule returns the Caddy module information.
func (*BearerHandler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.passwordless_bearer", New: func() caddy.Module { return new(BearerHandler) }}
}

// Provision sets up the authentication handler.
func (b *BearerHandler) Provision(ctx caddy.Context) error {
	b.authentication.ProvidersRaw = caddy.ModuleMap{"passwordless": caddyconfig.JSON(b.Bearer, nil)}
	return b.authentication.Provision(ctx)
}

var errTooEarly = errors.New("a request in TLS early data may change something: the client has to send it once more when the handshake is done")

// ServeHTTP implements [caddyhttp.MiddlewareHandler].
func (b *BearerHandler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if tooEarly(r) {
		w.Header().Set("Cache-Control", "no-store")
		return caddyhttp.Error(http.StatusTooEarly, errTooEarly)
	}
	return b.authentication.ServeHTTP(w, r, next)
}

// parseBearer sets up the handler. Syntax:
//
//	passwordless_bearer [<matcher>] {
//		realm <name>
//		use   access|id
//		clients <client id...>
//		machine <client id> [<name>]
//	}
func parseBearer(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	b := new(BearerHandler)
	if err := b.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	return b, nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*BearerHandler)(nil)
	_ caddyhttp.MiddlewareHandler = (*BearerHandler)(nil)
	_ caddyfile.Unmarshaler       = (*BearerHandler)(nil)
)
