package caddyauth

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/ratelimit"
	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/userpool"
)

const (
	attributePhone = "phone_number"
	// newPhone is how long a number that was just verified does not count for a step-up: who has taken over a session must not add a
	// number of their own and then confirm with it.
	newPhone = freshSignIn
)

// phoneOf is the person's number and whether it is verified, as the pool has them; "" where codes by SMS are off.
func (v *portalVisit) phoneOf(ctx context.Context, s session.Session) (number string, verified bool, err error) {
	if !v.rt.config.SMSStepUp {
		return "", false, nil
	}
	tokens, err := v.rt.sessions.Tokens(ctx, s)
	if err != nil {
		return "", false, stepUpFailure(err)
	}
	user, err := v.rt.pool.User(ctx, tokens.Access)
	if errors.Is(err, userpool.ErrNotAuthorized) {
		return "", false, nil // the pool has ended these tokens; whatever comes next says so
	}
	if err != nil {
		return "", false, err
	}
	return user.Attributes[attributePhone], user.Attributes[attributePhone+"_verified"] == "true", nil
}

// verifiedPhone is the number that a step-up may use, "" where there is none.
func (v *portalVisit) verifiedPhone(ctx context.Context, s session.Session) (string, error) {
	number, verified, err := v.phoneOf(ctx, s)
	if err != nil || !verified || !challenge.CallingCodeAllowed(number, v.rt.config.SMSCallingCodes) {
		return "", err
	}
	tooNew, err := v.rt.known(ctx, markPhone, s.Subject)
	if err != nil || tooNew {
		return "", err
	}
	return number, nil
}

// phoneRow is what the account page shows.
func (v *portalVisit) phoneRow(s session.Session) (masked string, verified bool, err error) {
	ctx, cancel := v.pool()
	defer cancel()
	number, verified, err := v.phoneOf(ctx, s)
	if err != nil || number == "" {
		return "", false, err
	}
	return challenge.MaskPhone(number), verified, nil
}

// parsePhone reads a number as people write it into E.164: "+", country code and up to 15 digits in all (ITU-T E.164, section 6).
func parsePhone(typed string) (string, bool) {
	if len(typed) > 64 {
		return "", false
	}
	number := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \u00a0\t().-/", r) {
			return -1
		}
		return r
	}, typed)
	if rest, ok := strings.CutPrefix(number, "00"); ok {
		number = "+" + rest
	}
	digits, ok := strings.CutPrefix(number, "+")
	ok = ok && len(digits) >= 7 && len(digits) <= 15 && digits[0] != '0' && strings.Trim(digits, "0123456789") == ""
	if !ok {
		return "", false
	}
	return number, true
}

// provenPhone is a request that needs a proof.
type provenPhone struct {
	Phone string `json:"phone"`
	Proof string `json:"proof"`
}

// auditUnproven records a change that was refused because its proof did not do.
func (v *portalVisit) auditUnproven(what happening, s session.Session, err error) {
	if failureOf(err).code == errReauthenticate.code {
		v.audit(what, "not_reauthenticated", whoIs(s)...)
	}
}

// phoneChange is what every change of the number needs: a session, a proof where the body has a place for one, the option, and the
// tokens to ask the pool with.
func (v *portalVisit) phoneChange(body any) (session.Session, session.Tokens, error) {
	s, err := v.signedIn()
	if err != nil {
		return session.Session{}, session.Tokens{}, err
	}
	if err := v.body(body); err != nil {
		return session.Session{}, session.Tokens{}, err
	}
	var unproven error
	if in, ok := body.(*provenPhone); ok {
		unproven = v.redeemProof(in.Proof, proof{Session: s.ID, Purpose: proofPhone})
	}
	if !v.rt.config.SMSStepUp {
		return session.Session{}, session.Tokens{}, failure{status: http.StatusNotFound, code: "not_found", cause: errors.New("sms_step_up is off")}
	}
	if unproven != nil {
		return s, session.Tokens{}, unproven
	}
	tokens, err := v.rt.sessions.Tokens(v.r.Context(), s)
	if err != nil {
		return session.Session{}, session.Tokens{}, stepUpFailure(err)
	}
	return s, tokens, nil
}

// postPhone takes a number and sends a code to it.
func (v *portalVisit) postPhone() error {
	in := new(provenPhone)
	s, tokens, err := v.phoneChange(in)
	if err != nil {
		v.auditUnproven(happenedPhoneChanged, s, err)
		return err
	}
	number, ok := parsePhone(in.Phone)
	if !ok || !challenge.CallingCodeAllowed(number, v.rt.config.SMSCallingCodes) {
		return failure{status: http.StatusUnprocessableEntity, code: "phone_invalid"}
	}
	if err := v.limitTexts(s, number); err != nil {
		return err
	}
	ctx, cancel := v.pool()
	defer cancel()
	coded, err := v.rt.pool.UpdateAttributes(ctx, tokens.Access, map[string]string{attributePhone: number})
	if err == nil {
		defer v.tellOfPhone(s, "changed", number[len(number)-2:]) // even where no code can be sent: the number of before is gone
	}
	if err == nil && len(coded) == 0 {
		err = v.rt.pool.SendAttributeCode(ctx, tokens.Access, attributePhone)
	}
	if err != nil {
		f := failureOf(phoneFailure(err))
		v.audit(happenedPhoneChanged, f.code, whoIs(s)...)
		return f
	}
	v.audit(happenedPhoneChanged, "", whoIs(s)...)
	return v.codeSent(number)
}

// limitTexts bounds messages to one number, too: many accounts could be made to write to one.
func (v *portalVisit) limitTexts(s session.Session, number string) error {
	err := tooMany(v.signedInWait(ratelimit.Texts, s.Subject, "number "+number))
	if err != nil {
		v.audit(happenedCode, "too_many", whoIs(s)...)
	}
	return err
}

func (v *portalVisit) codeSent(number string) error {
	return v.json(http.StatusOK, struct {
		Phone       string `json:"phone"`
		ResendAfter int    `json:"resendAfter"` // seconds
	}{challenge.MaskPhone(number), seconds(resendAfter)})
}

// postPhoneCode sends another code to a number that is not verified yet.
func (v *portalVisit) postPhoneCode() error {
	var in struct{}
	s, tokens, err := v.phoneChange(&in)
	if err != nil {
		return err
	}
	ctx, cancel := v.pool()
	defer cancel()
	number, verified, err := v.phoneOf(ctx, s)
	if err != nil {
		return err
	}
	if number == "" || verified || !challenge.CallingCodeAllowed(number, v.rt.config.SMSCallingCodes) {
		return failure{status: http.StatusConflict, code: "invalid", cause: errors.New("there is no number to verify")}
	}
	if err := v.limitTexts(s, number); err != nil {
		return err
	}
	if err := v.rt.pool.SendAttributeCode(ctx, tokens.Access, attributePhone); err != nil {
		f := failureOf(phoneFailure(err))
		v.audit(happenedCode, f.code, whoIs(s)...)
		return f
	}
	v.audit(happenedCode, "", whoIs(s)...)
	return v.codeSent(number)
}

// postPhoneVerify takes the code.
func (v *portalVisit) postPhoneVerify() error {
	var in struct {
		Code string `json:"code"`
	}
	s, tokens, err := v.phoneChange(&in)
	if err != nil {
		return err
	}
	code, ok := parseCode(in.Code)
	if !ok {
		return failure{status: http.StatusUnprocessableEntity, code: "code_wrong"}
	}
	if err := tooMany(v.signedInWait(ratelimit.Codes, s.Subject)); err != nil {
		v.audit(happenedPhoneVerified, "too_many", whoIs(s)...)
		return err
	}
	ctx, cancel := v.pool()
	defer cancel()
	// Before it is verified: there is no moment in which a new number passes.
	err = v.rt.alone(ctx, markPhone, s.Subject, func(ctx context.Context) error {
		return v.rt.remember(ctx, markPhone, s.Subject, true, newPhone)
	})
	if err != nil {
		return err
	}
	if err := v.rt.pool.VerifyAttribute(ctx, tokens.Access, attributePhone, code); err != nil {
		f := failureOf(phoneFailure(err))
		v.audit(happenedPhoneVerified, f.code, whoIs(s)...)
		return f
	}
	v.audit(happenedPhoneVerified, "", whoIs(s)...)
	return v.json(http.StatusOK, struct{}{})
}

// postPhoneRemove takes the number away.
func (v *portalVisit) postPhoneRemove() error {
	s, tokens, err := v.phoneChange(new(provenPhone))
	if err != nil {
		v.auditUnproven(happenedPhoneRemoved, s, err)
		return err
	}
	ctx, cancel := v.pool()
	defer cancel()
	if err := v.rt.pool.DeleteAttributes(ctx, tokens.Access, attributePhone); err != nil {
		f := failureOf(phoneFailure(err))
		v.audit(happenedPhoneRemoved, f.code, whoIs(s)...)
		return f
	}
	v.audit(happenedPhoneRemoved, "", whoIs(s)...)
	v.tellOfPhone(s, "removed", "")
	return v.json(http.StatusOK, struct{}{})
}

// tellOfPhone lets the owner know of a changed number by mail.
func (v *portalVisit) tellOfPhone(s session.Session, event, lastDigits string) {
	v.tellOwner("phone number "+event, s.Subject, func(ctx context.Context) error { return v.rt.notifier.PhoneChanged(ctx, s.Username, event, lastDigits) })
}

// phoneFailure is what the person may know. A number that another account has is refused as any other that cannot be used.
func phoneFailure(err error) error {
	switch {
	case errors.Is(err, userpool.ErrAttributeInvalid), errors.Is(err, userpool.ErrUserExists):
		return failure{status: http.StatusUnprocessableEntity, code: "phone_invalid", cause: err}
	case errors.Is(err, userpool.ErrCodeWrong):
		return failure{status: http.StatusForbidden, code: "code_wrong", cause: err}
	case errors.Is(err, userpool.ErrCodeExpired):
		return failure{status: http.StatusForbidden, code: "code_spent", cause: err}
	}
	return err
}
