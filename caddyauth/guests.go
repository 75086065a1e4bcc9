package caddyauth

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"time"

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

// Notifier tells a user by mail that a passkey was added or removed.
type Notifier interface {
	// PasskeyChanged sends the mail. event is "created" or "deleted".
	PasskeyChanged(ctx context.Context, username, event, friendlyName string) error
}

// OpenedPool is a user pool ready for use.
type OpenedPool struct {
	Pool       userpool.Pool
	Issuer     string       // "iss" of its tokens
	JWKSURL    string       // where its public keys are
	ClientID   string       // audience of its tokens
	HTTPClient *http.Client // reaches JWKSURL; nil means http.DefaultTransport with a timeout

	Credentials passkey.Store // nil when the pool keeps none
	Notifier    Notifier      // nil when nobody sends mail about passkeys
	Close       func() error  // nil when there is nothing to close
}

// RealmSettings is what a guest module may know of its realm.
type RealmSettings struct {
	Name             string
	Portal           *url.URL // absolute, its path ends in "/"
	Passkeys         passkey.Settings
	LinkRedirectURIs []string // where magic links may point: origin and path
	LinkLifetime     time.Duration
	MagicLinkCode    bool   // mails carry a short code beside the link
	SMSStepUp        bool   // codes by SMS are offered for step-up
	SignUpMode       string // "open", "domains", "invitation", "closed"
	SignUpDomains    []string
	Product          string // name shown in mails
	Logger           *zap.Logger
	Now              func() time.Time
	Rand             io.Reader
}
