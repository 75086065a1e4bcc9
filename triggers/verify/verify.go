// Package verify answers Cognito's VerifyAuthChallengeResponse trigger: it checks magic links, passkey assertions and SMS codes.
//
// An answer that is wrong, malformed or comes too late is a denial (answerCorrect false), never an error; an error says that a
// store or key could not be reached, and leaves the proof usable. Cognito may call a trigger three times with the same event:
// each call gives the same answer, while the same proof in another Cognito session is denied.
package verify

import (
	"log/slog"
	"time"
)

// Handler answers VerifyAuthChallengeResponse events. A nil method is off. It is safe for concurrent use and keeps nothing between
// calls.
type Handler struct {
	MagicLink *MagicLink
	Passkeys  *Passkeys
	SMS       *SMS

	// EnforceFIDO2IfAvailable denies every other method to a user who has a passkey. It needs Passkeys.
	EnforceFIDO2IfAvailable bool

	// Receipts tells pretoken which method passed; nil: no receipts.
	Receipts Receipts

	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: no logs
}

// MagicLink checks links.
type MagicLink struct {
	Links     Links
	Keys      Keys
	Addresses Addresses // nil: addresses are never marked as verified
	Salt      string    // that of the secrets table (STACK_ID)

	// Code accepts the short codes that create.MagicLink.Code mails. It needs Operations and Limiter. Default: false.
	Code       bool
	Operations Operations
	Limiter    Limiter
	PerHour    int // wrong short codes a user may enter in an hour, over all sessions; 0: 10
}

// Passkeys checks assertions.
type Passkeys struct {
	Checker     Checker
	Credentials Credentials
}

// SMS checks step-up codes.
type SMS struct {
	Tokens  Tokens
	Limiter Limiter
	Salt    string // that of the secrets table
	PerHour int    // wrong codes a user may enter in an hour, over all sessions; 0: 10
}
