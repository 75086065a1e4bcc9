package challenge

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// maxAnswer bounds an ANSWER in bytes. Cognito allows 2048 characters a challenge response; RS256 assertions with a long
// credential ID stay below it.
const maxAnswer = 8 << 10

// ErrMalformedAnswer says that an ANSWER is not of the form its method asks for. It is a denial, never an internal error.
var ErrMalformedAnswer = errors.New("malformed challenge answer")

// PasskeyAnswer is the FIDO2 answer: an AuthenticatorAssertionResponse (WebAuthn Level 3, section 5.2.2) in base64url.
type PasskeyAnswer struct {
	CredentialID      string `json:"credentialIdB64"`
	AuthenticatorData string `json:"authenticatorDataB64"`
	ClientDataJSON    string `json:"clientDataJSON_B64"`
	Signature         string `json:"signatureB64"`
	UserHandle        string `json:"userHandleB64,omitempty"`
}

// ParsePasskeyAnswer reads a FIDO2 ANSWER. The credential ID is normalised to unpadded base64url, for some clients send it
// in plain base64. A null or absent user handle becomes the empty string.
func ParsePasskeyAnswer(answer string) (PasskeyAnswer, error) {
	var a PasskeyAnswer
	if len(answer) > maxAnswer {
		return PasskeyAnswer{}, fmt.Errorf("%w: over %d bytes", ErrMalformedAnswer, maxAnswer)
	}
	if err := json.Unmarshal([]byte(answer), &a); err != nil {
		return PasskeyAnswer{}, fmt.Errorf("%w: not a JSON object", ErrMalformedAnswer)
	}
	for name, field := range map[string]*string{
		"credentialIdB64":      &a.CredentialID,
		"authenticatorDataB64": &a.AuthenticatorData,
		"clientDataJSON_B64":   &a.ClientDataJSON,
		"signatureB64":         &a.Signature,
		"userHandleB64":        &a.UserHandle,
	} {
		if *field == "" {
			if name == "userHandleB64" {
				continue
			}
			return PasskeyAnswer{}, fmt.Errorf("%w: %s is missing", ErrMalformedAnswer, name)
		}
		raw, err := DecodeBase64(*field)
		if err != nil {
			return PasskeyAnswer{}, fmt.Errorf("%w: %s is not base64url", ErrMalformedAnswer, name)
		}
		*field = EncodeBase64(raw)
	}
	return a, nil
}

// Encode is the inverse of [ParsePasskeyAnswer].
func (a PasskeyAnswer) Encode() string {
	b, err := json.Marshal(a)
	if err != nil {
		panic("challenge: strings always marshal: " + err.Error())
	}
	return string(b)
}

// SMSAnswer is the answer to an SMS step-up: the code, and the access token that proves the first factor.
type SMSAnswer struct {
	AccessToken string `json:"jwt"`
	SecretCode  string `json:"secretCode"`
}

// ParseSMSAnswer reads an SMS step-up ANSWER. Both members must be present.
func ParseSMSAnswer(answer string) (SMSAnswer, error) {
	var a SMSAnswer
	if len(answer) > maxAnswer {
		return SMSAnswer{}, fmt.Errorf("%w: over %d bytes", ErrMalformedAnswer, maxAnswer)
	}
	if err := json.Unmarshal([]byte(answer), &a); err != nil || a.AccessToken == "" || a.SecretCode == "" {
		return SMSAnswer{}, fmt.Errorf("%w: want {\"jwt\", \"secretCode\"}", ErrMalformedAnswer)
	}
	return a, nil
}

// Encode is the inverse of [ParseSMSAnswer].
func (a SMSAnswer) Encode() string {
	b, err := json.Marshal(map[string]string{"jwt": a.AccessToken, "secretCode": a.SecretCode})
	if err != nil {
		panic("challenge: strings always marshal: " + err.Error())
	}
	return string(b)
}

// EncodeBase64 is base64url without padding (RFC 4648, section 5), the form of every binary value in this contract.
func EncodeBase64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

var urlAlphabet = strings.NewReplacer("+", "-", "/", "_")

// DecodeBase64 accepts base64url and plain base64, with or without padding.
func DecodeBase64(s string) ([]byte, error) {
	return base64.RawURLEncoding.Strict().DecodeString(urlAlphabet.Replace(strings.TrimRight(s, "=")))
}
