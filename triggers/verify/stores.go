package verify

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/token"
	"github.com/caddy-cognito/passwordless/passkey"
)

// Link is what the secrets table keeps of a magic link.
type Link struct {
	IssuedAt    time.Time // whole seconds
	Expires     time.Time // whole seconds
	KeyID       string    // finds the public key
	AddressHash [sha256.Size]byte
	UsedBy      string    // nonce of the Cognito session that used it; may be empty though used
	UsedAt      time.Time // zero: unused
}

// Use consumes one link.
type Use struct {
	UserNameHash  [sha256.Size]byte // [challenge.TableHash] of the user name
	SignatureHash [sha256.Size]byte // [challenge.TableHash] of the signature
	By            string            // nonce of the Cognito session; empty: no exemption for retries
	At            time.Time
}

// ErrLinkNotFound says that the link is not among the user's: never made, superseded by the use of another, or deleted.
var ErrLinkNotFound = errors.New("magic link not found")

// ErrLinkUsed says that the link was used before, by another Cognito session or by one without a nonce.
var ErrLinkUsed = errors.New("magic link already used")

// Links finds and consumes links.
type Links interface {
	// Find reads a link, used or not, strongly consistent. ErrLinkNotFound.
	Find(ctx context.Context, userNameHash, signatureHash [sha256.Size]byte) (Link, error)
	// Consume marks the link as used in one atomic write under the condition that it is unused, or that u.By is not empty and equal to
	// what used it (a retry: nil again). In the same step every other link of the user becomes void.
	// ErrLinkNotFound, ErrLinkUsed.
	Consume(ctx context.Context, u Use) error
}

// Operations finds links by what made them. Whoever implements [Links] implements it too where short codes are on.
type Operations interface {
	// FindOperation returns the signature hash of the user's link that the operation made, used or not, strongly consistent.
	// ErrLinkNotFound.
	FindOperation(ctx context.Context, userNameHash, operation [sha256.Size]byte) (signatureHash [sha256.Size]byte, err error)
}

// Keys finds the public half of a signing key by the ID stored with the link. An unknown ID is an error.
type Keys interface {
	PublicKey(ctx context.Context, keyID string) (*rsa.PublicKey, error)
}

// Address is a mail address that its owner has just proven.
type Address struct {
	UserPoolID string
	ClientID   string
	UserName   string
	Sub        string
	Email      string
}

// Addresses learns of proven mail addresses.
type Addresses interface {
	// AddressVerified is called before a link is consumed, when it was mailed to the user's current, not yet verified address. The
	// implementer deletes the passkeys that were added before and ends the sessions of that time (whoever
	// registered the account may not have owned the address), then marks the address as verified unless it has
	// changed meanwhile. It must be idempotent, for it is called again with every retry; an error denies nothing for good:
	// the link stays unused.
	AddressVerified(ctx context.Context, a Address) error
}

// Credentials are the user's passkeys. [passkey.Store] satisfies it.
type Credentials interface {
	Get(ctx context.Context, userHandle string, id []byte) (passkey.Credential, error)
	List(ctx context.Context, userHandle, relyingPartyID string) ([]passkey.Credential, error)
	// RecordSignIn makes the assertion final in one atomic write and lets a retry of the same attempt pass; see [passkey.Store].
	RecordSignIn(ctx context.Context, s passkey.SignIn) error
}

// Checker verifies one assertion without writing anything. [passkey.Settings] satisfies it.
type Checker interface {
	Check(answer challenge.PasskeyAnswer, expectedChallenge string, c passkey.Credential) (passkey.Outcome, error)
}

// Tokens verifies access tokens of the pool. [token.Verifier] satisfies it.
type Tokens interface {
	Verify(ctx context.Context, raw string, use token.Use) (token.Claims, error)
}

// Limiter counts tries of a user over all sessions. Both methods are one atomic write.
type Limiter interface {
	// Take counts one try under key and reports whether it is within the limit for the window that contains now. The same
	// op in the same window gives the same answer again and is not counted twice.
	Take(ctx context.Context, key, op [sha256.Size]byte, limit int, window time.Duration, now time.Time) (bool, error)
	// Return takes a try back that was right. Unknown operations are no error.
	Return(ctx context.Context, key, op [sha256.Size]byte) error
}

// Receipt proves that a method passed Verify.
type Receipt struct {
	Method  string    // a [challenge.SignInMethod], or [challenge.MetadataMagicLinkCode]
	At      time.Time // when it passed
	Expires time.Time // not to be trusted afterwards
}

// Receipts hands proofs of method over to the pretoken trigger.
type Receipts interface {
	// PutReceipt stores r under key ([challenge.ReceiptKey]), replacing an earlier one.
	PutReceipt(ctx context.Context, key [sha256.Size]byte, r Receipt) error
}
