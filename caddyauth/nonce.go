package caddyauth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

const (
	nonceLength = 43 // 32 bytes in base64url
	loopTries   = 3  // handoffs in a row that left no session
	loopWindow  = 15 * time.Second
)

// nonceValue is the nonce cookie: the secret that binds handoffs to one browser, and how often and when it last came back from
// one. The count tells a browser that keeps no session cookie from a person, so that the two hosts do not send it back and
// forth for ever; forging it harms only oneself.
type nonceValue struct {
	secret string
	tries  int
	last   time.Time
}

// codeEncoding has one text per value. It is made once: the nonce comes with every request.
var codeEncoding = base64.RawURLEncoding.Strict()

func newNonce(random io.Reader) (nonceValue, error) {
	secret, err := randomCode(random)
	return nonceValue{secret: secret}, err
}

// randomCode is 32 random bytes in base64url. A nil reader means crypto/rand.
func randomCode(random io.Reader) (string, error) {
	if random == nil {
		random = rand.Reader
	}
	var b [32]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("making a random code: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// isCode reports whether s looks like a randomCode.
func isCode(s string) bool {
	if len(s) != nonceLength {
		return false
	}
	var random [33]byte // one more than come out, which the decoder asks for
	_, err := codeEncoding.Decode(random[:], []byte(s))
	return err == nil
}

// parseNonce reads the cookie's value; what is not ours is the zero nonceValue.
func parseNonce(value string) nonceValue {
	secret, rest, counted := strings.Cut(value, ".")
	if !isCode(secret) {
		return nonceValue{}
	}
	n := nonceValue{secret: secret}
	if !counted {
		return n
	}
	tries, at, _ := strings.Cut(rest, ".")
	count, err := strconv.ParseUint(tries, 10, 8)
	if err != nil {
		return n
	}
	milliseconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return n
	}
	n.tries, n.last = int(count), time.UnixMilli(milliseconds)
	return n
}

// String is the cookie's value.
func (n nonceValue) String() string {
	if n.tries == 0 {
		return n.secret
	}
	return n.secret + "." + strconv.Itoa(n.tries) + "." + strconv.FormatInt(n.last.UnixMilli(), 10)
}

// hash is what flows and codes carry instead of the secret.
func (n nonceValue) hash() string {
	sum := sha256.Sum256([]byte("passwordless nonce\x00" + n.secret))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// fits reports, in constant time, whether hash is of this nonce.
func (n nonceValue) fits(hash string) bool {
	return n.secret != "" && subtle.ConstantTimeCompare([]byte(n.hash()), []byte(hash)) == 1
}

// tried counts one more handoff; a pause starts the count afresh.
func (n nonceValue) tried(now time.Time) nonceValue {
	if !n.recent(now) {
		n.tries = 0
	}
	n.tries, n.last = min(n.tries+1, 255), now
	return n
}

// proven forgets the tries before a factor passed at that time: who proves who they are once more is not sent round by itself, however
// quick they are. Both times are whole milliseconds.
func (n nonceValue) proven(at time.Time) nonceValue {
	if at.After(n.last) {
		n.tries = 0
	}
	return n
}

func (n nonceValue) recent(now time.Time) bool {
	age := now.Sub(n.last)
	return age > -loopWindow && age < loopWindow
}

// loops reports whether this browser keeps coming back from handoffs.
func (n nonceValue) loops(now time.Time) bool { return n.tries >= loopTries && n.recent(now) }
