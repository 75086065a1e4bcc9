// Package pretoken answers Cognito's PreTokenGeneration trigger: it writes into the tokens which method passed, from the receipt that
// Verify left, and copies the client metadata that the deployment lists.
package pretoken

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"time"
)

// The claims this trigger sets.
const (
	ClaimSignInMethod = "sign_in_method" // the wire name of the method, such as "FIDO2"
	ClaimAuthMethods  = "auth_methods"   // what passed, separated by spaces: passkey, magic_link, email_code, sms
)

// sourceAuthentication is the only trigger source that follows a sign-in through our challenges.
const sourceAuthentication = "TokenGeneration_Authentication"

// maxValue bounds a persisted value in UTF-16 code units, as existing deployments count.
const maxValue = 256

// ErrReceiptNotFound says that no receipt is stored under a key.
var ErrReceiptNotFound = errors.New("receipt not found")

// Receipt is what Verify left.
type Receipt struct {
	Method  string
	At      time.Time
	Expires time.Time
}

// Receipts reads proofs of method.
type Receipts interface {
	// Receipt reads what is stored under key ([challenge.ReceiptKey]), strongly consistent, and leaves it there: Cognito may call
	// again with the same event. ErrReceiptNotFound.
	Receipt(ctx context.Context, key [sha256.Size]byte) (Receipt, error)
}

// Handler answers PreTokenGeneration events.
type Handler struct {
	// Receipts may be nil: then only CustomAuthOnlyClients get method claims.
	Receipts Receipts
	// PersistedKeys are the ClientMetadata keys that become claims of the snake_case name. "signInMethod" may be listed and
	// changes nothing: that claim comes from receipts.
	PersistedKeys []string
	// CustomAuthOnlyClients are client IDs that can sign in by nothing but our challenges. There the method of the call is the one
	// that passed, with or without a receipt.
	CustomAuthOnlyClients []string
	// MagicLinkCode says that mails carry short codes too. Without a receipt MAGIC_LINK could then be either, and nothing is claimed.
	MagicLinkCode bool

	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: no logs
}
