package challenge

import "strings"

// AuthParametersMetadata is the challengeMetadata of round one. The nonce is stable over Lambda retries of one Cognito
// session, differs between sessions, and is never shown to the client.
func AuthParametersMetadata(nonce string) string {
	return ProvideAuthParameters + metadataSeparator + nonce
}

// ParseAuthParametersMetadata reports whether metadata is that of round one, and its nonce, which is empty when the round
// was created by a trigger of another implementation.
func ParseAuthParametersMetadata(metadata string) (nonce string, ok bool) {
	if metadata == ProvideAuthParameters {
		return "", true
	}
	return strings.CutPrefix(metadata, ProvideAuthParameters+metadataSeparator)
}
