package caddyauth

import (
	"fmt"
	"net/http"
	"strings"
)

// maxBearer bounds what is taken for a token, in bytes.
const maxBearer = 16 << 10

// bearerToken reads the token of exactly one Authorization header.
func bearerToken(h http.Header) (string, bool) {
	values := h["Authorization"]
	if len(values) != 1 {
		return "", false
	}
	scheme, raw, ok := strings.Cut(values[0], " ")
	raw = strings.TrimLeft(raw, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || raw == "" || len(raw) > maxBearer || !plainToken(raw) {
		return "", false
	}
	return raw, true
}

// plainToken reports whether s has nothing of a list, of a quoted string or of a second word.
func plainToken(s string) bool {
	for i := range len(s) {
		switch s[i] {
		case ' ', '\t', ',', '"':
			return false
		}
	}
	return true
}

// bearerChallenge is a WWW-Authenticate of RFC 6750, section 3; code and description may be empty.
func bearerChallenge(realm, code, description string) string {
	challenge := fmt.Sprintf("Bearer realm=%q", realm)
	if code != "" {
		challenge += fmt.Sprintf(", error=%q", code)
	}
	if description != "" {
		challenge += fmt.Sprintf(", error_description=%q", description)
	}
	return challenge
}
