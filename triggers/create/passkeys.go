package create

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/passkey"
)

// passkeyOptions is the value of the parameter fido2options. The store is asked for unknown users too, and what it says of them is
// not used. What it says is carried along for Verify, as [passkey.Carry] encodes it: "[]" beside made-up IDs, so that Verify does
// not ask the store for those only.
func (h *Handler) passkeyOptions(ctx context.Context, e event) (options, carried string, err error) {
	p := h.Passkeys
	c, err := passkey.NewChallenge(h.random())
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
