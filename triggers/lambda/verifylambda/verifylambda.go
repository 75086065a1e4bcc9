// Package verifylambda makes the VerifyAuthChallengeResponse trigger out of a Lambda's environment.
package verifylambda

import (
	"context"
	"log/slog"
	"strconv"

	"github.com/aws/aws-lambda-go/events"

	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/triggers/aws/account"
	"github.com/caddy-cognito/passwordless/triggers/lambda/environment"
	"github.com/caddy-cognito/passwordless/triggers/lambda/pooltoken"
	"github.com/caddy-cognito/passwordless/triggers/lambda/serve"
	"github.com/caddy-cognito/passwordless/triggers/verify"
)

// Options replace parts. The variables of a part that is replaced are not read.
type Options struct {
	// Addresses learns of proven mail addresses; nil: they are marked as verified in the user pool, unless LEAVE_ADDRESSES_UNVERIFIED is on.
	Addresses verify.Addresses
	// Checker verifies assertions; nil: by the relying parties and origins of the environment.
	Checker verify.Checker
}

type event = events.CognitoEventUserPoolsVerifyAuthChallenge

// mostTries is the most wrong codes an hour that the environment may allow.
const mostTries = 1000

// Main runs the Lambda. It does not return.
func Main(o Options) {
	serve.Main("verify", func(env *environment.Reader, logger *slog.Logger) (serve.Trigger[event, event], error) {
		h, err := New(env, logger, o)
		if err != nil {
			return serve.Trigger[event, event]{}, err
		}
		return serve.Trigger[event, event]{
			Limit:   serve.CognitoLimit,
			Method:  func(e event) string { return serve.Method(e.Request.ClientMetadata) },
			Outcome: outcome,
			Handle: func(ctx context.Context, e event) (event, error) {
				return h.Handle(pooltoken.WithAudience(ctx, e.UserPoolID, e.CallerContext.ClientID), e)
			},
		}, nil
	})
}

func outcome(_, answer event) string {
	if answer.Response.AnswerCorrect {
		return "pass"
	}
	return "deny"
}

// New makes the handler. Everything that is wrong with the environment is collected in env; the error is of another kind.
func New(env *environment.Reader, logger *slog.Logger, o Options) (*verify.Handler, error) {
	a, err := account.New(func(name string) string { return env.Text(name, "") })
	if err != nil {
		return nil, err
	}
	parts := &parts{env: env, account: a}
	h := &verify.Handler{Logger: logger, EnforceFIDO2IfAvailable: env.Flag("ENFORCE_FIDO2_IF_AVAILABLE")}
	tries := env.Number("WRONG_CODES_PER_HOUR", 10, 1, mostTries)
	if env.Flag("FIDO2_ENABLED") {
		h.Passkeys = &verify.Passkeys{Checker: o.Checker, Credentials: parts.credentials()}
		if o.Checker == nil {
			h.Passkeys.Checker = checker(env)
		}
	}
	if env.Flag("MAGIC_LINK_ENABLED") {
		h.MagicLink = magicLink(env, parts, o)
		h.MagicLink.PerHour = tries
	}
	if env.Flag("SMS_OTP_STEP_UP_ENABLED") {
		h.SMS = &verify.SMS{Tokens: pooltoken.New(env.Text("ISSUER", "")), Limiter: parts.secrets(), Salt: parts.salt(), PerHour: tries}
	}
	if env.Text("DYNAMODB_SECRETS_TABLE", "") != "" {
		h.Receipts = parts.secrets()
	}
	if env.Err() == nil {
		env.Check("the settings of sign-in methods", h.Validate())
	}
	return h, nil
}

func magicLink(env *environment.Reader, p *parts, o Options) *verify.MagicLink {
	m := &verify.MagicLink{Keys: p.keys(), Addresses: o.Addresses, Salt: p.salt(), Code: env.Flag("MAGIC_LINK_CODE_ENABLED")}
	if m.Addresses == nil && !env.Flag("LEAVE_ADDRESSES_UNVERIFIED") {
		m.Addresses = p.addresses()
	}
	store := p.secrets()
	m.Links, m.Operations, m.Limiter = store, store, store
	return m
}

// checker verifies assertions for the relying parties of the environment.
func checker(env *environment.Reader) passkey.Settings {
	ids := env.List("ALLOWED_RELYING_PARTY_IDS")
	if len(ids) == 0 {
		env.Complain("ALLOWED_RELYING_PARTY_IDS", "is missing: set it to the domains that passkeys are for, such as example.com")
		return passkey.Settings{}
	}
	s := passkey.Settings{
		RelyingParties:   relyingParties(ids, env.List("ALLOWED_ORIGINS"), env.List("ALLOWED_APPLICATION_ORIGINS")),
		UserVerification: env.OneOf("USER_VERIFICATION", "required", "preferred", "discouraged"),
	}
	if wrong := relate(s.RelyingParties, env.List("PASSKEY_RELATED_ORIGINS")); wrong != "" {
		env.Complain("PASSKEY_RELATED_ORIGINS", "holds "+strconv.Quote(wrong)+": write one of ALLOWED_RELYING_PARTY_IDS, = and an origin, as in example.com=https://example.de")
	}
	for _, text := range env.List("PASSKEY_ALGORITHMS") {
		alg, err := strconv.Atoi(text)
		if err != nil {
			env.Complain("PASSKEY_ALGORITHMS", "holds "+strconv.Quote(text)+": set it to COSE numbers, such as -7,-257,-8,-35")
		}
		s.Algorithms = append(s.Algorithms, alg)
	}
	env.Check("ALLOWED_RELYING_PARTY_IDS with ALLOWED_ORIGINS and PASSKEY_RELATED_ORIGINS", s.Validate())
	return s
}
