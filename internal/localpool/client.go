package localpool

import (
	"fmt"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// checkClient compares the client ID, as every operation of an app client does first.
func (s *settings) checkClient(clientID string) error {
	if clientID == "" {
		return invalidParameter("Missing required parameter ClientId")
	}
	if !sameSecret(clientID, s.ClientID) {
		return &failure{Type: typeResourceNotFound, Message: "User pool client does not exist."}
	}
	return nil
}

// checkSecretHash compares SECRET_HASH, which is made over the name exactly as it was sent.
func (s *settings) checkSecretHash(hash, username string) error {
	switch {
	case s.ClientSecret == "" && hash == "":
		return nil
	case s.ClientSecret == "":
		return notAuthorized(fmt.Sprintf("Client %s has no secret but SECRET_HASH was received", s.ClientID))
	case hash == "":
		return notAuthorized(fmt.Sprintf("Client %s is configured with secret but SECRET_HASH was not received", s.ClientID))
	case !sameSecret(hash, challenge.SecretHash(s.ClientSecret, username, s.ClientID)):
		return notAuthorized(fmt.Sprintf("Unable to verify secret hash for client %s", s.ClientID))
	}
	return nil
}

// checkSecret compares the client secret itself, for the operations that take no user name.
func (s *settings) checkSecret(secret string) error {
	if !sameSecret(secret, s.ClientSecret) {
		return notAuthorized(fmt.Sprintf("Unable to verify the secret of client %s", s.ClientID))
	}
	return nil
}

// Limits of Cognito on what callers send, in characters or members.
const (
	maxUsername  = 128
	maxParameter = 131_072 // Cognito bounds client metadata as a whole
	maxValue     = 2048
	maxSession   = 2048
)

// checkName refuses names that Cognito's pattern [\p{L}\p{M}\p{S}\p{N}\p{P}]+ refuses.
func checkName(name string) error {
	if name == "" {
		return invalidParameter("Missing required parameter USERNAME")
	}
	if len([]rune(name)) > maxUsername {
		return invalidParameter(fmt.Sprintf("USERNAME is longer than %d characters", maxUsername))
	}
	for _, r := range name {
		if r <= ' ' || r == 0x7f || r == '\uFFFD' {
			return invalidParameter("USERNAME has characters that a user name cannot have")
		}
	}
	return nil
}

// checkMetadata bounds client metadata, which goes into trigger events.
func checkMetadata(m map[string]string) error {
	total := 0
	for k, v := range m {
		total += len(k) + len(v)
	}
	if total > maxParameter {
		return invalidParameter("ClientMetadata is too large")
	}
	return nil
}
