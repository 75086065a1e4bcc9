package createlambda

import (
	"crypto/rand"
	"log/slog"
	"time"

	"github.com/caddy-cognito/passwordless/triggers/aws/account"
	"github.com/caddy-cognito/passwordless/triggers/create"
	"github.com/caddy-cognito/passwordless/triggers/lambda/environment"
	"github.com/caddy-cognito/passwordless/triggers/lambda/pooltoken"
	"github.com/caddy-cognito/passwordless/triggers/lambda/product"
)

// The most that numbers of the environment may be.
const (
	mostOutstanding = 3 // the table has room for that many links of a user
	mostMessages    = 1000
)

// New makes the handler. Everything that is wrong with the environment is collected in env; the error is of another kind. The handler needs
// its secret before the first event: see [Secret.Into].
func New(env *environment.Reader, logger *slog.Logger, o Options) (*create.Handler, *Secret, error) {
	h := &create.Handler{Logger: logger}
	a, err := account.New(func(name string) string { return env.Text(name, "") })
	if err != nil {
		return nil, nil, err
	}
	parts := &parts{env: env, account: a}
	if env.Flag("MAGIC_LINK_ENABLED") {
		h.MagicLink = magicLink(env, parts, o)
	}
	if env.Flag("FIDO2_ENABLED") {
		h.Passkeys = passkeys(env, parts, o)
	}
	if env.Flag("SMS_OTP_STEP_UP_ENABLED") {
		h.SMS = sms(env, parts, o)
	}
	secret := secretOf(env, parts, h)
	if env.Err() == nil {
		checked := *h
		checked.Secret = make([]byte, secretLength)
		env.Check("the settings of sign-in methods", checked.Validate())
	}
	return h, secret, nil
}

func magicLink(env *environment.Reader, p *parts, o Options) *create.MagicLink {
	m := &create.MagicLink{
		Mailer: o.Mailer, Content: o.MailContent, Salt: p.salt(), Product: product.Name(env),
		AllowedRedirects: env.List("ALLOWED_REDIRECTS"),
		Lifetime:         env.Seconds("SECONDS_UNTIL_EXPIRY", 15*time.Minute),
		Between:          env.Seconds("MIN_SECONDS_BETWEEN", time.Minute),
		Outstanding:      env.Number("MAGIC_LINKS_OUTSTANDING", mostOutstanding, 1, mostOutstanding),
		PerHour:          env.Number("MAGIC_LINKS_PER_HOUR", 10, 1, mostMessages),
		Code:             env.Flag("MAGIC_LINK_CODE_ENABLED"),
	}
	if len(m.AllowedRedirects) == 0 {
		m.AllowedRedirects = env.List("ALLOWED_ORIGINS")
	}
	if len(m.AllowedRedirects) == 0 {
		env.Complain("ALLOWED_ORIGINS", "is missing: set it to the origins that links may lead to, such as https://app.example.com, or set ALLOWED_REDIRECTS")
	}
	if m.Mailer == nil {
		m.Mailer = p.mailer()
	}
	m.Signer = p.signer()
	store := p.secrets()
	m.Leases, m.Links, m.Limiter = store, store, store
	return m
}

func passkeys(env *environment.Reader, p *parts, o Options) *create.Passkeys {
	return &create.Passkeys{
		Credentials:         p.credentials(),
		RelyingPartyID:      env.Text("RELYING_PARTY_ID", ""),
		UserVerification:    env.OneOf("USER_VERIFICATION", "required", "preferred", "discouraged"),
		Timeout:             env.Milliseconds("SIGN_IN_TIMEOUT", 2*time.Minute),
		ExposeCredentialIDs: env.Flag("EXPOSE_USER_CREDENTIAL_IDS"),
		Challenge:           o.Challenge,
	}
}

func sms(env *environment.Reader, p *parts, o Options) *create.SMS {
	s := &create.SMS{
		Texter: o.Texter, Content: o.TextContent, Mask: o.PhoneMask, Salt: p.salt(), Product: env.Text("PRODUCT_NAME", ""),
		Origins:               env.List("ALLOWED_ORIGINS"),
		Length:                env.Number("OTP_LENGTH", 6, 4, 10),
		PerDay:                env.Number("SMS_PER_DAY", 10, 1, mostMessages),
		AllPerDay:             env.Number("SMS_PER_DAY_FOR_ALL", 2000, 1, 10000),
		CallingCodes:          env.List("SMS_CALLING_CODES"),
		AllowUnverifiedPhones: env.Flag("SMS_TO_UNVERIFIED_PHONES"),
	}
	if env.Flag("SMS_AFTER_FIRST_FACTOR") {
		s.FirstFactor = pooltoken.New(env.Text("ISSUER", ""))
	}
	if s.Texter == nil {
		s.Texter = p.texter()
	}
	store := p.secrets()
	s.Leases, s.Limiter = store, store
	return s
}

// secretOf finds out where the secret is. Without codes and made-up values nothing is keyed with it, and any will do.
func secretOf(env *environment.Reader, p *parts, h *create.Handler) *Secret {
	needed := h.Passkeys != nil && h.Passkeys.ExposeCredentialIDs || h.SMS != nil || h.MagicLink != nil && h.MagicLink.Code
	s := &Secret{}
	switch text, table := env.Text("TRIGGER_SECRET", ""), env.Text("DYNAMODB_SECRETS_TABLE", ""); {
	case text != "":
		v, err := parseSecret(text)
		if err != nil {
			env.Complain("TRIGGER_SECRET", err.Error())
		}
		s.fixed = v
	case !needed:
		s.fixed = make([]byte, secretLength)
		if _, err := rand.Read(s.fixed); err != nil {
			env.Complain("TRIGGER_SECRET", "is missing, and there is no randomness: "+err.Error())
		}
	case table != "":
		s.table, s.name = p.dynamodb(), table
	default:
		env.Complain("TRIGGER_SECRET", "is missing, and there is no DYNAMODB_SECRETS_TABLE to keep one in: set it to the output of openssl rand -base64 32")
	}
	return s
}
