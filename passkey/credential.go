// Package passkey runs WebAuthn Level 3 registration and authentication ceremonies, and says what must be stored of a
// passkey. Parsing and verification of what authenticators send are go-webauthn's; the decisions that it leaves to a relying
// party are made here: pairs of origin and RP ID, cross-origin use, backup flags, counters, single use of challenges.
//
// [Ceremonies] registers passkeys and makes the options for a sign-in. [Settings.Check] verifies one assertion and writes
// nothing; what it returns goes to [Store.RecordSignIn], whose conditional write makes the outcome final.
package passkey

import "time"

// Credential is one registered passkey: a credential record (WebAuthn Level 3, section 4).
type Credential struct {
	ID             []byte    // at most MaxCredentialID bytes, unique over all users
	UserHandle     string    // challenge.UserHandle of the owner
	PublicKey      PublicKey //
	SignCount      uint32    // 0 for authenticators without a counter, as synced passkeys are
	FriendlyName   string    // 1 to 256 characters
	UserVerified   bool      // at registration
	BackupEligible bool      // may be synced; never changes
	BackupState    bool      // is synced now
	AAGUID         [16]byte  // the provider; zero when withheld. See [ProviderName]
	Transports     []string  // nil when not reported
	RelyingPartyID string    //
	CreatedAt      time.Time // UTC, ms precision
	LastSignIn     time.Time // zero: never

	// LastChallenge is the mark of the last accepted challenge, as [SignIn.LastChallenge] makes it. It starts with
	// the challenge's SHA-256 and is empty before the first sign-in.
	LastChallenge []byte
}

// PublicKey is a public key as a JSON Web Key (RFC 7517, RFC 7518 section 6, RFC 8037): the form in which credentials are
// stored. Kty is "EC" with Crv, X and Y; "RSA" with N and E; or "OKP" with Crv and X. Binary members are base64url.
type PublicKey struct {
	Alg string `json:"alg,omitempty"`
	Crv string `json:"crv,omitempty"`
	Kty string `json:"kty,omitempty"`
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
	N   string `json:"n,omitempty"`
	E   string `json:"e,omitempty"`
}
