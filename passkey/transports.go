package passkey

import (
	"encoding/json"
	"slices"
	"strings"
)

const (
	maxTransports = 16
	maxTransport  = 32 // characters
)

// Transports are the ways a browser says an authenticator can be reached. They are hints for later sign-ins, so JSON that is
// not a list of strings is read as no transports instead of refusing the passkey.
type Transports []string

// UnmarshalJSON implements [json.Unmarshaler].
func (t *Transports) UnmarshalJSON(data []byte) error {
	var values []any
	*t = nil
	if err := json.Unmarshal(data, &values); err != nil {
		values = nil // hints only
	}
	for _, value := range values {
		if text, ok := value.(string); ok {
			*t = append(*t, text)
		}
	}
	return nil
}

// known drops values that cannot be a transport (WebAuthn Level 3, section 5.8.4), repeated ones, and those beyond maxTransports.
// Well-formed names that are not in the specification are kept: browsers ignore what they do not know.
func (t Transports) known() []string {
	var kept []string
	for _, value := range t {
		if isTransport(value) && !slices.Contains(kept, value) && len(kept) < maxTransports {
			kept = append(kept, value)
		}
	}
	return kept
}

func isTransport(s string) bool {
	return s != "" && len(s) <= maxTransport &&
		!strings.ContainsFunc(s, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' })
}
