package create

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/caddy-cognito/passwordless/passkey"
)

// Mail is one message to one person.
type Mail struct {
	To      string // one bare address
	Locale  string // BCP 47, as the user attribute has it; may be empty
	Subject string
	Text    string
	HTML    string
}

// Mailer hands a mail over for delivery. An error says that the mail was not accepted, so that sending it again is right;
// where that is not known (a timeout after the request went out) the context must be over when Send returns.
type Mailer interface {
	Send(ctx context.Context, m Mail) error
}

// Text is one SMS.
type Text struct {
	To     string // E.164
	Locale string
	Body   string
}

// Texter hands an SMS over for delivery, under the same rules as [Mailer].
type Texter interface {
	Send(ctx context.Context, t Text) error
}

// Signer signs with RSASSA-PSS and SHA-512, the salt as long as the digest (64 bytes). The key ID is stored with the link and
// must find the same public key for as long as the link lives, whatever an alias points to by then.
type Signer interface {
	Sign(ctx context.Context, digest []byte) (signature []byte, keyID string, err error)
}

// LeaseState says what a caller of [Leases.Lease] may do.
type LeaseState int

const (
	// LeaseHeld says that the operation is ours until the lease ends. Do it, then call Sent.
	LeaseHeld LeaseState = iota + 1
	// LeaseRunning says that another call with the same operation is at work. Answer as if it were done.
	LeaseRunning
	// LeaseSent says that the operation was done before. Answer without doing it again.
	LeaseSent
)

// Leases make sending happen once for each operation, however often Cognito calls a trigger with one event. Each method is one
// atomic write; calls with the same operation may come at the same time from several processes.
type Leases interface {
	// Lease claims op until now+ttl. It returns LeaseHeld if op is unknown or its lease is over (now is not before its end),
	// LeaseRunning while an earlier lease lasts, LeaseSent after Sent. The item is kept for an hour, so that
	// it outlives the longest Cognito session (15 minutes).
	Lease(ctx context.Context, op [sha256.Size]byte, now time.Time, ttl time.Duration) (LeaseState, error)
	// Sent marks op as done. Calling it again is no error.
	Sent(ctx context.Context, op [sha256.Size]byte) error
	// Release gives op up after sending was refused, so that the next call may try at once. Unknown operations are no error;
	// one marked as sent stays so.
	Release(ctx context.Context, op [sha256.Size]byte) error
}

// Link is what the secrets table keeps of a magic link: WIRE attributes userNameHash, signatureHash, iat, exp and kmsKeyId, and
// two of our own.
type Link struct {
	UserNameHash  [sha256.Size]byte // [challenge.TableHash] of the user name
	SignatureHash [sha256.Size]byte // [challenge.TableHash] of the signature
	IssuedAt      time.Time         // whole seconds
	Expires       time.Time         // whole seconds
	KeyID         string            // what Signer returned
	Operation     [sha256.Size]byte // the call that made it
	AddressHash   [sha256.Size]byte // [challenge.TableHash] of the address it is mailed to; zero: mailed to nobody
}

// LinkRules limit what Links.Put accepts.
type LinkRules struct {
	Outstanding int           // unused and unexpired links a user may have
	Between     time.Duration // least time between two links of a user
}

// ErrTooManyLinks says that a link was not stored because of [LinkRules].
var ErrTooManyLinks = errors.New("too many magic links")

// Links stores outstanding links.
type Links interface {
	// Put adds a link in one atomic step under the rules, counting only links that are unused and unexpired at l.IssuedAt
	// toward Outstanding, and any link of the user (used ones too) toward Between. Links already stored stay valid.
	// A link of the same Operation is replaced, and counts for neither rule: its mail never went out. Else ErrTooManyLinks.
	Put(ctx context.Context, l Link, r LinkRules) error
	// Withdraw removes a link whose mail was refused, so that asking again need not wait: it counts for no rule any more. One that
	// is not there is no error.
	Withdraw(ctx context.Context, l Link) error
}

// Limiter counts events in a sliding or fixed window. Take is one atomic write.
type Limiter interface {
	// Take counts one event under key and reports whether it is within the limit for the window that contains now. The
	// same op in the same window gives the same answer again and is not counted twice.
	Take(ctx context.Context, key, op [sha256.Size]byte, limit int, window time.Duration, now time.Time) (bool, error)
}

// FirstFactor checks what a client shows before a code is sent to a phone.
type FirstFactor interface {
	// Proves reports whether raw is an access token of this very user and client, valid now. What does not verify is no error; an error
	// says that this cannot be told, and nothing is sent.
	Proves(ctx context.Context, raw, userName, clientID string) (bool, error)
}

// Credentials lists a user's passkeys, oldest first. [passkey.Store] satisfies it.
type Credentials interface {
	List(ctx context.Context, userHandle, relyingPartyID string) ([]passkey.Credential, error)
}
