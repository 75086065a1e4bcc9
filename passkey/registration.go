package passkey

// Attestation is what a browser sends to complete a registration.
type Attestation struct {
	AttestationObjectB64 string   `json:"attestationObjectB64"`
	ClientDataJSONB64    string   `json:"clientDataJSON_B64"`
	FriendlyName         string   `json:"friendlyName"` // at most 256 characters; "" means the provider's name, or "Passkey"
	Transports           []string `json:"transports,omitempty"`
}
