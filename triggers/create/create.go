// Package create answers Cognito's CreateAuthChallenge trigger: it offers passkey options in round one and sends magic links and
// SMS codes in later rounds.
//
// Known and unknown users, with and without passkeys, mail addresses or phones, get answers of one shape; what must be made up
// is an HMAC under [Handler.Secret]. Cognito may call a trigger three times with the same event: whatever is sent
// is sent once, by a lease keyed with a nonce that Cognito keeps for the session and never shows to the client.
package create

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/caddy-cognito/passwordless/templates"
)

// minSecret is the least length of Handler.Secret in bytes.
const minSecret = 32

// leaseTime is how long one call may take to send; Cognito gives a trigger 5 seconds.
const leaseTime = 5 * time.Second

// sendTime ends sending before the lease does.
const sendTime = 4500 * time.Millisecond

// Handler answers CreateAuthChallenge events. A nil method is off. Use one Handler for all calls: it is safe for concurrent use and
// keeps nothing between calls.
type Handler struct {
	// Secret keys fakes and codes. At least 32 random bytes, kept over restarts and the same in every instance.
	Secret []byte

	MagicLink *MagicLink
	Passkeys  *Passkeys
	SMS       *SMS

	Now    func() time.Time // nil: time.Now
	Rand   io.Reader        // nil: crypto/rand
	Logger *slog.Logger     // nil: no logs
}

// MagicLink makes and mails links.
type MagicLink struct {
	Mailer Mailer
	Signer Signer
	Leases Leases
	Links  Links
	// Limiter caps the mails a user gets in an hour; nil: only the rules of Links.
	Limiter Limiter

	// AllowedRedirects are origin and path prefixes, such as "https://auth.example.com/auth/link". A prefix without a path allows
	// the whole origin; a path matches itself and what lies below it.
	AllowedRedirects []string
	// Salt is that of the secrets table (STACK_ID).
	Salt string
	// Product is the name in the mail.
	Product string

	Lifetime    time.Duration // 0: 900 s
	Between     time.Duration // least time between two mails to a user; 0: 60 s
	Outstanding int           // links a user may have open; 0: 3
	PerHour     int           // mails a user may get in an hour; 0: 10

	// Code puts a short code beside the link, for those who read their mail on another device: only where the client asks for it (client
	// metadata magicLinkCode=yes). It signs in the very session that asked, so that people can be talked into telling it.
	// The stores of verify must then find links by their Operation. Default: false.
	Code bool

	// Content writes the mail; nil: [templates.MagicLinkMail].
	Content func(locale string, d templates.MagicLinkData) (templates.Message, error)
}

// Passkeys offers options for navigator.credentials.get in round one.
type Passkeys struct {
	Credentials Credentials
	// RelyingPartyID may be empty: the browser then takes the page's host.
	RelyingPartyID   string
	UserVerification string        // "": "required"
	Timeout          time.Duration // 0: 120 s
	// ExposeCredentialIDs lists the IDs of the user's passkeys, or made-up ones, for authenticators that cannot discover them.
	ExposeCredentialIDs bool
	// Challenge makes the challenge of a sign-in, in unpadded base64url of at least 16 random bytes; nil: 64 bytes of Handler.Rand.
	Challenge func(ctx context.Context) (string, error)
}

// SMS sends step-up codes.
type SMS struct {
	Texter  Texter
	Leases  Leases
	Limiter Limiter
	Salt    string // that of the secrets table
	Product string // the name in the message

	// FirstFactor must have proven the user before a code goes out; nil: Verify alone asks for that proof, and whoever knows a name can
	// have messages sent, up to PerDay.
	FirstFactor FirstFactor
	// Origins are those of the pages that take the code, such as "https://auth.example.com": the message names the host for the
	// browser to fill the code in there only. The client says which one by redirectUri; without it, one that stands alone is meant.
	Origins []string

	Length int // digits, 4 to 10; 0: 6
	PerDay int // messages a user may get in a day; 0: 10
	// AllPerDay is how many messages all users together may get in a day (UTC), up to 10000; 0: no limit.
	AllPerDay int
	// CallingCodes are the beginnings of the numbers that get messages, such as "+49"; none: every number.
	CallingCodes []string
	// AllowUnverifiedPhones sends to numbers that were never verified.
	AllowUnverifiedPhones bool
	// Content writes the message; nil: [templates.SMSText].
	Content func(locale string, d templates.SMSData) (string, error)
	// Mask hides a number before the client sees it; nil: all but the last four digits. It gets made-up numbers too.
	Mask func(number string) string
}
