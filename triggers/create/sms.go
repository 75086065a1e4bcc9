package create

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/templates"
)

// maxFirstFactor bounds the token that proves a first factor, in bytes.
const maxFirstFactor = 8 << 10

// mostPerDay keeps the item that counts a day's messages within DynamoDB's 400 KB.
const mostPerDay = 10000

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
	case s.AllPerDay < 0 || s.AllPerDay > mostPerDay:
		return fmt.Errorf("create: %d messages a day for all users, want 0 to %d", s.AllPerDay, mostPerDay)
	}
	if err := challenge.CheckCallingCodes(s.CallingCodes); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	for _, o := range s.Origins {
		if _, err := plainURL(o); err != nil {
			return fmt.Errorf("create: origin %q of SMS codes: %w", o, err)
		}
	}
	return nil
}

// sms sends a code, if there is a phone to send it to, and answers in one shape. A second round in the same session keeps
// the code and sends nothing.
func (h *Handler) sms(ctx context.Context, e event) (event, error) {
	nonce := sessionNonce(e)
	phone := h.SMS.reachablePhone(e, nonce)
	round, code := codeBefore(e.Request.Session)
	if code == "" {
		proven, err := h.SMS.firstFactor(ctx, e)
		if err != nil {
			return e, h.fail(ctx, "the code could not be sent", err)
		}
		if !proven {
			phone = ""
		}
		code = h.smsCode(e, nonce, len(e.Request.Session), phone)
		if err := h.sendCode(ctx, e, nonce, phone, code); err != nil {
			return e, err
		}
	} else if code != h.smsCode(e, nonce, round, phone) {
		// It was not sent to this phone: there was no proof of a first factor, or the number has changed since.
		phone = ""
	}
	shown := phone
	if phone == "" {
		// Verify denies whatever comes without a number.
		shown = "+" + h.digits(11, "phone number", fakeBasis(e))
	}
	mask := h.SMS.Mask
	if mask == nil {
		mask = challenge.MaskPhone
	}
	e.Response.PublicChallengeParameters = map[string]string{challenge.ParamPhoneNumber: mask(shown)}
	e.Response.PrivateChallengeParameters = present(map[string]string{
		challenge.ParamSecretCode:  code,
		challenge.ParamPhoneNumber: phone,
		challenge.ParamNonce:       nonce,
	})
	e.Response.ChallengeMetadata = challenge.MetadataSMS + "-" + code
	return e, nil
}

// reachablePhone is the user's number, or "" where no code may go to it.
func (s *SMS) reachablePhone(e event, nonce string) string {
	phone := e.Request.UserAttributes["phone_number"]
	if nonce == "" || e.Request.UserNotFound || !phoneNumber.MatchString(phone) || !challenge.CallingCodeAllowed(phone, s.CallingCodes) ||
		!s.AllowUnverifiedPhones && e.Request.UserAttributes["phone_number_verified"] != "true" {
		return ""
	}
	return phone
}

// firstFactor asks for the proof where it is wanted, also for those who cannot be reached.
func (s *SMS) firstFactor(ctx context.Context, e event) (bool, error) {
	if s.FirstFactor == nil {
		return true, nil
	}
	raw := e.Request.ClientMetadata[challenge.KeyFirstFactorToken]
	if raw == "" || len(raw) > maxFirstFactor {
		return false, nil
	}
	proven, err := s.FirstFactor.Proves(ctx, raw, e.UserName, e.CallerContext.ClientID)
	if err != nil {
		return false, fmt.Errorf("checking the first factor: %w", err)
	}
	return proven, nil
}

// smsCode derives the code of a round. It covers the phone it goes to, so that later rounds can tell, from the code alone, that it went there.
func (h *Handler) smsCode(e event, nonce string, round int, phone string) string {
	return h.digits(cmp.Or(h.SMS.Length, 6), "sms code", nonce, strconv.Itoa(round), e.UserPoolID, e.UserName, phone)
}

// sendCode counts and sends one message; without a phone it does all but the sending.
func (h *Handler) sendCode(ctx context.Context, e event, nonce, phone, code string) error {
	s := h.SMS
	op, err := h.operation(nonce, e)
	if err != nil {
		return h.fail(ctx, "no randomness", err)
	}
	send := func(ctx context.Context, now time.Time) error {
		if phone == "" && s.FirstFactor != nil {
			return nil // a stranger without proof must not use up the user's messages
		}
		key := limiterKey("sms", challenge.TableHash(s.Salt, []byte(e.UserName)))
		ok, err := s.Limiter.Take(ctx, key, op, cmp.Or(s.PerDay, 10), 24*time.Hour, now)
		if err != nil {
			return fmt.Errorf("%w: counting messages: %w", errRefused, err)
		}
		if !ok || phone == "" {
			return nil
		}
		if ok, err = s.withinBudget(ctx, op, now); err != nil || !ok {
			return err
		}
		return s.text(ctx, e, phone, code)
	}
	if err := h.once(ctx, s.Leases, op, send); err != nil {
		return h.fail(ctx, "the code could not be sent", err)
	}
	return nil
}

// withinBudget counts a message for all users. One item in the table has the day's messages, so a repeated event counts once.
func (s *SMS) withinBudget(ctx context.Context, op [sha256.Size]byte, now time.Time) (bool, error) {
	if s.AllPerDay == 0 {
		return true, nil
	}
	key := limiterKey("sms of all", challenge.TableHash(s.Salt, nil))
	ok, err := s.Limiter.Take(ctx, key, op, s.AllPerDay, 24*time.Hour, now)
	if err != nil {
		return false, fmt.Errorf("%w: counting the day's messages: %w", errRefused, err)
	}
	return ok, nil
}

func (s *SMS) text(ctx context.Context, e event, to, code string) error {
	content := s.Content
	if content == nil {
		content = templates.SMSText
	}
	locale := e.Request.UserAttributes["locale"]
	host := s.host(e.Request.ClientMetadata[challenge.KeyRedirectURI])
	body, err := content(locale, templates.SMSData{Product: s.Product, Code: code, Host: host})
	if err != nil {
		return fmt.Errorf("%w: writing the message: %w", errRefused, err)
	}
	if err := s.Texter.Send(ctx, Text{To: to, Locale: locale, Body: body}); err != nil {
		return fmt.Errorf("%w: sending the message: %w", errRefused, err)
	}
	return nil
}

// host is the domain of the page that takes the code, if it is known and listed; browsers take neither ports nor addresses there.
func (s *SMS) host(redirect string) string {
	if redirect == "" && len(s.Origins) == 1 {
		redirect = s.Origins[0]
	}
	if _, err := checkRedirect(redirect, s.Origins); err != nil {
		return ""
	}
	u, err := plainURL(redirect)
	if err != nil {
		return ""
	}
	host := strings.ToLower(u.Hostname())
	if net.ParseIP(host) != nil {
		return ""
	}
	return host
}

// codeBefore finds the first SMS round, which sent the code, and the code; "" if there was none.
func codeBefore(session []*events.CognitoEventUserPoolsChallengeResult) (round int, code string) {
	for i, r := range session {
		if r == nil {
			continue
		}
		if code, ok := strings.CutPrefix(r.ChallengeMetadata, challenge.MetadataSMS+"-"); ok && code != "" {
			return i, code
		}
	}
	return 0, ""
}
