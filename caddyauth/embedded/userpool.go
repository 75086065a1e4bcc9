// Package embedded is the Caddy module passwordless.user_pools.embedded: a user pool that runs in process and keeps its data in
// one file. It needs no cloud account and speaks Cognito's own protocol, so what works with it works with Cognito.
//
// It is for development, tests and small installations, and a plugin of its own: a Caddy built without it contains neither the
// pool nor its triggers.
package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/mail"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-cognito/passwordless/caddyauth"
	"github.com/caddy-cognito/passwordless/internal/localpool"
	"github.com/caddy-cognito/passwordless/userpool"
)

func init() {
	caddy.RegisterModule(new(UserPool))
}

// dataFile is the name of the data file in its folder.
const dataFile = "pool.db"

// keyRotation is the default age at which signing keys are replaced.
const keyRotation = 90 * 24 * time.Hour

// unverifiedLifetime is the default of how long an account stays that nobody has signed in to.
const unverifiedLifetime = 24 * time.Hour

// rotationGrace is how long a rotated refresh token still works: the time a retry or another node may need.
const rotationGrace = 30 * time.Second

// UserPool is the embedded user pool. It stores users, passkeys, sign-in links and keys in one file, which one process can open at a
// time. A realm needs a file of its own.
type UserPool struct {
	// The data file, or the folder for a file `pool.db`: a name that ends in `.db` is a file. Relative paths start at the working
	// directory. Default: `passwordless/pool.db` in Caddy's data directory.
	Path string `json:"path,omitempty"`

	// Address on which a page shows the mails and text messages that the pool sends, as in `localhost:8025`. Whoever can open it can
	// sign in as anybody, so it must be a loopback address. Default: no page.
	Inbox string `json:"inbox,omitempty"`

	// Lets the inbox listen on an address that other machines can reach. Default: false.
	InboxPublic bool `json:"inbox_public,omitempty"`

	// Host names, beside localhost and the one in `inbox`, under which the inbox may be opened.
	InboxHosts []string `json:"inbox_hosts,omitempty"`

	// The mail server that delivers mails. Default: none; mails go to the inbox, as text messages always do.
	SMTP *SMTP `json:"smtp,omitempty"`

	// Sender of mails. Default: `no-reply@localhost`; required with `smtp`.
	From string `json:"from,omitempty"`

	// Name of the product in mails. Default: that of the realm's branding.
	Product string `json:"product,omitempty"`

	// Lifetime of ID and access tokens, from 5m to 24h. Default: 1h.
	AccessTokenLifetime caddy.Duration `json:"access_token_lifetime,omitempty"`

	// How long a refresh token works, from 1h to 10 years. Default: 30 days.
	RefreshTokenLifetime caddy.Duration `json:"refresh_token_lifetime,omitempty"`

	// Age at which the keys that sign tokens and links are replaced, at least 48h; a negative one means never. Tokens of old keys stay valid until they
	// end. Default: 90 days.
	SigningKeyRotation caddy.Duration `json:"signing_key_rotation,omitempty"`

	// How long one step of a sign-in may take, from 3m to 15m: the time to type a code. Default: 3m.
	SessionLifetime caddy.Duration `json:"session_lifetime,omitempty"`

	// After how long an account is removed that somebody made by signing up, if its address was not verified and nobody has signed in, at least 1h;
	// a negative one means never. Accounts that administrators make stay. Default: 24h.
	UnverifiedAccountLifetime caddy.Duration `json:"unverified_account_lifetime,omitempty"`

	// Whether each refresh gives out a new refresh token and voids the old one. Default: false.
	RefreshTokenRotation bool `json:"refresh_token_rotation,omitempty"`

	// Functions in the place of the pool's own triggers, by `pre_sign_up`, `define_auth_challenge`, `create_auth_challenge`,
	// `verify_auth_challenge` or `pre_token_generation`. They decide who signs in. Default: none.
	Triggers map[string]*Lambda `json:"triggers,omitempty"`

	// Version of the event that pre_token_generation gets: `V1_0` (claims of the ID token) or `V2_0` (of both, and scopes). Default: `V1_0`.
	PreTokenVersion string `json:"pre_token_version,omitempty"`

	// Address on this machine, such as `localhost:9229`, where other programs reach the pool by Cognito's protocol. Default: none.
	Protocol string `json:"protocol,omitempty"`

	// Origin that begins the issuer of tokens, as in `https://pool.example.com`; the pool's ID follows it. It is where others read the discovery
	// document and the keys, so it must lead to `protocol`. Default: `http://` and the address of `protocol`; without `protocol`, a name that only
	// this server knows.
	Issuer string `json:"issuer,omitempty"`

	// Names, without `custom:`, of further attributes that administrators may set. Default: none.
	CustomAttributes []string `json:"custom_attributes,omitempty"`

	// The same for attributes that users may set themselves too. Default: none.
	WritableCustomAttributes []string `json:"writable_custom_attributes,omitempty"`

	// Origins whose scripts sign people in themselves at that address, with the client of amazon-cognito-passwordless-auth for one. The app client
	// then has no secret, sign-in links may lead to these origins, and codes are sent by SMS to whoever names a user, a few a day, because such
	// clients show no first factor before. Default: none.
	BrowserClient []string `json:"browser_client,omitempty"`

	// The key that signs the operations of administrators at that address. Default: none; they are refused.
	AdminKey *AdminKey `json:"admin_key,omitempty"`

	logger   *slog.Logger
	inbox    caddy.NetworkAddress
	protocol caddy.NetworkAddress
	mailer   *localpool.SMTP // nil: the inbox
}

// CaddyModule returns the Caddy module information.
func (*UserPool) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "passwordless.user_pools.embedded", New: func() caddy.Module { return new(UserPool) }}
}

// Provision checks the settings. It opens neither the file nor the inbox.
func (p *UserPool) Provision(ctx caddy.Context) error {
	p.logger = ctx.Slogger()
	if p.SMTP != nil {
		caddyauth.WarnOfLiteralSecret(ctx.Logger(), "smtp: password", p.SMTP.Password)
	}
	if p.AdminKey != nil {
		caddyauth.WarnOfLiteralSecret(ctx.Logger(), "admin_key: secret", p.AdminKey.Secret)
	}
	repl := caddy.NewReplacer()
	for name, field := range map[string]*string{"path": &p.Path, "inbox": &p.Inbox, "from": &p.From, "product": &p.Product, "protocol": &p.Protocol, "issuer": &p.Issuer} {
		value, err := repl.ReplaceOrErr(*field, true, true)
		if err != nil {
			return fmt.Errorf("user_pool embedded: %s: %w", name, err)
		}
		*field = value
	}
	path, err := dataPath(p.Path)
	if err != nil {
		return fmt.Errorf("user_pool embedded: path: %w", err)
	}
	p.Path = path
	if p.From != "" {
		if _, err := mail.ParseAddress(p.From); err != nil {
			return fmt.Errorf("user_pool embedded: from: %q is not an address; write it as no-reply@example.com", p.From)
		}
	}
	if err := p.provisionLifetimes(); err != nil {
		return fmt.Errorf("user_pool embedded: %w", err)
	}
	if err := p.provisionProtocol(); err != nil {
		return fmt.Errorf("user_pool embedded: %w", err)
	}
	if err := localpool.CheckCustomAttributes(p.CustomAttributes, p.WritableCustomAttributes); err != nil {
		return fmt.Errorf("user_pool embedded: %w", err)
	}
	if err := p.provisionIssuer(); err != nil {
		return fmt.Errorf("user_pool embedded: %w", err)
	}
	if err := p.provisionBrowserClient(); err != nil {
		return fmt.Errorf("user_pool embedded: %w", err)
	}
	if err := p.provisionTriggers(); err != nil {
		return fmt.Errorf("user_pool embedded: %w", err)
	}
	if p.SMTP != nil {
		mailer, err := p.SMTP.provision(p.From)
		if err != nil {
			return fmt.Errorf("user_pool embedded: %w", err)
		}
		p.mailer = mailer
	}
	if err := p.provisionInbox(); err != nil {
		return fmt.Errorf("user_pool embedded: %w", err)
	}
	return nil
}

func (p *UserPool) provisionLifetimes() error {
	for _, l := range []struct {
		name           string
		value          caddy.Duration
		least, longest time.Duration
		span           string
	}{
		{"access_token_lifetime", p.AccessTokenLifetime, 5 * time.Minute, 24 * time.Hour, "5m to 24h"},
		{"refresh_token_lifetime", p.RefreshTokenLifetime, time.Hour, 3650 * 24 * time.Hour, "1h to 3650d"},
		{"signing_key_rotation", max(p.SigningKeyRotation, 0), 48 * time.Hour, math.MaxInt64, "48h or longer"},
		{"unverified_account_lifetime", max(p.UnverifiedAccountLifetime, 0), time.Hour, math.MaxInt64, "1h or longer"},
		{"session_lifetime", p.SessionLifetime, 3 * time.Minute, 15 * time.Minute, "3m to 15m"},
	} {
		if d := time.Duration(l.value); d != 0 && (d < l.least || d > l.longest) {
			return fmt.Errorf("%s must be %s, got %s", l.name, l.span, d)
		}
	}
	if p.RefreshTokenLifetime != 0 && p.RefreshTokenLifetime < p.AccessTokenLifetime {
		return errors.New("refresh_token_lifetime must not be shorter than access_token_lifetime")
	}
	return nil
}

// keyRotation is 0 for never.
func (p *UserPool) keyRotation() time.Duration {
	return max(time.Duration(cmp.Or(p.SigningKeyRotation, caddy.Duration(keyRotation))), 0)
}

// unverifiedLifetime is 0 for never.
func (p *UserPool) unverifiedLifetime() time.Duration {
	return max(time.Duration(cmp.Or(p.UnverifiedAccountLifetime, caddy.Duration(unverifiedLifetime))), 0)
}

// dataPath is the absolute path of the data file.
func dataPath(configured string) (string, error) {
	if configured == "" {
		return filepath.Join(caddy.AppDataDir(), "passwordless", dataFile), nil
	}
	if strings.ContainsRune(configured, 0) {
		return "", errors.New("it has a zero byte")
	}
	if filepath.Ext(configured) != ".db" {
		configured = filepath.Join(configured, dataFile)
	}
	return filepath.Abs(configured)
}

func (p *UserPool) provisionInbox() error {
	if p.Inbox == "" {
		if p.InboxPublic || len(p.InboxHosts) > 0 {
			return errors.New("inbox_public and inbox_host do nothing without inbox; write inbox localhost:8025")
		}
		if p.SMTP == nil {
			p.logger.Warn("sign-in links and codes go to an inbox that cannot be opened: add inbox localhost:8025 for development, or smtp for a mail server")
		}
		return nil
	}
	address, err := caddy.ParseNetworkAddress(p.Inbox)
	if err != nil {
		return fmt.Errorf("inbox: %w", err)
	}
	if !strings.HasPrefix(address.Network, "tcp") || address.PortRangeSize() != 1 || !strings.Contains(p.Inbox, ":") {
		return fmt.Errorf("inbox: %q is not a host with one port; write inbox localhost:8025", p.Inbox)
	}
	if !p.InboxPublic && !localpool.LoopbackAddress(address.Host) {
		return fmt.Errorf("inbox: other machines can reach %q, and whoever opens the inbox can sign in as anybody: write inbox localhost:%d, or add inbox_public if you mean it", p.Inbox, address.StartPort)
	}
	p.inbox = address
	return nil
}

// OpenUserPool opens the file, or joins a pool that is open already and puts these settings in force.
func (p *UserPool) OpenUserPool(ctx context.Context, s caddyauth.RealmSettings) (caddyauth.OpenedPool, error) {
	if p.mailer != nil {
		if err := p.SMTP.open(p.mailer); err != nil {
			return caddyauth.OpenedPool{}, err
		}
	}
	config := p.config(s)
	var err error
	if config.Triggers, err = p.openTriggers(ctx); err != nil {
		return caddyauth.OpenedPool{}, err
	}
	opened, err := open(config)
	if err != nil {
		return caddyauth.OpenedPool{}, err
	}
	pool := opened.pool()
	client, err := userpool.New(userpool.Config{
		UserPoolID: pool.UserPoolID(), ClientID: pool.ClientID(), ClientSecret: pool.ClientSecret(), Region: pool.Region(),
		Endpoint: pool.Endpoint(), Issuer: pool.Issuer(), HTTPClient: pool.Client(), Now: s.Now,
	})
	if err != nil {
		return caddyauth.OpenedPool{}, errors.Join(fmt.Errorf("user_pool embedded: %w", err), opened.close())
	}
	stopInbox, err := p.serveInbox(ctx, pool.Inbox())
	if err != nil {
		return caddyauth.OpenedPool{}, errors.Join(err, opened.close())
	}
	stopProtocol, err := p.serveProtocol(ctx, pool, s.SignUpWait)
	if err != nil {
		return caddyauth.OpenedPool{}, errors.Join(err, stopInbox(), opened.close())
	}
	return caddyauth.OpenedPool{
		Pool:          client,
		Issuer:        pool.Issuer(),
		FormerIssuers: pool.FormerIssuers(),
		JWKSURL:       client.JWKSURL(),
		ClientID:      pool.ClientID(),
		HTTPClient:    pool.Client(),
		Credentials:   pool.Credentials(),
		Notifier:      pool,
		Admin:         admin{pool},
		Close:         func() error { return errors.Join(stopProtocol(), stopInbox(), opened.close()) },
	}, nil
}

// config joins the module's settings and the realm's.
func (p *UserPool) config(s caddyauth.RealmSettings) localpool.Config {
	c := localpool.Config{
		Path:      p.Path,
		PublicURL: p.publicURL(),

		CustomAttributes:         p.CustomAttributes,
		WritableCustomAttributes: p.WritableCustomAttributes,

		Passkeys:             s.Passkeys,
		RedirectURIs:         slices.Concat(s.LinkRedirectURIs, p.BrowserClient),
		LinkLifetime:         s.LinkLifetime,
		MagicLinkCode:        s.MagicLinkCode,
		SMSStepUp:            s.SMSStepUp,
		SMSCallingCodes:      s.SMSCallingCodes,
		SMSFirstFactor:       len(p.BrowserClient) == 0,
		PublicClient:         len(p.BrowserClient) > 0,
		SignUp:               localpool.SignUpPolicy{Mode: s.SignUpMode, Domains: s.SignUpDomains},
		Product:              s.Product,
		From:                 p.From,
		AccessTokenLifetime:  time.Duration(p.AccessTokenLifetime),
		RefreshTokenLifetime: time.Duration(p.RefreshTokenLifetime),
		SessionLifetime:      time.Duration(p.SessionLifetime),
		UnverifiedLifetime:   p.unverifiedLifetime(),
		RotateRefresh:        p.RefreshTokenRotation,
		KeyRotation:          p.keyRotation(),
		PreTokenVersion:      localpool.PreTokenVersion(p.PreTokenVersion),
		Now:                  s.Now,
		Rand:                 s.Rand,
		Logger:               p.logger,
	}
	if p.mailer != nil {
		c.Mailer = p.mailer
	}
	if p.AdminKey != nil {
		c.AdminKeys = map[string]string{p.AdminKey.ID: p.AdminKey.Secret}
	}
	if p.Product != "" {
		c.Product = p.Product
	}
	if p.RefreshTokenRotation {
		c.RotationGrace = rotationGrace
	}
	if p.InboxPublic && p.inbox.Host != "" {
		c.InboxHosts = append(c.InboxHosts, p.inbox.Host)
	}
	c.InboxHosts = append(c.InboxHosts, p.InboxHosts...)
	return c
}

// DataFile implements [caddyauth.FileKeeper].
func (p *UserPool) DataFile() string { return p.Path }

// KeepsCredentials implements [caddyauth.CredentialKeeper].
func (*UserPool) KeepsCredentials() bool { return true }

// EnforcesSignUp implements [caddyauth.SignUpEnforcer].
func (*UserPool) EnforcesSignUp() bool { return true }

// Interface guards
var (
	_ caddy.Provisioner          = (*UserPool)(nil)
	_ caddyauth.UserPoolProvider = (*UserPool)(nil)
	_ caddyauth.CredentialKeeper = (*UserPool)(nil)
	_ caddyauth.FileKeeper       = (*UserPool)(nil)
	_ caddyauth.SignUpEnforcer   = (*UserPool)(nil)
)
