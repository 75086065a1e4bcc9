package passkey

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// Attestation is what a browser sends to complete a registration.
type Attestation struct {
	AttestationObjectB64 string     `json:"attestationObjectB64"`
	ClientDataJSONB64    string     `json:"clientDataJSON_B64"`
	FriendlyName         string     `json:"friendlyName"` // at most 256 characters; "" means the provider's name, or "Passkey"
	Transports           Transports `json:"transports,omitempty"`
}

// StartRegistration makes the options for a new passkey, and remembers their challenge. Passkeys that the user already has
// for this relying party are to be excluded by the browser.
func (c *Ceremonies) StartRegistration(ctx context.Context, u User, rpID string) (CreationOptions, error) {
	if rpID == "" {
		return CreationOptions{}, &Error{Code: CodeMissingRPID, Message: "Missing RP ID"}
	}
	rp, ok := c.Settings.RelyingParty(rpID)
	if !ok {
		return CreationOptions{}, &Error{Code: CodeUnrecognizedRPID, Message: "Unrecognized RP ID"}
	}
	if u.Handle == "" || len(u.Handle) > maxUserHandle {
		return CreationOptions{}, fmt.Errorf("starting a registration: a user handle of %d bytes, want 1 to %d", len(u.Handle), maxUserHandle)
	}
	own, err := c.Store.List(ctx, u.Handle, rp.ID)
	if err != nil {
		return CreationOptions{}, fmt.Errorf("starting a registration: %w", err)
	}
	chall, err := NewChallenge(c.Rand)
	if err != nil {
		return CreationOptions{}, err
	}
	o := c.creationOptions(u, rp, chall, own)
	stored, err := json.Marshal(o)
	if err != nil {
		return CreationOptions{}, fmt.Errorf("encoding creation options: %w", err)
	}
	if err := c.Store.PutRegistration(ctx, u.Handle, chall, stored, c.now().Add(c.Settings.registrationTimeout())); err != nil {
		return CreationOptions{}, fmt.Errorf("starting a registration: %w", err)
	}
	return o, nil
}

// FinishRegistration verifies an answer to StartRegistration (WebAuthn Level 3, section 7.1), and stores the passkey. The
// challenge is used up by the attempt, whatever comes of it.
//
// With attestation "none" a statement is ignored: some password managers send one unasked, and front ends can ask for one
// themselves. The passkey is stored as unattested and its AAGUID stays a claim. With "direct" a statement may be of any
// format that go-webauthn verifies, for Apple's and Android's up to the vendor's root. Which authenticator it is stays a
// claim unless [Settings].TrustAnchors are given: then every statement must lead to one of them.
func (c *Ceremonies) FinishRegistration(ctx context.Context, u User, a Attestation) (Credential, error) {
	object, data, err := c.Settings.parseAttestation(a)
	if err != nil {
		return Credential{}, invalid(err)
	}
	stored, err := c.Store.TakeRegistration(ctx, u.Handle, data.collected.Challenge, c.now())
	if errors.Is(err, ErrChallengeNotFound) {
		return Credential{}, &Error{Code: CodeChallengeNotFound, Message: "Challenge not found", cause: err}
	}
	if err != nil {
		return Credential{}, fmt.Errorf("finishing a registration: %w", err)
	}
	var o CreationOptions
	if err := json.Unmarshal(stored, &o); err != nil {
		return Credential{}, fmt.Errorf("finishing a registration: reading its options: %w", err)
	}
	cred, err := c.verifyRegistration(o, u, object, data)
	if err != nil {
		return Credential{}, err
	}
	cred.FriendlyName = a.FriendlyName
	if cred.FriendlyName == "" {
		cred.FriendlyName = orDefault(ProviderName(cred.AAGUID), "Passkey")
	}
	cred.Transports = a.Transports.known()
	cred.CreatedAt = c.now().UTC().Truncate(time.Millisecond)
	if err := c.Store.Add(ctx, cred); errors.Is(err, ErrCredentialExists) {
		return Credential{}, &Error{
			Code: CodeAlreadyRegistered, Message: "Credential already registered: " + challenge.EncodeBase64(cred.ID), cause: err,
		}
	} else if err != nil {
		return Credential{}, fmt.Errorf("storing a passkey: %w", err)
	}
	return cred, nil
}

func (c *Ceremonies) verifyRegistration(o CreationOptions, u User, object *protocol.AttestationObject, data clientData) (Credential, error) {
	rp, ok := c.Settings.RelyingParty(o.RP.ID)
	if !ok {
		return Credential{}, &Error{Code: CodeUnrecognizedRPID, Message: "Unrecognized RP ID"}
	}
	if o.Challenge != data.collected.Challenge || o.User.ID != u.Handle {
		return Credential{}, errors.New("finishing a registration: the stored options are not those of this challenge and user")
	}
	if err := data.verify(protocol.CreateCeremony, o.Challenge, rp); err != nil {
		return Credential{}, err
	}
	if err := c.Settings.checkAuthenticator(object.AuthData, rp); err != nil {
		return Credential{}, err
	}
	if err := c.Settings.checkProvider([16]byte(object.AuthData.AttData.AAGUID)); err != nil {
		return Credential{}, err
	}
	key, err := publicKeyOf(object.AuthData.AttData.CredentialPublicKey)
	if err != nil {
		return Credential{}, invalid(err)
	}
	if !slices.ContainsFunc(o.PubKeyCredParams, func(p CredentialParameter) bool { return p.Alg == key.Algorithm() }) {
		return Credential{}, invalid(fmt.Errorf("the credential's algorithm %d was not offered", key.Algorithm()))
	}
	var offered []protocol.CredentialParameter
	for _, p := range o.PubKeyCredParams {
		offered = append(offered, protocol.CredentialParameter{
			Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.COSEAlgorithmIdentifier(p.Alg),
		})
	}
	hash := sha256.Sum256(data.raw)
	if err := object.Verify(rp.ID, hash[:], c.Settings.userVerification() == "required", true, nil, offered,
		protocol.AttestationPolicy{}, protocol.SignaturePolicy{}); err != nil {
		return Credential{}, invalid(fmt.Errorf("verifying the attestation: %w", err))
	}
	if err := c.Settings.checkTrustPath(object, c.now()); err != nil {
		return Credential{}, err
	}
	attested := object.AuthData.AttData
	if n := len(attested.CredentialID); n == 0 || n > MaxCredentialID {
		message := fmt.Sprintf("Credential ID has %d bytes: 1 to %d can be stored, use another authenticator", n, MaxCredentialID)
		return Credential{}, &Error{Code: CodeInvalid, Message: message}
	}
	return Credential{
		ID:             slices.Clone(attested.CredentialID),
		UserHandle:     u.Handle,
		PublicKey:      key,
		SignCount:      object.AuthData.Counter,
		UserVerified:   object.AuthData.Flags.HasUserVerified(),
		BackupEligible: object.AuthData.Flags.HasBackupEligible(),
		BackupState:    object.AuthData.Flags.HasBackupState(),
		AAGUID:         [16]byte(attested.AAGUID),
		RelyingPartyID: rp.ID,
	}, nil
}

func (s Settings) parseAttestation(a Attestation) (*protocol.AttestationObject, clientData, error) {
	switch {
	case utf8.RuneCountInString(a.FriendlyName) > maxFriendlyName:
		return nil, clientData{}, fmt.Errorf("the friendly name has over %d characters", maxFriendlyName)
	case !utf8.ValidString(a.FriendlyName) || strings.ContainsFunc(a.FriendlyName, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return nil, clientData{}, errors.New("the friendly name has control characters")
	}
	data, err := parseClientData(a.ClientDataJSONB64)
	if err != nil {
		return nil, clientData{}, err
	}
	raw, err := decodeAtMost(a.AttestationObjectB64, maxAttestationObject)
	if err != nil {
		return nil, clientData{}, fmt.Errorf("attestation object: %w", err)
	}
	object, err := s.parseAttestationObject(raw)
	if err != nil {
		return nil, clientData{}, fmt.Errorf("reading the attestation object: %w", err)
	}
	if err := object.AuthData.Unmarshal(object.RawAuthData); err != nil {
		return nil, clientData{}, fmt.Errorf("reading the authenticator data: %w", err)
	}
	if !object.AuthData.Flags.HasAttestedCredentialData() || len(object.AuthData.AttData.AAGUID) != 16 {
		return nil, clientData{}, errors.New("the authenticator data has no credential")
	}
	return object, data, nil
}

// parseAttestationObject leaves an unrequested statement undecoded, so no parser of statements sees it, and returns an object
// without attestation (WebAuthn Level 3, section 8.7).
func (s Settings) parseAttestationObject(raw []byte) (*protocol.AttestationObject, error) {
	object := new(protocol.AttestationObject)
	if s.attestation() == "direct" {
		return object, webauthncbor.Unmarshal(raw, object)
	}
	var outer struct {
		AuthData  []byte                  `json:"authData"`
		Format    string                  `json:"fmt"`
		Statement webauthncbor.RawMessage `json:"attStmt"`
	}
	if err := webauthncbor.Unmarshal(raw, &outer); err != nil {
		return nil, err
	}
	if outer.Format == "" || len(outer.Statement) == 0 {
		return nil, errors.New("fmt or attStmt is missing")
	}
	object.RawAuthData, object.Format = outer.AuthData, string(protocol.AttestationFormatNone)
	return object, nil
}
