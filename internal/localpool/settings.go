package localpool

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/mail"
	"path/filepath"
	"time"

	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/triggers/presignup"
)

// The longest lifetimes of what is signed, and the shortest of the keys: old ones stay for as long as what they signed.
const (
	longestAccessToken = 24 * time.Hour
	longestLink        = time.Hour
	shortestRotation   = 48 * time.Hour
)

// Config describes a pool. Path is required; every other zero value has a default.
type Config struct {
	// Path of the data file, absolute. Folders that are missing are created with mode 0700, the file with 0600.
	Path string

	// Region, UserPoolID, ClientID and ClientSecret of the pool and its one app client. Empty: made at first start and kept in the
	// file (region "local").
	Region, UserPoolID, ClientID, ClientSecret string

	// Names say what people are called and sign in with. Default: those that the pool was made with; at first an e-mail address.
	Names Names

	// CustomAttributes are the names, without "custom:", of further attributes that administrators may set. Values are text. Default: none.
	CustomAttributes []string
	// WritableCustomAttributes are those that users may set themselves too. Default: none.
	WritableCustomAttributes []string

	// PublicClient is an app client without a secret, for scripts in browsers. Default: false.
	PublicClient bool
	// PublicURL is where others reach the pool's protocol, without a slash at its end; it begins the issuer of tokens. Default: a name
	// that only [Pool.Client] knows.
	PublicURL string

	// Passkeys are the relying parties. With none, passkeys are off.
	Passkeys passkey.Settings
	// ExposeCredentialIDs lists the IDs of a user's passkeys, or made-up ones, to whoever names the user: for authenticators
	// that cannot discover them. Default: false.
	ExposeCredentialIDs bool
	// RedirectURIs are where magic links may point: origin and path prefixes. With none, magic links are off.
	RedirectURIs []string
	// LinkLifetime of a magic link. Default: 15 minutes.
	LinkLifetime time.Duration
	// MagicLinkCode puts a short code beside the link into mails. Default: false.
	MagicLinkCode bool
	// SMSStepUp offers step-up by a code sent to the user's verified phone. Default: false.
	SMSStepUp bool
	// SMSCallingCodes are the beginnings of the numbers that get codes for a step-up, such as "+49". Default: every number.
	SMSCallingCodes []string
	// SMSFirstFactor sends a code only to whoever shows an access token of the same user, as the portal does (client metadata "jwt").
	// Default: false; the name suffices for up to 10 messages a day, and Verify alone asks for the token.
	SMSFirstFactor bool
	// UnverifiedLifetime is after how long an account is removed that somebody made by SignUp, if no address or number of it was verified and nobody
	// has signed in to it; at least an hour. Accounts that administrators made stay. Default: 0, never.
	UnverifiedLifetime time.Duration
	// SignUp says who may sign up. Default: everybody.
	SignUp SignUpPolicy

	// Product is the name in mails. Default: "Passwordless".
	Product string
	// From is the sender of mails. Default: "no-reply@localhost".
	From string
	// Mailer and Texter deliver messages. Default: the pool's inbox.
	Mailer Mailer
	Texter Texter

	// InboxHosts are the host names, beside localhost, 127.0.0.1 and [::1], under which the inbox may be opened.
	InboxHosts []string

	// AccessTokenLifetime of ID and access tokens, 5 minutes to a day as in Cognito. Default: 1 hour.
	AccessTokenLifetime time.Duration
	// RefreshTokenLifetime, an hour to ten years, and longer than AccessTokenLifetime. Default: 30 days.
	RefreshTokenLifetime time.Duration
	// SessionLifetime of a sign-in's Session string, 3 to 15 minutes. Default: 3 minutes.
	SessionLifetime time.Duration
	// KeyRotation is the age at which the keys of tokens and links are replaced; at least 2 days. Default: 0, only by [Pool.RotateKeys].
	KeyRotation time.Duration
	// RotateRefresh gives out a new refresh token at each refresh and voids the one that was used. Default: false.
	RotateRefresh bool
	// RotationGrace is how long a rotated refresh token still works, for retries; at most 60 seconds. Default: 0, not at all.
	RotationGrace time.Duration

	// AdminKeys sign the operations of administrators (Signature Version 4): access key ID → secret access key. With none, those operations are
	// refused.
	AdminKeys map[string]string

	// PreTokenVersion of the event that PreTokenGeneration gets. Default: PreTokenV1.
	PreTokenVersion PreTokenVersion

	// Triggers replaces single triggers. Default: those of this module, in process.
	Triggers Triggers

	Now    func() time.Time // nil: time.Now
	Rand   io.Reader        // nil: crypto/rand.Reader
	Logger *slog.Logger     // nil: no logs
}

// SignUpPolicy says who may sign up.
type SignUpPolicy struct {
	Mode    string   // "open" (default), "domains", "invitation" (AdminCreateUser only) or "closed"
	Domains []string // of mail addresses, for "domains"
}

// withDefaults fills in what was left out and refuses what cannot work.
func (c Config) withDefaults() (Config, error) {
	if c.Path == "" || !filepath.IsAbs(c.Path) {
		return c, fmt.Errorf("the path of the data file must be absolute, got %q", c.Path)
	}
	setDefault(&c.LinkLifetime, 15*time.Minute)
	setDefault(&c.AccessTokenLifetime, time.Hour)
	setDefault(&c.RefreshTokenLifetime, 30*24*time.Hour)
	setDefault(&c.SessionLifetime, 3*time.Minute)
	setDefault(&c.Product, "Passwordless")
	setDefault(&c.PublicURL, endpoint)
	setDefault(&c.From, "no-reply@localhost")
	setDefault(&c.SignUp.Mode, string(presignup.Open))
	setDefault(&c.PreTokenVersion, PreTokenV1)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	for _, r := range []struct {
		name           string
		value, lo, top time.Duration
	}{
		{"access token lifetime", c.AccessTokenLifetime, 5 * time.Minute, longestAccessToken},
		{"refresh token lifetime", c.RefreshTokenLifetime, time.Hour, 3650 * 24 * time.Hour},
		{"session lifetime", c.SessionLifetime, 3 * time.Minute, 15 * time.Minute},
		{"magic link lifetime", c.LinkLifetime, time.Minute, longestLink},
		{"refresh token rotation grace", c.RotationGrace, 0, time.Minute},
	} {
		if r.value < r.lo || r.value > r.top {
			return c, fmt.Errorf("the %s must be %s to %s, got %s", r.name, r.lo, r.top, r.value)
		}
	}
	if c.KeyRotation != 0 && c.KeyRotation < shortestRotation {
		return c, fmt.Errorf("signing keys must stay for at least %s before they are rotated, got %s", shortestRotation, c.KeyRotation)
	}
	if c.UnverifiedLifetime != 0 && c.UnverifiedLifetime < longestLink {
		return c, fmt.Errorf("accounts must stay unverified for at least %s, as long as a link may work, got %s", longestLink, c.UnverifiedLifetime)
	}
	if c.RefreshTokenLifetime < c.AccessTokenLifetime {
		return c, errors.New("the refresh token lifetime must not be shorter than the access token lifetime")
	}
	if c.PreTokenVersion != PreTokenV1 && c.PreTokenVersion != PreTokenV2 {
		return c, fmt.Errorf("the event version of PreTokenGeneration is %s or %s, got %q", PreTokenV1, PreTokenV2, c.PreTokenVersion)
	}
	for id, secret := range c.AdminKeys {
		if err := CheckAdminKey(id, secret); err != nil {
			return c, err
		}
	}
	if err := CheckCustomAttributes(c.CustomAttributes, c.WritableCustomAttributes); err != nil {
		return c, err
	}
	if _, err := c.Names.withDefaults(); err != nil {
		return c, err
	}
	if _, err := mail.ParseAddress(c.From); err != nil {
		return c, fmt.Errorf("%q is not a sender address; write no-reply@example.com", c.From)
	}
	if len(c.Passkeys.RelyingParties) == 0 && len(c.RedirectURIs) == 0 {
		return c, errors.New("neither a relying party for passkeys nor a redirect URI for magic links is configured: nobody could sign in")
	}
	if len(c.Passkeys.RelyingParties) > 0 {
		if err := c.Passkeys.Validate(); err != nil {
			return c, err
		}
	}
	return c, nil
}

// AddRelyingParty lets passkeys of a domain be used on origins.
func (c *Config) AddRelyingParty(id string, origins []string) {
	c.Passkeys.RelyingParties = append(c.Passkeys.RelyingParties, passkey.RelyingParty{ID: id, Name: id, Origins: origins})
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
