package passkey

import (
	"crypto/rand"
	"fmt"
	"io"
	"time"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// Ceremonies registers passkeys and makes the options of sign-ins. It is safe for concurrent use.
type Ceremonies struct {
	Settings Settings // validated by the caller
	Store    Store
	Now      func() time.Time // nil means time.Now
	Rand     io.Reader        // nil means crypto/rand.Reader
}

// User is whom a passkey is registered for. Handle is challenge.UserHandle: it names the account for good.
type User struct {
	Handle      string
	Name        string // shown beside the passkey: an e-mail address or a user name
	DisplayName string // "" means Name
}

func (c *Ceremonies) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

// challengeSize is the length of a challenge in bytes before encoding.
const challengeSize = 64

// NewChallenge is 64 random bytes in base64url. A nil reader means crypto/rand.
func NewChallenge(random io.Reader) (string, error) {
	if random == nil {
		random = rand.Reader
	}
	b := make([]byte, challengeSize)
	if _, err := io.ReadFull(random, b); err != nil {
		return "", fmt.Errorf("reading randomness for a challenge: %w", err)
	}
	return challenge.EncodeBase64(b), nil
}
