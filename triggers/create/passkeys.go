package create

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/passkey"
)

// passkeyOptions is the value of the parameter fido2options. The store is asked for unknown users too, and what it says of them is
// not used. What it says is carried along for Verify, as [passkey.Carry] encodes it: "[]" beside made-up IDs, so that Verify does
// not ask the store for those only.
func (h *Handler) passkeyOptions(ctx context.Context, e event) (options, carried string, err error) {
	p := h.Passkeys
	c, err := p.challenge(ctx, h.random())
	if err != nil {
		return "", "", fmt.Errorf("making a challenge: %w", err)
	}
	o := challenge.PasskeyOptions{
		RelyingPartyID:   p.RelyingPartyID,
		Challenge:        c,
		Timeout:          int(cmp.Or(p.Timeout, 120*time.Second).Milliseconds()),
		UserVerification: cmp.Or(p.UserVerification, "required"),
	}
	if p.ExposeCredentialIDs {
		handle := challenge.UserHandle(e.UserName, e.Request.UserAttributes["sub"])
		list, err := p.Credentials.List(ctx, handle, p.RelyingPartyID)
		if err != nil {
			return "", "", fmt.Errorf("listing passkeys: %w", err)
		}
		if e.Request.UserNotFound {
			list = nil
		}
		carried = passkey.Carry(list)
		for _, c := range list {
			o.Credentials = append(o.Credentials, challenge.CredentialDescriptor{ID: challenge.EncodeBase64(c.ID), Transports: c.Transports})
		}
		if len(o.Credentials) == 0 {
			o.Credentials = h.fakeCredentials(fakeBasis(e))
		}
	}
	return o.Encode(), carried, nil
}

// minChallenge is the least length of a challenge in bytes (WebAuthn Level 3, section 13.4.3).
const minChallenge = 16

// challenge asks the operator's generator, if there is one, and does not trust its form: Verify could never match another one.
func (p *Passkeys) challenge(ctx context.Context, random io.Reader) (string, error) {
	if p.Challenge == nil {
		return passkey.NewChallenge(random)
	}
	c, err := p.Challenge(ctx)
	if err != nil {
		return "", err
	}
	raw, err := challenge.DecodeBase64(c)
	if err != nil || len(raw) < minChallenge || challenge.EncodeBase64(raw) != c {
		return "", fmt.Errorf("the generator made no unpadded base64url of at least %d bytes", minChallenge)
	}
	return c, nil
}
