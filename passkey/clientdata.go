package passkey

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-webauthn/webauthn/protocol"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// Limits on what a browser sends, in bytes unless said otherwise.
const (
	maxClientData        = 8 << 10
	maxChallenge         = 512 // base64url characters
	maxAttestationObject = 64 << 10
	maxAuthenticatorData = 8 << 10
	maxSignature         = 1 << 10
	// maxCredentialID is WebAuthn's limit (Level 3, section 4), which answers may have.
	maxCredentialID = 1023
	// MaxCredentialID is ours: a longer one does not fit the sort key of a DynamoDB item ("CREDENTIAL#" and base64url in 1024 bytes).
	MaxCredentialID = 759
	maxUserHandle   = 64
	maxFriendlyName = 256 // characters
)

// clientData is clientDataJSON, read strictly.
type clientData struct {
	raw       []byte
	collected protocol.CollectedClientData
}

// parseClientData reads clientDataJSON. Browsers may add members, but of those that decide anything each may come once
// and in its own spelling: Go's JSON would take the last of several, and "ORIGIN" for "origin", where another reader of
// the same signed bytes takes the first.
func parseClientData(b64 string) (clientData, error) {
	if len(b64) > maxClientData*4/3+4 {
		return clientData{}, errors.New("clientDataJSON is too long")
	}
	raw, err := challenge.DecodeBase64(b64)
	if err != nil {
		return clientData{}, errors.New("clientDataJSON is not base64url")
	}
	members, err := uniqueMembers(raw)
	if err != nil {
		return clientData{}, fmt.Errorf("reading clientDataJSON: %w", err)
	}
	for _, name := range [...]string{"type", "challenge", "origin"} {
		if !bytes.HasPrefix(members[name], []byte(`"`)) {
			return clientData{}, fmt.Errorf("clientDataJSON has no %s", name)
		}
	}
	d := clientData{raw: raw}
	if err := json.Unmarshal(raw, &d.collected); err != nil {
		return clientData{}, errors.New("clientDataJSON has members of a wrong type")
	}
	if n := len(d.collected.Challenge); n == 0 || n > maxChallenge {
		return clientData{}, fmt.Errorf("the challenge in clientDataJSON has %d characters", n)
	}
	if b, err := challenge.DecodeBase64(d.collected.Challenge); err != nil || challenge.EncodeBase64(b) != d.collected.Challenge {
		return clientData{}, errors.New("the challenge in clientDataJSON is not unpadded base64url")
	}
	if _, ok := members["topOrigin"]; ok {
		// Even with an empty or null value: only a client inside a foreign frame has reason to send it.
		d.collected.CrossOrigin = true
	}
	return d, nil
}

// uniqueMembers splits a JSON object, and refuses names that are equal but for their case.
func uniqueMembers(raw []byte) (map[string]json.RawMessage, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if t, err := decoder.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	members := make(map[string]json.RawMessage)
	folded := make(map[string]bool)
	for decoder.More() {
		t, err := decoder.Token()
		if err != nil {
			return nil, errors.New("not a JSON object")
		}
		name, ok := t.(string)
		fold := strings.ToLower(name)
		if !ok || folded[fold] {
			return nil, errors.New("a member comes twice")
		}
		folded[fold] = true
		if slices.ContainsFunc(decisiveMembers, func(own string) bool { return own != name && strings.EqualFold(own, name) }) {
			return nil, errors.New("a member is misspelt")
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, errors.New("not a JSON object")
		}
		members[name] = value
	}
	if _, err := decoder.Token(); err != nil {
		return nil, errors.New("not a JSON object")
	}
	if decoder.More() {
		return nil, errors.New("more than a JSON object")
	}
	return members, nil
}

var decisiveMembers = []string{"type", "challenge", "origin", "crossOrigin", "topOrigin", "tokenBinding"}

// verify decides on the client's part of a ceremony (WebAuthn Level 3, section 7.1, steps 7 to 11; 7.2, steps 10 to 14).
// The origin must be one of this relying party's own: an origin of another one is as foreign as any.
func (d clientData) verify(kind protocol.CeremonyType, expectedChallenge string, rp RelyingParty) error {
	if d.collected.CrossOrigin {
		return invalid(errors.New("the ceremony ran in a cross-origin frame"))
	}
	if !rp.allows(d.collected.Origin) {
		return &Error{Code: CodeInvalidOrigin, Message: "Invalid clientData origin: " + printable(d.collected.Origin)}
	}
	if expectedChallenge == "" {
		return invalid(errors.New("no challenge is expected"))
	}
	origins, appOrigins := rp.origins()
	if err := d.collected.Verify(expectedChallenge, kind, origins, appOrigins, nil, protocol.TopOriginExplicitVerificationMode, false); err != nil {
		return invalid(fmt.Errorf("verifying client data: %w", err))
	}
	return nil
}

// printable shortens what a client sent to what may stand in an answer and in a log line.
func printable(s string) string {
	const most = 256
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// ChallengeOf reads the challenge out of clientDataJSON (base64url) without trusting it, to look up the ceremony that it
// claims to answer. What it returns is base64url and at most 512 characters long.
func ChallengeOf(clientDataJSONB64 string) (string, error) {
	d, err := parseClientData(clientDataJSONB64)
	if err != nil {
		return "", invalid(err)
	}
	return d.collected.Challenge, nil
}
