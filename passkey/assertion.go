package passkey

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/go-webauthn/webauthn/protocol"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// Outcome is what a verified assertion says of its passkey, to be made final by [Store.RecordSignIn].
type Outcome struct {
	SignCount    uint32
	BackupState  bool
	UserVerified bool
}

// Check verifies one assertion against one credential (WebAuthn Level 3, section 7.2): that it is this credential's and its
// owner's; type, challenge, origin as one of the credential's own relying party, no foreign frame; RP ID hash, user
// presence, user verification if required, backup flags, signature, counter. It writes nothing.
// [CodeBackupEligibilityChanged] is returned only when everything else holds.
//
// A missing user handle is accepted, since existing clients leave it out after a user name was given; for a usernameless
// sign-in the caller found the credential by it. A counter that stands still is accepted for the very challenge that
// was accepted last: a retry, which [Store.RecordSignIn] tells from a replay.
//
// Errors are *[Error] for whatever the assertion is guilty of, and internal for a stored key or RP ID that cannot be used.
func (s Settings) Check(answer challenge.PasskeyAnswer, expectedChallenge string, c Credential) (Outcome, error) {
	parsed, data, err := parseAssertion(answer)
	if err != nil {
		return Outcome{}, invalid(err)
	}
	if subtle.ConstantTimeCompare(parsed.RawID, c.ID) != 1 {
		return Outcome{}, &Error{Code: CodeUnknownCredential, Message: "Unknown credential", cause: ErrUnknownCredential}
	}
	if handle := parsed.Response.UserHandle; len(handle) > 0 && string(handle) != c.UserHandle {
		return Outcome{}, invalid(errors.New("the user handle is another user's"))
	}
	rp, ok := s.RelyingParty(c.RelyingPartyID)
	if !ok {
		return Outcome{}, &Error{Code: CodeUnrecognizedRPID, Message: "Unrecognized RP ID"}
	}
	key, err := c.PublicKey.cose()
	if err != nil {
		return Outcome{}, err
	}
	if err := data.verify(protocol.AssertCeremony, expectedChallenge, rp); err != nil {
		return Outcome{}, err
	}
	authData := parsed.Response.AuthenticatorData
	if err := s.checkAuthenticator(authData, rp); err != nil {
		return Outcome{}, err
	}
	origins, appOrigins := rp.origins()
	if err := parsed.Verify(expectedChallenge, rp.ID, "", origins, appOrigins, nil,
		protocol.TopOriginExplicitVerificationMode, false, s.userVerification() == "required", true, key, protocol.SignaturePolicy{}); err != nil {
		return Outcome{}, invalid(fmt.Errorf("verifying the assertion: %w", err))
	}
	if !CounterAdvances(c.SignCount, authData.Counter) {
		retry := SignIn{Challenge: expectedChallenge}.Retries(c.LastChallenge)
		if !retry || authData.Counter != c.SignCount {
			return Outcome{}, invalid(ErrCounter)
		}
	}
	if authData.Flags.HasBackupEligible() != c.BackupEligible { // last, so that only the passkey's holder learns of it
		return Outcome{}, &Error{
			Code: CodeBackupEligibilityChanged, Message: "Invalid body",
			cause: errors.New("backup eligibility changed: the passkey has to be removed and added again"),
		}
	}
	return Outcome{
		SignCount:    authData.Counter,
		BackupState:  authData.Flags.HasBackupState(),
		UserVerified: authData.Flags.HasUserVerified(),
	}, nil
}

// checkAuthenticator decides on authenticator data in either ceremony (WebAuthn Level 3, section 7.1, steps 14 to 18).
func (s Settings) checkAuthenticator(a protocol.AuthenticatorData, rp RelyingParty) error {
	hash := sha256.Sum256([]byte(rp.ID))
	if subtle.ConstantTimeCompare(hash[:], a.RPIDHash) != 1 {
		return invalid(errors.New("the authenticator data is for another RP ID"))
	}
	if !a.Flags.HasUserPresent() {
		return invalid(errors.New("the user was not present"))
	}
	if s.userVerification() == "required" && !a.Flags.HasUserVerified() {
		return &Error{Code: CodeUserNotVerified, Message: "User is not verified"}
	}
	if a.Flags.HasBackupState() && !a.Flags.HasBackupEligible() {
		return invalid(errors.New("backup state without backup eligibility"))
	}
	return nil
}

func parseAssertion(answer challenge.PasskeyAnswer) (*protocol.ParsedCredentialAssertionData, clientData, error) {
	data, err := parseClientData(answer.ClientDataJSON)
	if err != nil {
		return nil, clientData{}, err
	}
	var id, authData, signature, handle []byte
	for _, field := range []struct {
		name, value string
		most        int
		to          *[]byte
	}{
		{"credential ID", answer.CredentialID, maxCredentialID, &id},
		{"authenticator data", answer.AuthenticatorData, maxAuthenticatorData, &authData},
		{"signature", answer.Signature, maxSignature, &signature},
		{"user handle", answer.UserHandle, maxUserHandle, &handle},
	} {
		if *field.to, err = decodeAtMost(field.value, field.most); err != nil {
			return nil, clientData{}, fmt.Errorf("%s: %w", field.name, err)
		}
	}
	raw := protocol.CredentialAssertionResponse{
		PublicKeyCredential: protocol.PublicKeyCredential{
			Credential: protocol.Credential{ID: challenge.EncodeBase64(id), Type: publicKeyType},
			RawID:      id,
		},
		AssertionResponse: protocol.AuthenticatorAssertionResponse{
			AuthenticatorResponse: protocol.AuthenticatorResponse{ClientDataJSON: data.raw},
			AuthenticatorData:     authData,
			Signature:             signature,
			UserHandle:            handle,
		},
	}
	parsed, err := raw.Parse()
	if err != nil {
		return nil, clientData{}, fmt.Errorf("reading the assertion: %w", err)
	}
	return parsed, data, nil
}

// decodeAtMost decodes base64url of at most so many bytes.
func decodeAtMost(s string, most int) ([]byte, error) {
	if len(s) > most*4/3+4 {
		return nil, fmt.Errorf("over %d bytes", most)
	}
	b, err := challenge.DecodeBase64(s)
	if err != nil {
		return nil, errors.New("not base64url")
	}
	if len(b) > most {
		return nil, fmt.Errorf("over %d bytes", most)
	}
	return b, nil
}
