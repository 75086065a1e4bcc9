package verify

import (
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// minKeyBits is the least size of a signing key.
const minKeyBits = 2048

// magicLink checks in an order that burns nothing: form, user and expiry; the stored link; the signature; and only then, after
// everything that can fail for other reasons, the link is consumed.
func (h *Handler) magicLink(ctx context.Context, e event, answer string) error {
	m := h.MagicLink
	switch {
	case authParametersRound(e):
		if e.Request.ClientMetadata[challenge.KeyAlreadyHaveMagicLink] != "yes" {
			return errDenied("a link was not asked for yet")
		}
	case e.Request.PrivateChallengeParameters[challenge.ParamChallenge] != challenge.ProvideMagicLink:
		return errDenied("the challenge is not for a link")
	}
	link, err := challenge.ParseLink(answer)
	if err != nil {
		return errDenied("malformed link")
	}
	now := h.now()
	if link.Message.UserName != e.UserName {
		return errDenied("the link is another user's")
	}
	if link.Message.ExpiredAt(now) {
		return errDenied("the link expired")
	}
	use := Use{
		UserNameHash:  challenge.TableHash(m.Salt, []byte(e.UserName)),
		SignatureHash: challenge.TableHash(m.Salt, link.Signature),
		By:            nonce(e),
		At:            now,
	}
	stored, err := h.findLink(ctx, use)
	if err != nil {
		return err
	}
	key, err := m.Keys.PublicKey(ctx, stored.KeyID)
	if err != nil {
		return fmt.Errorf("finding the link's key: %w", err)
	}
	if key == nil || key.N == nil || key.N.BitLen() < minKeyBits {
		return fmt.Errorf("the link's key has under %d bits", minKeyBits)
	}
	digest := challenge.LinkDigest(link.Raw, challenge.LinkContext{UserPoolID: e.UserPoolID, ClientID: e.CallerContext.ClientID})
	pss := &rsa.PSSOptions{SaltLength: challenge.LinkSaltLength, Hash: crypto.SHA512}
	if err := rsa.VerifyPSS(key, crypto.SHA512, digest, link.Signature, pss); err != nil {
		return errDenied("the signature does not fit this link, pool and client")
	}
	if e.Request.UserNotFound {
		return errDenied("there is no such user")
	}
	return h.consume(ctx, e, use, stored)
}

// findLink reads a link that may be consumed: unexpired, and unused or used by the same Cognito session.
func (h *Handler) findLink(ctx context.Context, use Use) (Link, error) {
	stored, err := h.MagicLink.Links.Find(ctx, use.UserNameHash, use.SignatureHash)
	switch {
	case errors.Is(err, ErrLinkNotFound):
		return Link{}, errDenied("the link is unknown or superseded")
	case err != nil:
		return Link{}, fmt.Errorf("finding the link: %w", err)
	case !stored.UsedAt.IsZero() && (use.By == "" || stored.UsedBy != use.By):
		return Link{}, errDenied("the link was used")
	case use.At.Unix() > stored.Expires.Unix():
		return Link{}, errDenied("the link expired")
	}
	return stored, nil
}

// consume uses a link up that proved its user, and reports the address it was mailed to.
func (h *Handler) consume(ctx context.Context, e event, use Use, stored Link) error {
	if stored.UsedAt.IsZero() {
		if err := h.addressVerified(ctx, e, stored); err != nil {
			return err
		}
	}
	switch err := h.MagicLink.Links.Consume(ctx, use); {
	case errors.Is(err, ErrLinkNotFound):
		return errDenied("the link is unknown or superseded")
	case errors.Is(err, ErrLinkUsed):
		return errDenied("the link was used")
	case err != nil:
		return fmt.Errorf("consuming the link: %w", err)
	}
	return nil
}

// addressVerified reports the user's address as proven if the link was mailed to it and it was not verified before.
func (h *Handler) addressVerified(ctx context.Context, e event, stored Link) error {
	attributes := e.Request.UserAttributes
	email := attributes["email"]
	if h.MagicLink.Addresses == nil || email == "" || attributes["email_verified"] == "true" {
		return nil
	}
	if stored.AddressHash != challenge.TableHash(h.MagicLink.Salt, []byte(email)) {
		return nil
	}
	err := h.MagicLink.Addresses.AddressVerified(ctx, Address{
		UserPoolID: e.UserPoolID,
		ClientID:   e.CallerContext.ClientID,
		UserName:   e.UserName,
		Sub:        attributes["sub"],
		Email:      email,
	})
	if err != nil {
		return fmt.Errorf("verifying the address: %w", err)
	}
	return nil
}
