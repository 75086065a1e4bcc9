// Package session keeps people signed in without keeping anything about them in memory.
//
// A session lives in two places. A sealed cookie per host carries who the person is, which factors passed when, and the
// session's times: opening it costs one AES-GCM open and no I/O. One sealed record in shared storage carries the tokens; it is
// written at sign-in, refresh, step-up and sign-out only. The two share a random session ID (sid) and a generation that goes
// up whenever the record changes; a cookie of an older generation adopts the record's state at its next refresh, so a lost
// Set-Cookie, a second tab or a second host never signs anybody out.
//
// Sign-out is a deny list in the same storage, read by every process within 5 seconds. Where the list cannot be read for more
// than a minute nobody gets in: the package fails closed.
//
// What an attacker who can read the storage learns is the key ring; protect the storage as you protect the private keys of your
// certificates, which lie in it too. Neither subjects nor e-mail addresses appear in storage paths.
package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Errors of this package. Where one is returned the session beside it is the zero Session.
var (
	// ErrInvalid says that a sealed value is not ours, was altered, or was made for another realm, host or purpose; of
	// one-time items also that the item is unknown, used or expired.
	ErrInvalid = errors.New("invalid sealed value")
	// ErrExpired says that the absolute lifetime of a session is over.
	ErrExpired = errors.New("session has expired")
	// ErrIdle says that a session was not used for longer than the idle timeout.
	ErrIdle = errors.New("session was idle for too long")
	// ErrDenied says that a session was ended. If the deny list cannot be read the error is [ErrUnavailable] as well.
	ErrDenied = errors.New("session was ended")
	// ErrFuture says that a time in a cookie lies more than 5 minutes ahead of our clock.
	ErrFuture = errors.New("session is from the future")
	// ErrDamaged says that the stored record of a session cannot be read: it was truncated or altered, or its key is gone. It is
	// an [ErrInvalid] as well.
	ErrDamaged = fmt.Errorf("%w: the session's record is damaged", ErrInvalid)
	// ErrTooLarge says that a session does not fit into a cookie even without groups and claims.
	ErrTooLarge = errors.New("session is too large for a cookie")
	// ErrRefused is what a [Refresher] returns when the user pool said no, or answered with tokens that are forged: the session
	// is over.
	ErrRefused = errors.New("user pool refused the refresh token")
	// ErrDoubtful is what a [Refresher] returns when the user pool said no for a reason that need not lie with the session. The
	// session is over when its access token is.
	ErrDoubtful = errors.New("user pool refused the refresh token for a reason that is not known")
	// ErrStale is what a [Refresher] returns for genuine tokens that have expired.
	ErrStale = errors.New("tokens have expired")
	// ErrUnverified says that new tokens cannot be verified yet: the signing keys do not answer, or clocks differ.
	ErrUnverified = errors.New("new tokens cannot be verified now")
	// ErrUnavailable says that storage or user pool could not be reached: try again later, keep the cookie.
	ErrUnavailable = errors.New("session cannot be checked now")
	// ErrOtherUser says that a step-up brought the tokens of another user.
	ErrOtherUser = errors.New("step-up is for another user")
	// ErrDuplicate says that a request carries two cookies of one name; neither can be trusted.
	ErrDuplicate = errors.New("two cookies of one name")
)

// maxSkew is how far ahead of our clock the times in a cookie may lie: another node's clock wrote them.
const maxSkew = 5 * time.Minute

// Storage is the shared key-value store; certmagic.Storage satisfies it. Keys are slash-separated paths. Load of a missing key
// returns an error that is fs.ErrNotExist.
type Storage interface {
	Lock(ctx context.Context, name string) error
	Unlock(ctx context.Context, name string) error
	Store(ctx context.Context, key string, value []byte) error
	Load(ctx context.Context, key string) ([]byte, error)
	Delete(ctx context.Context, key string) error
	Exists(ctx context.Context, key string) bool
	List(ctx context.Context, path string, recursive bool) ([]string, error)
}

// Expirer is a [Storage] that removes what has expired by itself; the manager says when and does not sweep.
type Expirer interface {
	StoreUntil(ctx context.Context, key string, value []byte, expires time.Time) error
}

// Taker is a [Storage] that can return and remove an item in one step, which needs no lock then. A missing item is
// fs.ErrNotExist.
type Taker interface {
	Take(ctx context.Context, key string) ([]byte, error)
}

// Factor names what a person has proved.
type Factor string

// The factors a session can record.
const (
	Passkey   Factor = "passkey" // with user verification
	MagicLink Factor = "magic_link"
	EmailCode Factor = "email_code"
	SMS       Factor = "sms"
)

// insteadOf begins the names of factors that a fresh link by mail stands in for.
const insteadOf = "link_for_"

// Instead is the factor of somebody who was asked for f, does not have it, and has proved the address by a fresh link: good for a
// step-up that asks for f, and for nothing else.
func Instead(f Factor) Factor { return insteadOf + f }

// For says for which factor this one passes in a step-up: for itself, or for the one that it stands in for.
func (f Factor) For() Factor {
	return Factor(strings.TrimPrefix(string(f), insteadOf))
}

// Session is what a cookie says about the person. It is a value: changing it changes nothing until [Manager.Seal].
type Session struct {
	ID         string // the sid: random, lower-case hexadecimal; not for display, see [PublicID]
	Generation uint64 // of the record this state was taken from

	Subject       string
	Username      string
	Email         string
	EmailVerified bool
	Groups        []string
	Claims        Claims   // extra claims chosen by configuration
	Scopes        []string // of a bearer's access token; never sealed

	Factors Factors

	AuthTime      time.Time // of the tokens, never after now
	Started       time.Time
	Ends          time.Time // absolute end
	Seen          time.Time // last idle touch
	AccessExpires time.Time // of the access token in the record

	// Partial says that Groups and Claims did not fit into the cookie and are in the record only: call [Manager.Load].
	Partial bool
}

// Tokens are the user pool's tokens. They are stored sealed and never reach a browser.
type Tokens struct {
	ID, Access, Refresh string
	// DeviceKey belongs to the refresh token in pools that track devices.
	DeviceKey string `json:",omitempty"`
}

// Identity is what verified tokens say about a person.
type Identity struct {
	Subject, Username, Email string
	EmailVerified            bool
	Groups                   []string
	Claims                   Claims
	AuthTime, AccessExpires  time.Time
	OriginJTI                string
}

// Fresh is what a sign-in, a refresh or a step-up brings: tokens and the identity that was verified in them.
type Fresh struct {
	Tokens   Tokens
	Identity Identity
}

// Refresher is the user pool, as sessions see it.
type Refresher interface {
	// Refresh trades the refresh token among old for new tokens, which are not verified yet. [ErrRefused] and [ErrDoubtful] mean
	// that the pool said no; any other error means that it could not be asked.
	Refresh(ctx context.Context, old Tokens) (Tokens, error)
	// Verify checks the ID and access token and says who they are for. [ErrRefused] means that they are forged or for somebody
	// else, [ErrStale] that they have expired; any other error means that this cannot be said now.
	Verify(ctx context.Context, t Tokens) (Identity, error)
	// Revoke ends a refresh token's whole family. A token that is already revoked is no error.
	Revoke(ctx context.Context, refreshToken string) error
	// RevokeAll ends all refresh tokens of the user whose access token is given, those of other clients included. [ErrRefused] means that
	// the access token is no longer good.
	RevokeAll(ctx context.Context, accessToken string) error
}

// Device is where a session was started.
type Device struct{ Address, UserAgent string }

// Settings are a realm's rules for sessions.
type Settings struct {
	Realm       string
	IdleTimeout time.Duration // zero: 8 hours
	Lifetime    time.Duration // zero: 24 hours
	// RefreshBefore is how long before the access token's expiry tokens are refreshed. Zero: 60 seconds.
	RefreshBefore time.Duration
	// TouchEvery is how old Seen may become before the cookie is set again. Zero: a tenth of IdleTimeout, at most 5 minutes.
	TouchEvery time.Duration
}

func (s Settings) idleTimeout() time.Duration {
	if s.IdleTimeout <= 0 {
		return 8 * time.Hour
	}
	return s.IdleTimeout
}

func (s Settings) lifetime() time.Duration {
	if s.Lifetime <= 0 {
		return 24 * time.Hour
	}
	return s.Lifetime
}

func (s Settings) refreshBefore() time.Duration {
	if s.RefreshBefore <= 0 {
		return time.Minute
	}
	return s.RefreshBefore
}

func (s Settings) touchEvery() time.Duration {
	if s.TouchEvery <= 0 {
		return min(s.idleTimeout()/10, 5*time.Minute)
	}
	return s.TouchEvery
}
