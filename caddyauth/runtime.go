package caddyauth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/ratelimit"
	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/internal/token"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/templates"
	"github.com/caddy-cognito/passwordless/userpool"
)

// realm is a Realm at work. It is read-only once opened; its parts are safe for concurrent use.
type realm struct {
	name   string
	config *Realm
	portal *url.URL // its path ends in "/"
	secure bool     // the portal is https: "__Host-" cookies and HSTS

	pool        userpool.Pool
	verifier    *token.Verifier
	credentials passkey.Store
	ceremonies  *passkey.Ceremonies
	sessions    *session.Manager
	streams     *streams
	notifier    Notifier  // may be nil
	admin       PoolAdmin // may be nil
	pages       *templates.Pages

	sessionCookie, nonceCookie, browserCookie, peopleCookie session.Cookie
	sessionScope                                            string // what session cookies are sealed for; "" for their host

	limits  *ratelimit.Limiter // of what comes past the portal
	logger  *zap.Logger
	metrics metrics
	events  events
	now     func() time.Time

	bodyTimeout time.Duration // 0: the constant of this name

	pause func(context.Context, time.Duration)
	rand  io.Reader

	closers []func() error
}

// verifiers keeps JWKS caches over configuration reloads, keyed by every setting that shapes one.
var verifiers = caddy.NewUsagePool()

type sharedVerifier struct{ *token.Verifier }

func (sharedVerifier) Destruct() error { return nil }

// openRealm does what provision must not: it reads keys from storage, opens the pool and starts watching the deny list.
func openRealm(ctx caddy.Context, name string, config *Realm) (_ *realm, err error) {
	rt := &realm{
		name:    name,
		config:  config,
		portal:  config.portalURL,
		secure:  config.portalURL.Scheme == "https",
		logger:  ctx.Logger().Named(name),
		metrics: newMetrics(name),
		now:     time.Now,
		pause:   pause,
		rand:    rand.Reader,
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, rt.close())
		}
	}()
	if rt.events, err = openEvents(ctx); err != nil {
		return nil, err
	}
	if rt.pages, err = templates.New(config.pageOptions()); err != nil {
		return nil, err
	}
	if err = rt.openLimits(); err != nil {
		return nil, err
	}
	opened, err := rt.openPool(ctx)
	if err != nil {
		return nil, err
	}
	if err = rt.openCredentials(ctx); err != nil {
		return nil, err
	}
	if err = rt.openVerifier(opened); err != nil {
		return nil, err
	}
	if err = rt.openSessions(ctx); err != nil {
		return nil, err
	}
	return rt, nil
}

func (rt *realm) settings() RealmSettings {
	link := rt.portal.JoinPath("link")
	return RealmSettings{
		Name:             rt.name,
		Portal:           rt.portal,
		Passkeys:         rt.config.passkeys,
		LinkRedirectURIs: []string{link.String()},
		LinkLifetime:     rt.config.linkLifetime(),
		MagicLinkCode:    rt.config.MagicLink != nil && rt.config.MagicLink.Code,
		SMSStepUp:        rt.config.SMSStepUp,
		SMSCallingCodes:  rt.config.SMSCallingCodes,
		SignUpMode:       rt.config.SignUp.Mode,
		SignUpDomains:    rt.config.SignUp.Domains,
		Product:          rt.config.productName(),
		SignUpWait:       rt.signUpWait,
		Logger:           rt.logger,
		Now:              rt.now,
		Rand:             rt.rand,
	}
}

func (rt *realm) openPool(ctx caddy.Context) (OpenedPool, error) {
	opened, err := rt.config.userPool.OpenUserPool(ctx, rt.settings())
	if err != nil {
		return OpenedPool{}, fmt.Errorf("opening the user pool: %w", err)
	}
	if opened.Close != nil {
		rt.closers = append(rt.closers, opened.Close)
	}
	rt.pool = observedPool{opened.Pool, probe{&rt.metrics, backendPool}}
	rt.notifier, rt.credentials, rt.admin = opened.Notifier, opened.Credentials, opened.Admin
	return opened, nil
}

func (rt *realm) openCredentials(ctx caddy.Context) error {
	if rt.config.credentials != nil {
		store, err := rt.config.credentials.OpenCredentialStore(ctx, rt.settings())
		if err != nil {
			return fmt.Errorf("opening the credential store: %w", err)
		}
		rt.credentials = store
	}
	if rt.credentials == nil {
		return errors.New("the user pool brought no credential store")
	}
	rt.credentials = observedCredentials{rt.credentials, probe{&rt.metrics, backendCredentials}}
	rt.ceremonies = &passkey.Ceremonies{Settings: rt.config.passkeys, Store: rt.credentials, Now: rt.now, Rand: rt.rand}
	return nil
}

func (rt *realm) openVerifier(opened OpenedPool) error {
	key := strings.Join(append([]string{opened.Issuer, opened.JWKSURL, opened.ClientID}, opened.FormerIssuers...), "\n")
	shared, _, err := verifiers.LoadOrNew(key, func() (caddy.Destructor, error) {
		v, err := token.NewVerifier(token.Options{
			Issuer:        opened.Issuer,
			FormerIssuers: opened.FormerIssuers,
			JWKSURL:       opened.JWKSURL,
			ClientIDs:     []string{opened.ClientID},
			HTTPClient:    opened.HTTPClient,
			Now:           rt.now,
		})
		return sharedVerifier{v}, err
	})
	if err != nil {
		return err
	}
	rt.closers = append(rt.closers, func() error {
		_, err := verifiers.Delete(key)
		return err
	})
	rt.verifier = shared.(sharedVerifier).Verifier
	return nil
}

func (rt *realm) openSessions(ctx caddy.Context) error {
	storage := ctx.Storage() // keys stay here: a session store holds nothing that opens what it holds
	store, err := rt.config.sessionStore.OpenSessionStore(ctx, rt.settings())
	if err != nil {
		return fmt.Errorf("opening the session store: %w", err)
	}
	lifetime := time.Duration(rt.config.Session.Lifetime)
	store = observeStorage(session.Bounded(store), probe{&rt.metrics, backendSessions}) // what is given up is measured, too
	keys, err := session.OpenKeyRing(ctx, storage, "passwordless/"+rt.name+"/keys", session.KeyRingOptions{
		Now: rt.now, Rand: rt.rand, Keep: lifetime,
	})
	if err != nil {
		return fmt.Errorf("opening the cookie keys: %w", err)
	}
	rt.sessions = &session.Manager{
		Settings: session.Settings{
			Realm:       rt.name,
			IdleTimeout: time.Duration(rt.config.Session.IdleTimeout),
			Lifetime:    lifetime,
		},
		Keys:      keys,
		Storage:   store,
		Refresher: poolRefresher{rt},
		Now:       rt.now,
		Rand:      rt.rand,
		Logger:    ctx.Slogger().With("realm", rt.name),
		Traded:    rt.traded,
	}
	if err := rt.openStreams(); err != nil {
		return err
	}
	rt.nameCookies()

	watch, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		rt.sessions.Run(watch)
	}()
	rt.closers = append(rt.closers, func() error {
		stop()
		<-done
		return nil
	})
	return nil
}

// openStreams watches the requests under way, those of the configuration before this one included.
func (rt *realm) openStreams() error {
	key := rt.name + "\n" + rt.portal.String()
	shared, _, err := streamPools.LoadOrNew(key, func() (caddy.Destructor, error) { return new(streams), nil })
	if err != nil {
		return err
	}
	rt.streams = shared.(*streams)
	rt.sessions.Changed = func() { rt.streams.sweep(rt.sessions) }
	rt.closers = append(rt.closers, func() error {
		_, err := streamPools.Delete(key)
		return err
	})
	return nil
}

// close releases what openRealm took, last first.
func (rt *realm) close() error {
	var errs []error
	for i := len(rt.closers) - 1; i >= 0; i-- {
		errs = append(errs, rt.closers[i]())
	}
	rt.closers = nil
	return errors.Join(errs...)
}
