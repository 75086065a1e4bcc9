package verify

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/token"
)

// sms checks a step-up code. The access token comes first: without a first factor nobody can use up a user's tries.
func (h *Handler) sms(ctx context.Context, e event, answer string) error {
	s := h.SMS
	private := e.Request.PrivateChallengeParameters
	code := private[challenge.ParamSecretCode]
	if authParametersRound(e) || code == "" {
		return errDenied("the challenge is not for a code")
	}
	a, err := challenge.ParseSMSAnswer(answer)
	if err != nil {
		return errDenied("malformed answer")
	}
	claims, err := s.Tokens.Verify(ctx, a.AccessToken, token.Access)
	if errors.Is(err, token.ErrInvalid) {
		return errDenied("the access token does not verify")
	}
	if err != nil {
		return fmt.Errorf("verifying the access token: %w", err)
	}
	if claims.Username != e.UserName || claims.ClientID != e.CallerContext.ClientID {
		return errDenied("the access token is another user's or client's")
	}
	if private[challenge.ParamPhoneNumber] == "" || e.Request.UserNotFound {
		return errDenied("there is no phone to get a code")
	}
	now := h.now()
	key := triesKey(s.Salt, e.UserName)
	op := tryKey(nonce(e), a.SecretCode)
	ok, err := s.Limiter.Take(ctx, key, op, cmp.Or(s.PerHour, 10), time.Hour, now)
	if err != nil {
		return fmt.Errorf("counting tries: %w", err)
	}
	if !ok {
		return errDenied("too many wrong codes")
	}
	if !sameCode(a.SecretCode, code) {
		return errDenied("the code is wrong")
	}
	if err := s.Limiter.Return(ctx, key, op); err != nil {
		return fmt.Errorf("returning a try: %w", err)
	}
	return nil
}

func triesKey(salt, userName string) [sha256.Size]byte {
	user := challenge.TableHash(salt, []byte(userName))
	return sha256.Sum256(append([]byte("sms tries\x00"), user[:]...))
}

// tryKey is the same for retries of one try. Without a nonce every try counts: the same code may be another session's guess.
func tryKey(nonce, code string) [sha256.Size]byte {
	if nonce == "" {
		nonce = rand.Text()
	}
	return sha256.Sum256([]byte("try\x00" + nonce + "\x00" + code))
}
