package caddyauth

import (
	"encoding/json"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-cognito/passwordless/internal/session"
)

func init() {
	caddy.RegisterModule(new(CaddySessionStore))
}

// SessionStorage is where a realm keeps its sessions: certmagic.Storage satisfies it. Values come sealed. Load of a missing key
// returns an error that is fs.ErrNotExist.
type SessionStorage = session.Storage

// SessionStoreProvider is what a guest module in the namespace passwordless.session_stores implements.
type SessionStoreProvider interface {
	// OpenSessionStore is called at the app's start or at the first request, never by `caddy validate`.
	OpenSessionStore(ctx caddy.Context, s RealmSettings) (SessionStorage, error)
}

// CaddySessionStore keeps sessions in Caddy's own storage, sealed, below passwordless/<realm>/sessions. A fleet that shares its storage
// for certificates shares sign-ins too.
type CaddySessionStore struct{}

// CaddyModule returns the Caddy module information.
func (*CaddySessionStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "passwordless.session_stores.storage", New: func() caddy.Module { return new(CaddySessionStore) }}
}

// OpenSessionStore implements [SessionStoreProvider].
func (*CaddySessionStore) OpenSessionStore(ctx caddy.Context, _ RealmSettings) (SessionStorage, error) {
	return session.Leased(ctx.Storage()), nil
}

// UnmarshalCaddyfile sets up the module from Caddyfile tokens. Syntax:
//
//	session_store storage
func (*CaddySessionStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the module's name
	if d.NextArg() || d.NextBlock(0) {
		return d.Err("session_store storage takes no options: it is the storage that the global option `storage` chooses")
	}
	return nil
}

func (r *Realm) loadSessionStore(ctx caddy.Context) error {
	if len(r.SessionStoreRaw) == 0 {
		r.SessionStoreRaw = json.RawMessage(`{"store":"storage"}`)
	}
	module, err := ctx.LoadModule(r, "SessionStoreRaw")
	if err != nil {
		return fmt.Errorf("session_store: %w", err)
	}
	provider, ok := module.(SessionStoreProvider)
	if !ok {
		return fmt.Errorf("session_store: module %T is not a session store", module)
	}
	r.sessionStore = provider
	return nil
}

// Interface guards
var (
	_ SessionStoreProvider  = (*CaddySessionStore)(nil)
	_ caddyfile.Unmarshaler = (*CaddySessionStore)(nil)
)
