// Package caddyauth holds the Caddy modules: the app "passwordless" with its realms, the portal that serves the sign-in
// pages, the guard that protects upstream routes, and what they share.
//
// The app owns everything with state (user pool, key ring, sessions); handlers ask it for their realm. A realm opens at the
// app's start or at the first request, whichever comes first, for Caddy starts apps in no particular order and `caddy
// validate` must touch neither storage nor network.
package caddyauth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// DefaultRealm is the name of the realm that directives without `realm` mean.
const DefaultRealm = "default"

const appName = "passwordless"

func init() {
	caddy.RegisterModule(new(App))
}

// App holds the realms: each is one user pool with one sign-in portal and the applications behind it.
type App struct {
	// The realms by name. Handlers that name none use "default".
	Realms map[string]*Realm `json:"realms,omitempty"`

	ctx    caddy.Context
	sites  sync.Once // of checkSites
	mu     sync.RWMutex
	opened map[string]*realm
	closed bool
	late   time.Duration // how long after Cleanup requests are served that came before it; Provision sets lateRequests
	until  time.Time     // end of that
}

// lateRequests is for how long a request may be on its way to us, in handlers before ours.
const lateRequests = time.Minute

// lateLook bounds the look at the deny list for such a request.
const lateLook = 10 * time.Second

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: appName, New: func() caddy.Module { return new(App) }}
}

// Provision checks the configuration and loads the guest modules. It opens no file and touches neither storage nor network.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx = ctx
	a.opened, a.late = make(map[string]*realm), lateRequests
	if err := registerMetrics(ctx.GetMetricsRegistry()); err != nil {
		return fmt.Errorf("passwordless: %w", err)
	}
	if len(a.Realms) == 0 {
		return errors.New("passwordless: no realm is configured; add a portal, applications, user_pool and passkeys to the global option")
	}
	for name, r := range a.Realms {
		if err := checkRealmName(name); err != nil {
			return fmt.Errorf("passwordless: %w", err)
		}
		if r == nil {
			return fmt.Errorf("passwordless: realm %q is empty", name)
		}
		if err := r.provision(ctx, name); err != nil {
			return fmt.Errorf("passwordless: realm %q: %w", name, err)
		}
	}
	if err := a.checkCookieDomains(); err != nil {
		return err
	}
	if err := a.checkDataFiles(); err != nil {
		return err
	}
	return a.checkOrigins()
}

// Start opens every realm, so that a corrupt data file or an unreachable storage is told at start and not by the first
// visitor.
func (a *App) Start() error {
	for name := range a.Realms {
		if _, err := a.realm(name); err != nil {
			return fmt.Errorf("passwordless: realm %q: %w", name, err)
		}
	}
	return nil
}

// Stop has nothing to do: requests in flight may still need their realm; see Cleanup.
func (a *App) Stop() error { return nil }

// Cleanup closes the realms. Caddy calls it after a failed provision, and on a reload while the old servers still have requests: these are
// answered by what remains of a closed realm, which is everything but a watch over the deny list.
func (a *App) Cleanup() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed, a.until = true, time.Now().Add(a.late)
	var errs []error
	for _, r := range a.opened {
		errs = append(errs, r.close())
	}
	return errors.Join(errs...)
}

// errRealmClosed answers requests that outlived their configuration.
var errRealmClosed = errors.New("this configuration has been replaced")

// realm returns the named realm, opened. An error means that nobody can be let through: handlers answer 503.
func (a *App) realm(name string) (*realm, error) {
	a.mu.RLock()
	r, ok := a.opened[name]
	closed, until := a.closed, a.until
	a.mu.RUnlock()
	if ok && !closed {
		return r, nil
	}
	if ok && time.Now().Before(until) {
		ctx, cancel := context.WithTimeout(context.Background(), lateLook)
		defer cancel()
		if err := r.sessions.Poll(ctx); err != nil {
			return nil, fmt.Errorf("%w: %w", errRealmClosed, err)
		}
		return r, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, errRealmClosed
	}
	if r, ok := a.opened[name]; ok {
		return r, nil
	}
	config, ok := a.Realms[name]
	if !ok {
		return nil, fmt.Errorf("no realm is named %q", name)
	}
	r, err := openRealm(a.ctx, name, config)
	if err != nil {
		return nil, err
	}
	a.opened[name] = r
	return r, nil
}

// appOf returns the configured app. Handlers call it in Provision with the realm they mean, so that a missing app or realm
// fails `caddy validate`.
func appOf(ctx caddy.Context, realmName string) (*App, error) {
	module, err := ctx.AppIfConfigured(appName)
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil, errors.New("the global option `passwordless { … }` is missing: it names the portal, the applications, the user pool and the relying party")
	}
	if err != nil {
		return nil, err
	}
	app, ok := module.(*App)
	if !ok {
		return nil, fmt.Errorf("app %q is a %T", appName, module)
	}
	if _, ok := app.Realms[realmName]; !ok {
		names := slices.Sorted(maps.Keys(app.Realms))
		return nil, fmt.Errorf("no realm is named %q in the global option `passwordless`, but %s: choose one with `realm <name>`", realmName, strings.Join(names, ", "))
	}
	return app, nil
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
