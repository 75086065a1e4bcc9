package caddyauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/userpool"
)

// UserPoolProvider is what a guest module in the namespace passwordless.user_pools implements.
type UserPoolProvider interface {
	// OpenUserPool is called at the app's start or at the first request, never by `caddy validate`.
	OpenUserPool(ctx context.Context, s RealmSettings) (OpenedPool, error)
}

// CredentialStoreProvider is what a guest module in the namespace passwordless.credential_stores implements.
type CredentialStoreProvider interface {
	OpenCredentialStore(ctx context.Context, s RealmSettings) (passkey.Store, error)
}

// CredentialKeeper is implemented by a user pool module that stores passkeys itself, so that no credential_store is needed.
type CredentialKeeper interface {
	KeepsCredentials() bool
}

// SignUpEnforcer is implemented by a user pool module that can say whether the pool itself enforces the sign-up policy, so
// that a caller who goes around the portal gains nothing.
type SignUpEnforcer interface {
	EnforcesSignUp() bool
}

// Notifier tells a user by mail that a passkey was added or removed, or the phone number changed.
type Notifier interface {
	// PasskeyChanged sends the mail. event is "created" or "deleted".
	PasskeyChanged(ctx context.Context, username, event, friendlyName string) error
	// PhoneChanged sends the mail. event is "changed", of a number with these last two digits, or "removed".
	PhoneChanged(ctx context.Context, username, event, lastDigits string) error
}

// OpenedPool is a user pool ready for use.
type OpenedPool struct {
	Pool   userpool.Pool
	Issuer string // "iss" of its tokens
	// FormerIssuers are further values of "iss" that tokens of before may have: exact ones, of the same pool.
	FormerIssuers []string
	JWKSURL       string       // where its public keys are
	ClientID      string       // audience of its tokens
	HTTPClient    *http.Client // reaches JWKSURL; nil means http.DefaultTransport with a timeout

	Credentials passkey.Store // nil when the pool keeps none
	Notifier    Notifier      // nil when nobody sends mail about changes
	Admin       PoolAdmin     // nil when the pool is administered elsewhere
	Close       func() error  // nil when there is nothing to close
}

// RealmSettings is what a guest module may know of its realm.
type RealmSettings struct {
	Name             string
	Portal           *url.URL // absolute, its path ends in "/"
	Passkeys         passkey.Settings
	LinkRedirectURIs []string // where magic links may point: origin and path
	LinkLifetime     time.Duration
	MagicLinkCode    bool     // mails carry a short code beside the link
	SMSCallingCodes  []string // beginnings of the numbers that get codes; none: every number
	SMSStepUp        bool     // codes by SMS are offered for step-up
	SignUpMode       string   // "open", "domains", "invitation", "closed"
	SignUpDomains    []string
	Product          string // name shown in mails

	// SignUpWait counts a sign-up that comes from an address past the portal, by the realm's limits for mails, and returns how long it
	// has to wait; zero means go on.
	SignUpWait func(address string) time.Duration

	Logger *zap.Logger
	Now    func() time.Time
	Rand   io.Reader
}

// loadGuests loads the realm's guest modules.
func (r *Realm) loadGuests(ctx caddy.Context) error {
	if len(r.UserPoolRaw) == 0 {
		return errors.New("user_pool is missing: add `user_pool cognito <user pool ID> { … }`, or `user_pool embedded`")
	}
	module, err := ctx.LoadModule(r, "UserPoolRaw")
	if err != nil {
		return fmt.Errorf("user_pool: %w", err)
	}
	provider, ok := module.(UserPoolProvider)
	if !ok {
		return fmt.Errorf("user_pool: module %T is not a user pool", module)
	}
	r.userPool = provider
	if err := r.loadSessionStore(ctx); err != nil {
		return err
	}

	keeper, ok := provider.(CredentialKeeper)
	keeps := ok && keeper.KeepsCredentials()
	switch {
	case len(r.CredentialStoreRaw) == 0 && !keeps:
		return errors.New("credential_store is missing: say where passkeys are stored, as in `credential_store dynamodb AuthenticatorsTable`")
	case len(r.CredentialStoreRaw) == 0:
		return nil
	case keeps:
		return errors.New("credential_store: this user pool stores passkeys itself; remove the option")
	}
	module, err = ctx.LoadModule(r, "CredentialStoreRaw")
	if err != nil {
		return fmt.Errorf("credential_store: %w", err)
	}
	if r.credentials, ok = module.(CredentialStoreProvider); !ok {
		return fmt.Errorf("credential_store: module %T is not a credential store", module)
	}
	return nil
}
