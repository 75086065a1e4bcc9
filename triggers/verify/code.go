package verify

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// linkCode checks the short code of the mail that this Cognito session asked for. It consumes the link of that mail, so that using
// either voids the other; a link that was used elsewhere, superseded or never mailed leaves its code worthless. Only
// tries of codes that exist are counted, else anybody could use up a user's tries without a mail to show for it.
func (h *Handler) linkCode(ctx context.Context, e event, answer string) error {
	m := h.MagicLink
	private := e.Request.PrivateChallengeParameters
	want, by := private[challenge.ParamSecretCode], nonce(e)
	operation, err := challenge.DecodeBase64(private[challenge.ParamOperation])
	switch {
	case !m.Code || m.Operations == nil || m.Limiter == nil:
		return errDenied("short codes are off")
	case authParametersRound(e) || private[challenge.ParamChallenge] != challenge.ProvideMagicLink || want == "" || by == "" ||
		err != nil || len(operation) != sha256.Size:
		return errDenied("the challenge is not for a short code")
	}
	given, err := challenge.ParseCodeAnswer(answer)
	if err != nil {
		return errDenied("malformed short code")
	}
	now := h.now()
	user := challenge.TableHash(m.Salt, []byte(e.UserName))
	signature, err := m.Operations.FindOperation(ctx, user, [sha256.Size]byte(operation))
	if errors.Is(err, ErrLinkNotFound) {
		return errDenied("the link of this code is unknown or superseded")
	}
	if err != nil {
		return fmt.Errorf("finding the link of a code: %w", err)
	}
	use := Use{UserNameHash: user, SignatureHash: signature, By: by, At: now}
	stored, err := h.findLink(ctx, use)
	if err != nil {
		return err
	}
	if stored.AddressHash == ([sha256.Size]byte{}) || e.Request.UserNotFound {
		return errDenied("the code was mailed to nobody")
	}
	key, op := codeTriesKey(user), tryKey(by, given)
	retry := !stored.UsedAt.IsZero() // by this very session, else findLink had refused it
	if !retry {
		ok, err := m.Limiter.Take(ctx, key, op, cmp.Or(m.PerHour, 10), time.Hour, now)
		if err != nil {
			return fmt.Errorf("counting tries: %w", err)
		}
		if !ok {
			return errDenied("too many wrong codes")
		}
	}
	if !sameCode(given, want) {
		return errDenied("the code is wrong")
	}
	if retry {
		return nil
	}
	if err := h.consume(ctx, e, use, stored); err != nil {
		return err
	}
	if err := m.Limiter.Return(ctx, key, op); err != nil {
		return fmt.Errorf("returning a try: %w", err)
	}
	return nil
}

// sameCode compares in a time that depends on neither.
func sameCode(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

func codeTriesKey(user [sha256.Size]byte) [sha256.Size]byte {
	return sha256.Sum256(append([]byte("link code tries\x00"), user[:]...))
}
