package passkey

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"time"
)

// Store keeps passkeys and outstanding challenges. Implementations must be safe for concurrent use; passkeytest.RunStore
// tells whether one keeps these promises. Expiry is judged by the times given or the store's own clock, never left to a
// database's background deletion.
type Store interface {
	// PutRegistration stores what a browser was sent, until expires.
	PutRegistration(ctx context.Context, userHandle, challenge string, options []byte, expires time.Time) error
	// TakeRegistration removes and returns it: of parallel calls exactly one succeeds. [ErrChallengeNotFound] for one that
	// is unknown, taken, expired at now or another user's.
	TakeRegistration(ctx context.Context, userHandle, challenge string, now time.Time) (options []byte, err error)

	// Add stores a new passkey: [ErrCredentialExists] if any user has one of that ID.
	Add(ctx context.Context, c Credential) error
	// Get finds a user's passkey: [ErrUnknownCredential] also if it is another user's.
	Get(ctx context.Context, userHandle string, id []byte) (Credential, error)
	// List gives a user's passkeys of one relying party, or of all with "", oldest first.
	List(ctx context.Context, userHandle, relyingPartyID string) ([]Credential, error)
	// Rename sets the friendly name: [ErrUnknownCredential] also if the passkey is another user's.
	Rename(ctx context.Context, userHandle string, id []byte, name string) error
	// Delete removes a user's passkey; nil if there is none.
	Delete(ctx context.Context, userHandle string, id []byte) error

	// PutSignInChallenge stores a usernameless challenge, until expires.
	PutSignInChallenge(ctx context.Context, challenge string, expires time.Time) error
	// RecordSignIn makes a verified assertion final, in one atomic write of SignCount, BackupState, LastSignIn and
	// LastChallenge under the condition `stored count < new count, or both 0`. With Usernameless the unexpired (at s.At)
	// challenge is deleted in the same transaction. When the condition or the challenge fails and s.Retries(stored
	// LastChallenge), the answer is nil and nothing changes. Else [ErrCounter], [ErrChallengeNotFound] or
	// [ErrUnknownCredential].
	RecordSignIn(ctx context.Context, s SignIn) error
}

// SignIn is the outcome of a verified assertion, for [Store.RecordSignIn].
type SignIn struct {
	UserHandle   string
	CredentialID []byte
	SignCount    uint32
	BackupState  bool
	Challenge    string // base64url, as in clientDataJSON
	// Usernameless says that the challenge came from [Store.PutSignInChallenge] and not from the user's own session.
	Usernameless bool
	// Attempt is a secret of the session that a retried call shares with its first try (the private nonce of a Cognito
	// session). A usernameless challenge is bound to no session: without an Attempt its second use is a replay, never
	// a retry.
	Attempt string
	At      time.Time
}

// LastChallenge is what [Store.RecordSignIn] stores of the challenge: its SHA-256 and, with an Attempt, that of both.
func (s SignIn) LastChallenge() []byte {
	mark := challengeMark(s.Challenge)
	if s.Attempt == "" {
		return mark
	}
	bound := sha256.Sum256([]byte(s.Challenge + "|" + s.Attempt))
	return append(mark, bound[:]...)
}

// Retries reports whether this sign-in was accepted before and its answer got lost: stored is the credential's
// LastChallenge. A challenge of the user's own session can come again only within that session, which is single use.
func (s SignIn) Retries(stored []byte) bool {
	if s.Usernameless {
		return s.Attempt != "" && subtle.ConstantTimeCompare(stored, s.LastChallenge()) == 1
	}
	return s.Challenge != "" && bytes.HasPrefix(stored, challengeMark(s.Challenge))
}

// CounterAdvances is the rule for signature counters (WebAuthn Level 3, section 7.2, step 22): greater than the stored one,
// or both zero.
func CounterAdvances(stored, received uint32) bool {
	return stored < received || stored == 0 && received == 0
}

func challengeMark(challenge string) []byte {
	sum := sha256.Sum256([]byte(challenge))
	return sum[:]
}
