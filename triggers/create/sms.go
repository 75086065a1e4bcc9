package create

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// phoneNumber is E.164.
var phoneNumber = regexp.MustCompile(`^\+[1-9][0-9]{5,14}$`)

func (s *SMS) validate() error {
	switch {
	case s.Texter == nil || s.Leases == nil || s.Limiter == nil:
		return errors.New("create: SMS step-up needs a texter, leases and a limiter")
	case s.Length != 0 && (s.Length < 4 || s.Length > 10):
		return fmt.Errorf("create: an SMS code of %d digits, want 4 to 10", s.Length)
	case s.PerDay < 0:
		return errors.New("create: the limit of messages a day is negative")
	}
	return nil
}

// sms sends a code, if there is a phone to send it to, and answers in one shape. A second round in the same session keeps
// the code and sends nothing.
func (h *Handler) sms(ctx context.Context, e event) (event, error) {
	s := h.SMS
	nonce := sessionNonce(e)
	phone := e.Request.UserAttributes["phone_number"]
	reachable := nonce != "" && !e.Request.UserNotFound && phoneNumber.MatchString(phone) &&
		(s.AllowUnverifiedPhones || e.Request.UserAttributes["phone_number_verified"] == "true")
	shown := phone
	if !reachable {
		// Verify denies whatever comes without a number.
		phone, shown = "", "+"+h.digits(11, "phone number", fakeBasis(e))
	}
	code, again := previousCode(e)
	if !again {
		round := strconv.Itoa(len(e.Request.Session))
		code = h.digits(cmp.Or(s.Length, 6), "sms code", nonce, round, e.UserPoolID, e.UserName)
		op, err := h.operation(nonce, e)
		if err != nil {
			return e, h.fail(ctx, "no randomness", err)
		}
		send := func(ctx context.Context, now time.Time) error {
			key := limiterKey("sms", challenge.TableHash(s.Salt, []byte(e.UserName)))
			ok, err := s.Limiter.Take(ctx, key, op, cmp.Or(s.PerDay, 10), 24*time.Hour, now)
			if err != nil {
				return fmt.Errorf("%w: counting messages: %w", errRefused, err)
			}
			if !ok || !reachable {
				return nil
			}
			return s.text(ctx, phone, e.Request.UserAttributes["locale"], code)
		}
		if err := h.once(ctx, s.Leases, op, send); err != nil {
			return e, h.fail(ctx, "the code could not be sent", err)
		}
	}
	e.Response.PublicChallengeParameters = map[string]string{challenge.ParamPhoneNumber: challenge.MaskPhone(shown)}
	e.Response.PrivateChallengeParameters = present(map[string]string{
		challenge.ParamSecretCode:  code,
		challenge.ParamPhoneNumber: phone,
		challenge.ParamNonce:       nonce,
	})
	e.Response.ChallengeMetadata = challenge.MetadataSMS + "-" + code
	return e, nil
}

func (s *SMS) text(ctx context.Context, to, locale, code string) error {
	content := s.Content
	if content == nil {
		content = plainText
	}
	body, err := content(locale, s.Product, code)
	if err != nil {
		return fmt.Errorf("%w: writing the message: %w", errRefused, err)
	}
	if err := s.Texter.Send(ctx, Text{To: to, Locale: locale, Body: body}); err != nil {
		return fmt.Errorf("%w: sending the message: %w", errRefused, err)
	}
	return nil
}

func plainText(_, product, code string) (string, error) {
	return fmt.Sprintf("%s is your %s code.", code, cmp.Or(product, "sign-in")), nil
}

// previousCode is that of the round before, if it was an SMS round.
func previousCode(e event) (string, bool) {
	last := e.Request.Session[len(e.Request.Session)-1]
	if last == nil {
		return "", false
	}
	code, ok := strings.CutPrefix(last.ChallengeMetadata, challenge.MetadataSMS+"-")
	return code, ok && code != ""
}
