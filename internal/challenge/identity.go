package challenge

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"regexp"
	"strings"
)

// SecretHash is Cognito's SECRET_HASH: base64(HMAC-SHA256(clientSecret, username ‖ clientID)), over the name that is sent.
// https://docs.aws.amazon.com/cognito/latest/developerguide/signing-up-users-in-your-app.html#cognito-user-pools-computing-secret-hash
func SecretHash(clientSecret, username, clientID string) string {
	mac := hmac.New(sha256.New, []byte(clientSecret))
	mac.Write([]byte(username + clientID))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// MaskPhone hides all but the last digits of a phone number: "+", stars, then four digits (two when the number has fewer
// than eight characters).
func MaskPhone(number string) string {
	show := 4
	if len(number) < 8 {
		show = 2
	}
	show = min(show, len(number))
	return "+" + strings.Repeat("*", 11-show) + number[len(number)-show:]
}

// maxUserHandle is WebAuthn's limit in bytes (Level 3, section 5.4.3).
const maxUserHandle = 64

var lowercaseUUID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// UserHandle is the WebAuthn user handle of a Cognito user, as existing credentials carry it: the sub where it is the
// username; "u|<username>" where there is no sub or the username contains a lowercase UUID; else "s|<sub>".
func UserHandle(username, sub string) string {
	handle := "s|" + sub
	switch {
	case sub == username:
		handle = sub
	case sub == "" || lowercaseUUID.MatchString(username):
		handle = "u|" + username
	}
	if len(handle) > maxUserHandle && sub != "" {
		handle = "s|" + sub
	}
	return handle
}

// UsernameOf is the inverse of [UserHandle] for a usernameless sign-in. A handle of the form "s|<sub>" names no user.
func UsernameOf(handle string) (username string, ok bool) {
	if rest, found := strings.CutPrefix(handle, "u|"); found {
		return rest, rest != ""
	}
	if handle == "" || strings.HasPrefix(handle, "s|") {
		return "", false
	}
	return handle, true
}
