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

	lostBegun  = 8 // sign-ins begun in a row of which none came as far as the handoff
	lostWindow = time.Minute
)

// nonceValue is the nonce cookie: the secret that binds handoffs to one browser, and how often and when it last came back from
// one. The count tells a browser that keeps no session cookie from a person, so that the two hosts do not send it back and
// forth for ever; forging it harms only oneself.
type nonceValue struct {
	secret string
	tries  int
	last   time.Time

	begun int       // sign-ins begun since the last handoff came
	since time.Time // the first of them
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
	tried, begun, _ := strings.Cut(rest, "~")
	n.tries, n.last = parseCount(tried)
	n.begun, n.since = parseCount(begun)
	return n
}

// parseCount reads "count.milliseconds"; what is not that counts as nothing.
func parseCount(s string) (int, time.Time) {
	count, at, _ := strings.Cut(s, ".")
	n, err := strconv.ParseUint(count, 10, 8)
	if err != nil {
		return 0, time.Time{}
	}
	milliseconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return 0, time.Time{}
	}
	return int(n), time.UnixMilli(milliseconds)
}

// String is the cookie's value.
func (n nonceValue) String() string {
	if n.tries == 0 && n.begun == 0 {
		return n.secret
	}
	s := n.secret + "." + formatCount(n.tries, n.last)
	if n.begun > 0 {
		s += "~" + formatCount(n.begun, n.since)
	}
	return s
}

func formatCount(n int, at time.Time) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n) + "." + strconv.FormatInt(at.UnixMilli(), 10)
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

// begin counts one more sign-in. When so many in a row were begun within the window that none of them can have come back to the handoff,
// lost is when they began, and the count starts afresh.
func (n nonceValue) begin(now time.Time) (counted nonceValue, lost time.Time) {
	if age := now.Sub(n.since); n.begun == 0 || age < 0 || age > lostWindow {
		n.begun, n.since = 0, now.Truncate(time.Millisecond)
	}
	if n.begun++; n.begun >= lostBegun {
		lost = n.since
		n.begun, n.since = 0, time.Time{}
	}
	return n, lost
}

// arrived is the nonce of a browser that has come to the handoff.
func (n nonceValue) arrived() nonceValue {
	n.begun, n.since = 0, time.Time{}
	return n
}
