package challenge

import (
	"encoding/json"
	"fmt"
)

// PasskeyOptions is the value of [ParamFIDO2Options]: what the browser needs for navigator.credentials.get.
type PasskeyOptions struct {
	RelyingPartyID   string                 `json:"relyingPartyId,omitempty"`
	Challenge        string                 `json:"challenge"` // base64url
	Credentials      []CredentialDescriptor `json:"credentials,omitempty"`
	Timeout          int                    `json:"timeout,omitempty"` // milliseconds
	UserVerification string                 `json:"userVerification,omitempty"`
}

// CredentialDescriptor names one passkey that may answer.
type CredentialDescriptor struct {
	ID         string   `json:"id"` // base64url
	Transports []string `json:"transports,omitempty"`
}

// ParsePasskeyOptions reads the public parameter [ParamFIDO2Options].
func ParsePasskeyOptions(s string) (PasskeyOptions, error) {
	var o PasskeyOptions
	if err := json.Unmarshal([]byte(s), &o); err != nil {
		return PasskeyOptions{}, fmt.Errorf("reading passkey options: %w", err)
	}
	return o, nil
}

// Encode writes the options as a public challenge parameter; absent members are omitted, never null.
func (o PasskeyOptions) Encode() string {
	b, err := json.Marshal(o)
	if err != nil {
		panic("challenge: options always marshal: " + err.Error())
	}
	return string(b)
}
