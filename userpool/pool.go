// Package userpool is what the portal needs of a user pool: sign up, the custom-auth flow, refresh, sign-out and the person's own attributes.
// [Client] is the Amazon Cognito one, over the AWS SDK and without AWS credentials: it calls only operations that an app client may
// call for its users.
//
// Create one [Client] per app client with [New] and keep it; it is safe for concurrent use. Tell errors apart by errors.Is
// with the Err values of this package. Their texts carry the operation, the service's error code and its request id, and
// never a message of the service or of a trigger, so that they may be logged.
package userpool

import (
	"context"
	"time"
)

// Pool is a user pool seen from one of its app clients. Implementations are safe for concurrent use.
type Pool interface {
	// SignUp creates a user with a password that nobody knows, so that only the custom-auth flow signs them in.
	// It fails with [ErrUserExists] or [ErrSignUpRefused].
	SignUp(ctx context.Context, in SignUp) error

	// Initiate starts a custom-auth flow. Whether the user exists cannot be told from its outcome when the app client
	// prevents user existence errors.
	Initiate(ctx context.Context, username string) (Challenge, error)

	// Respond answers a challenge and is never repeated on a failure other than throttling: a Session works once.
	// It fails with [ErrNotAuthorized] for a wrong answer and [ErrSessionExpired] for a Session that is over or was used.
	Respond(ctx context.Context, in Response) (Result, error)

	// ConfirmDevice registers the device that came with tokens, by the access token among them. Without that, the refresh
	// token does not work.
	ConfirmDevice(ctx context.Context, accessToken string, d Device) error

	// Refresh trades a refresh token for new tokens, with rotation on or off: Tokens.Refresh is the new refresh token, or
	// the given one when the pool does not rotate. deviceKey is that of the device it was issued for, "" in pools that track
	// none. It fails with [ErrNotAuthorized] when the token is over or revoked, with [ErrDoubtful] when the pool refuses for
	// a reason that may lie elsewhere.
	Refresh(ctx context.Context, refreshToken, deviceKey string) (Tokens, error)

	// Revoke ends a refresh token and every access token that came from it.
	Revoke(ctx context.Context, refreshToken string) error

	// GlobalSignOut ends all refresh tokens of the user whose access token is given.
	GlobalSignOut(ctx context.Context, accessToken string) error

	// User reads the attributes of the user whose access token is given.
	User(ctx context.Context, accessToken string) (User, error)

	// UpdateAttributes changes attributes of that user. A new phone number or address counts as unverified. It says for which of
	// them the pool has sent a code by itself, and fails with [ErrAttributeInvalid] for a value that the pool does not take.
	UpdateAttributes(ctx context.Context, accessToken string, attributes map[string]string) (coded []string, err error)

	// DeleteAttributes takes attributes of that user away.
	DeleteAttributes(ctx context.Context, accessToken string, names ...string) error

	// SendAttributeCode sends a code to that user's "email" or "phone_number".
	SendAttributeCode(ctx context.Context, accessToken, attribute string) error

	// VerifyAttribute takes that code. It fails with [ErrCodeWrong], with [ErrCodeExpired] when another one is needed, and with
	// [ErrThrottled] after too many tries.
	VerifyAttribute(ctx context.Context, accessToken, attribute, code string) error
}

// SignUp is a user to create.
type SignUp struct {
	Username       string
	Attributes     map[string]string // such as "email"
	ClientMetadata map[string]string // reaches the PreSignUp trigger
}

// Challenge is a round of a flow that waits for an answer.
type Challenge struct {
	Session    string            // opaque, works once, lives 3 to 15 minutes
	Username   string            // as the pool returned it, else the name that was sent
	Parameters map[string]string // public challenge parameters
}

// Response answers a [Challenge].
type Response struct {
	Session        string
	Username       string
	Answer         string
	ClientMetadata map[string]string // reaches Verify, Define, Create and PreTokenGeneration
}

// Result is the outcome of an answer; exactly one member is set.
type Result struct {
	Tokens    *Tokens
	Challenge *Challenge
}

// Tokens are what a completed sign-in or refresh brings.
type Tokens struct {
	ID, Access, Refresh string
	ExpiresIn           time.Duration // life of ID and access token from now on
	Device              *Device       // new in a pool that tracks devices, else nil: have it confirmed and keep its key
}

// User is a user as GetUser shows it.
type User struct {
	Username   string
	Attributes map[string]string
}
