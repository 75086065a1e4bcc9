package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/passkey"
)

// passkey checks an assertion. Where the session carries the user's passkeys, the store is called once, to record the sign-in; else twice.
func (h *Handler) passkey(ctx context.Context, e event, answer string) error {
	p := h.Passkeys
	if !authParametersRound(e) {
		return errDenied("the challenge is not for a passkey")
	}
	a, err := challenge.ParsePasskeyAnswer(answer)
	if err != nil {
		return errDenied("malformed assertion")
	}
	handle := userHandle(e)
	if a.UserHandle != "" {
		if raw, err := challenge.DecodeBase64(a.UserHandle); err != nil || string(raw) != handle {
			return errDenied("the user handle is another user's")
		}
	}
	offered, err := challenge.ParsePasskeyOptions(e.Request.PrivateChallengeParameters[challenge.ParamFIDO2Options])
	if err != nil || offered.Challenge == "" {
		return errDenied("no passkey options were offered")
	}
	if len(offered.Credentials) > 0 && !slices.ContainsFunc(offered.Credentials, func(c challenge.CredentialDescriptor) bool { return c.ID == a.CredentialID }) {
		return errDenied("the credential was not offered")
	}
	asked, err := passkey.ChallengeOf(a.ClientDataJSON)
	if err != nil || asked == "" {
		return errDenied("malformed client data")
	}
	usernameless := asked != offered.Challenge
	if usernameless && a.UserHandle == "" {
		return errDenied("a usernameless assertion without a user handle")
	}
	id, err := challenge.DecodeBase64(a.CredentialID)
	if err != nil {
		return errDenied("malformed credential ID")
	}
	credential, err := p.credential(ctx, e, handle, id)
	if errors.Is(err, passkey.ErrUnknownCredential) {
		return errDenied("the user has no such credential")
	}
	if err != nil {
		return fmt.Errorf("reading the credential: %w", err)
	}
	if credential.UserHandle != handle {
		return errDenied("the credential is another user's")
	}
	outcome, err := p.Checker.Check(a, asked, credential)
	if refusal := (*passkey.Error)(nil); errors.As(err, &refusal) {
		return errDenied("the assertion does not verify")
	}
	if err != nil {
		return fmt.Errorf("checking the assertion: %w", err)
	}
	if e.Request.UserNotFound {
		return errDenied("there is no such user")
	}
	err = p.Credentials.RecordSignIn(ctx, passkey.SignIn{
		UserHandle:   handle,
		CredentialID: id,
		SignCount:    outcome.SignCount,
		BackupState:  outcome.BackupState,
		Challenge:    asked,
		Usernameless: usernameless,
		Attempt:      nonce(e),
		At:           h.now(),
	})
	switch {
	case errors.Is(err, passkey.ErrCounter):
		return errDenied("the signature counter went back")
	case errors.Is(err, passkey.ErrChallengeNotFound):
		return errDenied("the challenge is unknown, used or expired")
	case errors.Is(err, passkey.ErrUnknownCredential):
		return errDenied("the credential is gone")
	case err != nil:
		return fmt.Errorf("recording the sign-in: %w", err)
	}
	return nil
}

// credential finds the user's passkey in what Create put into the private parameters, else in the store.
func (p *Passkeys) credential(ctx context.Context, e event, handle string, id []byte) (passkey.Credential, error) {
	if list := e.Request.PrivateChallengeParameters[challenge.ParamPasskeys]; list != "" {
		return passkey.Carried(list, handle, id)
	}
	return p.Credentials.Get(ctx, handle, id)
}
