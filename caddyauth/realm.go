package caddyauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/ratelimit"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/templates"
)

// Sign-up modes.
const (
	SignUpOpen    = "open"    // anyone with an e-mail address
	SignUpDomains = "domains" // addresses of the listed domains
	SignUpClosed  = "closed"  // nobody; users are made by the operator
	// SignUpInvitation is closed too, but the user pool lets administrators create users (AdminCreateUser).
	SignUpInvitation = "invitation"
)

// Defaults of a realm.
const (
	DefaultIdleTimeout  = 8 * time.Hour
	DefaultLifetime     = 24 * time.Hour
	DefaultLinkLifetime = 15 * time.Minute
)

// maxRealmName bounds the name of a realm, in bytes.
const maxRealmName = 64

// Realm is one user pool, its sign-in portal and the applications behind it.
type Realm struct {
	// Where the sign-in pages live, such as "https://auth.example.com/auth/". The path is "/auth/" when it is left out. Put the
	// portal on a host that serves no application. Required.
	Portal string `json:"portal,omitempty"`

	// Origins of the applications, such as "https://legacy.example.com" or, for all subdomains, "https://*.tools.example.com". People
	// are sent back to these and to no other place. At least one is required.
	Applications []string `json:"applications,omitempty"`

	// Allows an application on the portal's own origin. A script in that application can then act on the account page as the
	// person who is signed in. Default: false.
	SharedHost bool `json:"shared_host,omitempty"`

	// The user pool: `cognito`, or `embedded` where that plugin is built in. Required.
	UserPoolRaw json.RawMessage `json:"user_pool,omitempty" caddy:"namespace=passwordless.user_pools inline_key=provider"`

	// Where passkeys are stored. Required unless the user pool stores them itself.
	CredentialStoreRaw json.RawMessage `json:"credential_store,omitempty" caddy:"namespace=passwordless.credential_stores inline_key=store"`

	// Where sessions are stored: `storage`, which is Caddy's own, or `dynamodb`. Default: `storage`.
	SessionStoreRaw json.RawMessage `json:"session_store,omitempty" caddy:"namespace=passwordless.session_stores inline_key=store"`

	// Passkey settings. At least one relying party is required.
	Passkeys *Passkeys `json:"passkeys,omitempty"`

	// Sign-in by a link sent by e-mail. Default: off.
	MagicLink *MagicLink `json:"magic_link,omitempty"`

	// Step-up by a code sent by SMS, to a phone number that the person has added on the account page and verified. Default: off.
	SMSStepUp bool `json:"sms_step_up,omitempty"`

	// Beginnings of the phone numbers that may be added and get codes, such as "+49". Default: every number.
	SMSCallingCodes []string `json:"sms_calling_codes,omitempty"`

	// Who may sign up. Default: nobody.
	SignUp *SignUp `json:"sign_up,omitempty"`

	// How many people the sign-in page of one browser offers by their address, because they signed in there before; 0 to 5. They are kept
	// in a sealed cookie of that browser alone, for 90 days, and each can be forgotten. Default: 3.
	RememberedUsers *int `json:"remembered_users,omitempty"`

	// How long people stay signed in.
	Session *Session `json:"session,omitempty"`

	// How much the portal does for strangers, accounts and all together before it makes them wait.
	Limits *Limits `json:"limits,omitempty"`

	// Name and looks of the pages.
	Branding *Branding `json:"branding,omitempty"`

	// Directory with page templates that replace the built-in ones of the same file name. Default: none.
	Templates string `json:"templates,omitempty"`

	userPool     UserPoolProvider
	credentials  CredentialStoreProvider
	sessionStore SessionStoreProvider
	portalURL    *url.URL
	portalOrigin origin
	applications []origin
	passkeys     passkey.Settings
	limits       ratelimit.Settings
}

// MagicLink configures sign-in by e-mailed link.
type MagicLink struct {
	// How long a link works, from 1m to 1h, for user pools that we run ourselves (with Cognito the trigger decides). Default: 15m.
	Lifetime caddy.Duration `json:"lifetime,omitempty"`

	// Lets people type a short code from the mail where they asked for it, instead of opening the link there. It signs in who asked,
	// so people can be talked into telling it to somebody else, which a link prevents. The triggers have to mail codes (with Cognito
	// the variable MAGIC_LINK_CODE_ENABLED). Default: false.
	Code bool `json:"code,omitempty"`
}

// SignUp says who may create an account.
type SignUp struct {
	// "open", "domains", "invitation" (only administrators create users, by AdminCreateUser) or "closed". Default: "closed".
	Mode string `json:"mode,omitempty"`

	// E-mail domains for the mode "domains", such as "example.com". Subdomains are not included.
	Domains []string `json:"domains,omitempty"`
}

// Session says how long people stay signed in.
type Session struct {
	// A session ends after this long without a request. Default: 8h.
	IdleTimeout caddy.Duration `json:"idle_timeout,omitempty"`

	// A session ends this long after sign-in, however busy it is. Default: 24h.
	Lifetime caddy.Duration `json:"lifetime,omitempty"`

	// ID-token claims to keep beside user name, e-mail and groups, for rules and headers. Default: none.
	Claims []string `json:"claims,omitempty"`

	// Domain all of whose hosts share one session cookie, such as "example.com"; portal and applications have to be on it. Every one of its
	// hosts, guarded or not, gets the cookie and can put another session in its place: only for a domain whose hosts are all your own.
	// Default: a cookie for each host.
	CookieDomain string `json:"cookie_domain,omitempty"`
}

// Branding is the look of the pages.
type Branding struct {
	// Name of the product or organisation. Default: the relying party's name.
	Name string `json:"name,omitempty"`

	// Path of a logo on the portal's own origin. Default: none.
	Logo string `json:"logo,omitempty"`

	// Accent colour as "#rrggbb". Default: a blue.
	Accent string `json:"accent,omitempty"`

	// CSS to append to the stylesheet. Default: none.
	CSS string `json:"css,omitempty"`
}

// checkRealmName accepts letters, digits, ".", "_" and "-": the name is part of storage paths, where "../" would lead elsewhere, and of
// metrics and challenges.
func checkRealmName(name string) error {
	other := func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._-", r))
	}
	if strings.Trim(name, ".") == "" || len(name) > maxRealmName || strings.ContainsFunc(name, other) {
		return fmt.Errorf("%q cannot be the name of a realm: use up to %d letters, digits, dots, hyphens and underscores", name, maxRealmName)
	}
	return nil
}

// provision checks the realm and loads its guests. Errors name the option, for JSON has no lines.
func (r *Realm) provision(ctx caddy.Context, name string) error {
	if err := r.replacePlaceholders(); err != nil {
		return err
	}
	if err := r.parseOrigins(); err != nil {
		return err
	}
	if err := r.parsePasskeys(); err != nil {
		return err
	}
	if err := r.parseSession(); err != nil {
		return err
	}
	if err := r.parseLimits(); err != nil {
		return err
	}
	if err := r.loadGuests(ctx); err != nil {
		return err
	}
	if err := r.checkSignUp(); err != nil {
		return err
	}
	if _, err := templates.New(r.pageOptions()); err != nil {
		if r.Templates != "" {
			return fmt.Errorf("branding, or templates %s: %w", r.Templates, err)
		}
		return fmt.Errorf("branding: %w", err)
	}
	if r.SharedHost {
		ctx.Logger().Named(name).Warn("shared_host: an application on the portal's origin can act on the account page as whoever is signed in; give the portal a host of its own")
	}
	return nil
}

func (r *Realm) replacePlaceholders() error {
	repl := caddy.NewReplacer()
	fields := []*string{&r.Portal, &r.Templates}
	for i := range r.Applications {
		fields = append(fields, &r.Applications[i])
	}
	if r.Limits != nil {
		for i := range r.Limits.TrustedNetworks {
			fields = append(fields, &r.Limits.TrustedNetworks[i])
		}
	}
	if r.Passkeys != nil {
		for i := range r.Passkeys.TrustAnchors {
			fields = append(fields, &r.Passkeys.TrustAnchors[i])
		}
	}
	for _, field := range fields {
		value, err := repl.ReplaceOrErr(*field, true, true)
		if err != nil {
			return err
		}
		*field = value
	}
	return nil
}

func (r *Realm) parseOrigins() error {
	if r.Portal == "" {
		return errors.New("portal is missing: add `portal https://auth.example.com/auth/`")
	}
	var err error
	if r.portalURL, r.portalOrigin, err = parsePortal(r.Portal); err != nil {
		return err
	}
	if len(r.Applications) == 0 {
		return errors.New("applications is missing: list the origins behind the guard, as in `applications https://legacy.example.com`")
	}
	r.applications = nil
	for _, s := range r.Applications {
		o, err := parseOrigin(s)
		if err != nil {
			return fmt.Errorf("applications: %w", err)
		}
		if o.covers(r.portalOrigin) && !o.wildcard && !r.SharedHost {
			return fmt.Errorf("applications: %s is the portal's own origin; give the portal a host of its own, or accept the risk with `shared_host`", s)
		}
		if o.scheme != r.portalOrigin.scheme {
			return fmt.Errorf("applications: %s and the portal %s must use the same scheme", s, r.portalOrigin)
		}
		r.applications = append(r.applications, o)
	}
	return nil
}

// parsePortal reads the portal's URL.
func parsePortal(s string) (*url.URL, origin, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, origin{}, fmt.Errorf("portal: %q is not the URL of a folder: write it as https://auth.example.com/auth/", s)
	}
	o, err := originOf(u)
	if err != nil {
		return nil, origin{}, fmt.Errorf("portal: %w", err)
	}
	if o.wildcard {
		return nil, origin{}, fmt.Errorf("portal: %q must name one host", s)
	}
	path := u.EscapedPath()
	if path == "" || path == "/" {
		path = "/auth/"
	}
	if !strings.HasSuffix(path, "/") || strings.ContainsAny(path, "%\\;") || strings.Contains(path, "//") || strings.Contains(path, "/.") {
		return nil, origin{}, fmt.Errorf("portal: the path %q must end in a slash and be plain, as in /auth/", path)
	}
	portal, err := url.Parse(o.String() + path)
	return portal, o, err
}

func (r *Realm) parseSession() error {
	if err := challenge.CheckCallingCodes(r.SMSCallingCodes); err != nil {
		return fmt.Errorf("sms_step_up: %w", err)
	}
	if r.Session == nil {
		r.Session = new(Session)
	}
	s := r.Session
	if s.IdleTimeout < 0 || s.Lifetime < 0 {
		return errors.New("session: idle_timeout and lifetime must be positive, as in 8h")
	}
	if s.Lifetime == 0 {
		s.Lifetime = caddy.Duration(max(DefaultLifetime, time.Duration(s.IdleTimeout)))
	}
	if s.IdleTimeout == 0 {
		s.IdleTimeout = caddy.Duration(min(DefaultIdleTimeout, time.Duration(s.Lifetime)))
	}
	if s.IdleTimeout > s.Lifetime {
		return fmt.Errorf("session: idle_timeout (%s) is longer than lifetime (%s), so it would never apply", time.Duration(s.IdleTimeout), time.Duration(s.Lifetime))
	}
	if time.Duration(s.IdleTimeout) < time.Minute {
		return errors.New("session: idle_timeout must be at least 1m")
	}
	if err := r.checkCookieDomain(); err != nil {
		return fmt.Errorf("session: cookie_domain: %w", err)
	}
	if r.RememberedUsers != nil && (*r.RememberedUsers < 0 || *r.RememberedUsers > maxRememberedUsers) {
		return fmt.Errorf("remembered_users: %d is not between 0 and %d", *r.RememberedUsers, maxRememberedUsers)
	}
	if lifetime := r.linkLifetime(); lifetime < time.Minute || lifetime > time.Hour {
		return fmt.Errorf("magic_link: a lifetime of %s is not between 1m and 1h", lifetime)
	}
	return nil
}

func (r *Realm) checkSignUp() error {
	if r.SignUp == nil {
		r.SignUp = &SignUp{Mode: SignUpClosed}
	}
	switch r.SignUp.Mode {
	case SignUpOpen, SignUpInvitation, SignUpClosed, "":
		if len(r.SignUp.Domains) > 0 {
			return fmt.Errorf("sign_up %s takes no domains; write `sign_up domains %s`", r.SignUp.Mode, strings.Join(r.SignUp.Domains, " "))
		}
	case SignUpDomains:
		if len(r.SignUp.Domains) == 0 {
			return errors.New("sign_up domains needs at least one domain, as in `sign_up domains example.com`")
		}
	default:
		return fmt.Errorf("sign_up: %q is not a mode: use open, domains, invitation or closed", r.SignUp.Mode)
	}
	if r.SignUp.Mode == "" {
		r.SignUp.Mode = SignUpClosed
	}
	if (r.SignUp.Mode == SignUpOpen || r.SignUp.Mode == SignUpDomains) && r.MagicLink == nil {
		return fmt.Errorf("sign_up %s needs `magic_link`: a new user proves the address by the link", r.SignUp.Mode)
	}
	if enforcer, ok := r.userPool.(SignUpEnforcer); ok && r.SignUp.Mode != SignUpOpen && !enforcer.EnforcesSignUp() {
		return fmt.Errorf("sign_up %s cannot be enforced on a public app client, which lets anyone call SignUp directly: add client_secret, or attach our PreSignUp trigger and say pre_sign_up_enforced", r.SignUp.Mode)
	}
	return nil
}

// isApplication reports whether the origin is a listed application's. A wildcard never covers the portal's own host.
func (r *Realm) isApplication(o origin) bool {
	for _, app := range r.applications {
		if app.covers(o) && (!app.wildcard || !r.portalOrigin.covers(o)) {
			return true
		}
	}
	return false
}

func (r *Realm) productName() string {
	if r.Branding != nil && r.Branding.Name != "" {
		return r.Branding.Name
	}
	return r.passkeys.RelyingParties[0].Name
}

func (r *Realm) pageOptions() templates.Options {
	o := templates.Options{Base: r.portalURL.Path, Branding: templates.Branding{Name: r.productName()}}
	if b := r.Branding; b != nil {
		o.Branding.LogoURL, o.Branding.Accent, o.Branding.CSS = b.Logo, b.Accent, b.CSS
	}
	if r.Templates != "" {
		o.Directory = os.DirFS(r.Templates)
	}
	return o
}

func (r *Realm) linkLifetime() time.Duration {
	if r.MagicLink == nil || r.MagicLink.Lifetime == 0 {
		return DefaultLinkLifetime
	}
	return time.Duration(r.MagicLink.Lifetime)
}
