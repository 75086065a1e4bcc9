// Package passkeytest has what tests of passkeys need: a store in memory, the conformance tests of every store, and an
// authenticator in software that can also be made to lie.
package passkeytest

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"slices"
	"testing"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/passkey"
)

// Flags of authenticator data (WebAuthn Level 3, section 6.1).
const (
	FlagUserPresent    = 0x01
	FlagUserVerified   = 0x04
	FlagBackupEligible = 0x08
	FlagBackupState    = 0x10
	FlagAttested       = 0x40
	FlagExtensions     = 0x80
)

// Authenticator is a browser with a passkey provider. It is not safe for concurrent use.
type Authenticator struct {
	Origin     string   // of the page; an application's origin also works
	Algorithm  int      // of new passkeys: ES256 (also if 0), RS256, EdDSA, ES384
	AAGUID     [16]byte //
	Flags      byte     // of every ceremony, without FlagAttested
	Counter    bool     // count signatures, as security keys do; synced passkeys stay at 0
	Transports []string //
	IDLength   int      // bytes of new credential IDs; 0 means 32

	passkeys []*heldPasskey
}

type heldPasskey struct {
	id         []byte
	rpID       string
	userHandle string
	algorithm  int
	key        crypto.Signer
	count      uint32
}

// NewAuthenticator is a provider of synced ES256 passkeys with user verification, on a page of that origin.
func NewAuthenticator(origin string) *Authenticator {
	return &Authenticator{
		Origin:     origin,
		Flags:      FlagUserPresent | FlagUserVerified | FlagBackupEligible | FlagBackupState,
		Transports: []string{"internal", "hybrid"},
	}
}

// Ceremony is what an authenticator is about to hash and sign. A test changes it to attack: see [Forge].
type Ceremony struct {
	ClientData map[string]any // type, challenge, origin, crossOrigin; may be extended
	RPID       string         // hashed into the authenticator data
	Flags      byte
	SignCount  uint32
	UserHandle string // of an assertion; "" is left out
	ID         []byte // the credential's
	Extensions []byte // CBOR, behind the credential data; set FlagExtensions too
	Trailing   []byte // appended to the CBOR of the attestation object, or to the authenticator data of an assertion
	Format     string // of the attestation; "packed" is self attestation. Anything but "none" and "packed" has no statement
	COSEKey    []byte // of an attestation
	Signature  func(signature []byte) []byte
}

// Forge changes a ceremony before it is signed, so that all but the lie is right.
type Forge func(*Ceremony)

// Create answers navigator.credentials.create with a new passkey. It ignores excludeCredentials, as an attacker would.
func (a *Authenticator) Create(t testing.TB, o passkey.CreationOptions, forge ...Forge) passkey.Attestation {
	t.Helper()
	held := &heldPasskey{rpID: o.RP.ID, userHandle: o.User.ID, algorithm: a.Algorithm}
	if held.algorithm == 0 {
		held.algorithm = ES256
	}
	held.key = generateKey(t, held.algorithm)
	held.id = make([]byte, 32)
	if a.IDLength > 0 {
		held.id = make([]byte, a.IDLength)
	}
	if _, err := rand.Read(held.id); err != nil {
		t.Fatal(err)
	}
	c := a.ceremony("webauthn.create", o.Challenge, held)
	c.Flags |= FlagAttested
	c.Format, c.COSEKey = "none", coseKey(held.algorithm, held.key.Public())
	for _, f := range forge {
		f(c)
	}
	held.id, held.count = c.ID, c.SignCount

	authData := c.authenticatorData()
	authData = append(authData, a.AAGUID[:]...)
	authData = binary.BigEndian.AppendUint16(authData, uint16(len(c.ID)))
	authData = append(authData, c.ID...)
	authData = append(authData, c.COSEKey...)
	authData = append(authData, c.Extensions...)
	clientData := c.clientDataJSON(t)
	statement := pairs{}
	if c.Format == "packed" {
		signature := sign(t, held.algorithm, held.key, signedData(authData, clientData))
		statement = pairs{"alg", held.algorithm, "sig", c.Signature(signature)}
	}
	object := encodeCBOR(pairs{"fmt", c.Format, "attStmt", statement, "authData", authData})
	a.passkeys = append(a.passkeys, held)
	return passkey.Attestation{
		AttestationObjectB64: challenge.EncodeBase64(append(object, c.Trailing...)),
		ClientDataJSONB64:    challenge.EncodeBase64(clientData),
		Transports:           slices.Clone(a.Transports),
	}
}

// Get answers navigator.credentials.get with the newest passkey that the options allow, and with its user handle. It fails
// the test when there is none.
func (a *Authenticator) Get(t testing.TB, o passkey.RequestOptions, forge ...Forge) challenge.PasskeyAnswer {
	t.Helper()
	var held *heldPasskey
	for _, p := range a.passkeys {
		allowed := len(o.AllowCredentials) == 0 || slices.ContainsFunc(o.AllowCredentials, func(d passkey.Descriptor) bool {
			return d.ID == challenge.EncodeBase64(p.id)
		})
		if p.rpID == o.RPID && allowed {
			held = p
		}
	}
	if held == nil {
		t.Fatalf("the authenticator holds no passkey of %q that the options allow", o.RPID)
	}
	if a.Counter {
		held.count++
	}
	c := a.ceremony("webauthn.get", o.Challenge, held)
	c.UserHandle = held.userHandle
	for _, f := range forge {
		f(c)
	}
	authData := append(c.authenticatorData(), c.Extensions...)
	authData = append(authData, c.Trailing...)
	clientData := c.clientDataJSON(t)
	signature := sign(t, held.algorithm, held.key, signedData(authData, clientData))
	answer := challenge.PasskeyAnswer{
		CredentialID:      challenge.EncodeBase64(c.ID),
		AuthenticatorData: challenge.EncodeBase64(authData),
		ClientDataJSON:    challenge.EncodeBase64(clientData),
		Signature:         challenge.EncodeBase64(c.Signature(signature)),
	}
	if c.UserHandle != "" {
		answer.UserHandle = challenge.EncodeBase64([]byte(c.UserHandle))
	}
	return answer
}

func (a *Authenticator) ceremony(kind, challengeB64 string, held *heldPasskey) *Ceremony {
	return &Ceremony{
		ClientData: map[string]any{"type": kind, "challenge": challengeB64, "origin": a.Origin, "crossOrigin": false},
		RPID:       held.rpID,
		Flags:      a.Flags,
		SignCount:  held.count,
		ID:         held.id,
		Signature:  func(s []byte) []byte { return s },
	}
}

// authenticatorData is the fixed part: hash, flags, counter.
func (c *Ceremony) authenticatorData() []byte {
	hash := sha256.Sum256([]byte(c.RPID))
	return binary.BigEndian.AppendUint32(append(hash[:], c.Flags), c.SignCount)
}

func (c *Ceremony) clientDataJSON(t testing.TB) []byte {
	t.Helper()
	b, err := json.Marshal(c.ClientData)
	if err != nil {
		t.Fatalf("encoding client data: %v", err)
	}
	return b
}

func signedData(authData, clientData []byte) []byte {
	hash := sha256.Sum256(clientData)
	return append(slices.Clone(authData), hash[:]...)
}
