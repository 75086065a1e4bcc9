package caddyauth

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/ratelimit"
	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/userpool"
)

const (
	stepUpSMSPurpose = "sms step-up"
	// codeTries is how many wrong answers the triggers take for one code.
	codeTries = 3
)

// smsState goes with a code that is awaited to the page and comes back with what was typed, in the same tab.
type smsState struct {
	Flow     string    `json:"f"` // ID of the flow
	Session  string    `json:"s"` // of the pool
	Username string    `json:"u"` // as the pool returned it
	Tries    int       `json:"n,omitempty"`
	Issued   time.Time `json:"t"`
}

// postSendCode has the pool send a code. Where it goes is for the pool to know; the page learns the last digits.
func (v *portalVisit) postSendCode() error {
	var in struct {
		Flow string `json:"flow"`
	}
	if err := v.body(&in); err != nil {
		return err
	}
	flow, s, err := v.stepUpFlow(in.Flow)
	if err != nil {
		return err
	}
	if !flow.StepUp.accepts(session.SMS) {
		return errNotAsked
	}
	ctx, cancel := v.pool()
	defer cancel()
	phone, err := v.verifiedPhone(ctx, s)
	if err != nil {
		return err
	}
	if phone == "" {
		return errNotAsked
	}
	if err := tooMany(v.signedInWait(ratelimit.Texts, s.Subject, "number "+phone)); err != nil {
		v.audit(happenedCode, "too_many", whoIs(s)...)
		return err
	}
	next, err := v.requestCode(ctx, flow, s)
	if err != nil {
		v.audit(happenedCode, failureOf(err).code, whoIs(s)...)
		return err
	}
	state, err := v.rt.sealState(stepUpSMSPurpose, smsState{Flow: flow.ID, Session: next.Session, Username: next.Username, Issued: v.rt.now()})
	if err != nil {
		return fmt.Errorf("sealing a challenge: %w", err)
	}
	v.audit(happenedCode, "", whoIs(s)...)
	return v.json(http.StatusOK, struct {
		State       string `json:"state"`
		Phone       string `json:"phone"`
		ResendAfter int    `json:"resendAfter"` // seconds
	}{state, next.Parameters[challenge.ParamPhoneNumber], seconds(resendAfter)})
}

// requestCode makes the calls. The access token shows the triggers that a first factor has passed.
func (v *portalVisit) requestCode(ctx context.Context, flow Flow, s session.Session) (userpool.Challenge, error) {
	tokens, err := v.rt.sessions.Tokens(ctx, s)
	if err != nil {
		return userpool.Challenge{}, stepUpFailure(err)
	}
	started, err := v.rt.pool.Initiate(ctx, s.Username)
	if err != nil {
		return userpool.Challenge{}, err
	}
	metadata := stepUpMetadata(flow.StepUp, challenge.SMSStepUp)
	metadata[challenge.KeyFirstFactorToken] = tokens.Access
	result, err := v.attempt(ctx, userpool.Response{
		Session: started.Session, Username: started.Username, Answer: challenge.AnswerAuthParameters, ClientMetadata: metadata,
	})
	if err != nil {
		return userpool.Challenge{}, err
	}
	if result.Challenge == nil {
		if result.Tokens != nil {
			v.discard(ctx, *result.Tokens)
		}
		return userpool.Challenge{}, fmt.Errorf("%w: the pool asks for no code", userpool.ErrNotAuthorized)
	}
	next := *result.Challenge
	if next.Username == "" {
		next.Username = started.Username
	}
	return next, nil
}

// wrongCode is what the page gets for a code that did not pass, with the state for the next try.
type wrongCode struct {
	Error   string `json:"error"`
	Message string `json:"message"`
	State   string `json:"state,omitempty"`
}

// errCodeSpent ends a code.
var errCodeSpent = failure{status: http.StatusForbidden, code: "code_spent"}

// codeSpent is errCodeSpent with what the pool said.
func codeSpent(cause error) failure {
	spent := errCodeSpent
	spent.cause = cause
	return spent
}

// postStepUpCode takes a code.
func (v *portalVisit) postStepUpCode() error {
	var in struct {
		Flow     string `json:"flow"`
		Fragment string `json:"fragment"`
		State    string `json:"state"`
		Code     string `json:"code"`
	}
	if err := v.body(&in); err != nil {
		return err
	}
	flow, s, err := v.stepUpFlow(in.Flow)
	if err != nil {
		return err
	}
	if !flow.StepUp.accepts(session.SMS) {
		return errNotAsked
	}
	flow.Fragment = fragmentOf(in.Fragment, flow.Fragment)
	code, ok := parseCode(in.Code)
	if !ok {
		return failure{status: http.StatusUnprocessableEntity, code: "code_wrong"}
	}
	if err := tooMany(v.signedInWait(ratelimit.Codes, s.Subject)); err != nil {
		v.audit(happenedStepUp, "too_many", append(whoIs(s), zap.String("factor", string(session.SMS)))...)
		return err
	}
	ctx, cancel := v.pool()
	defer cancel()
	location, again, err := v.stepUpByCode(ctx, flow, s, in.State, code)
	if err != nil {
		f := failureOf(err)
		v.audit(happenedStepUp, f.code, append(whoIs(s), zap.String("factor", string(session.SMS)))...)
		if again == "" {
			return f
		}
		v.note(f)
		return v.json(f.status, wrongCode{f.code, v.rt.pages.Text(v.language(), f.code), again})
	}
	return v.json(http.StatusOK, locationAnswer{location})
}

// parseCode reads a code as people type it, in groups perhaps.
func parseCode(typed string) (string, bool) {
	if len(typed) > 64 {
		return "", false
	}
	code := strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' || r == '\u00a0' {
			return -1
		}
		return r
	}, typed)
	return code, len(code) >= 4 && len(code) <= 10 && strings.Trim(code, "0123456789") == ""
}

// stepUpByCode gives the code to the pool. again is the state for another try of the same code.
func (v *portalVisit) stepUpByCode(ctx context.Context, flow Flow, s session.Session, sealed, code string) (location, again string, err error) {
	var state smsState
	if err := v.rt.openState(stepUpSMSPurpose, sealed, &state); err != nil {
		return "", "", errCodeSpent
	}
	if subtle.ConstantTimeCompare([]byte(state.Flow), []byte(flow.ID)) != 1 || !v.rt.recent(state.Issued, codeLifetime) {
		return "", "", errCodeSpent
	}
	tokens, err := v.rt.sessions.Tokens(ctx, s)
	if err != nil {
		return "", "", stepUpFailure(err)
	}
	result, err := v.attempt(ctx, userpool.Response{
		Session: state.Session, Username: state.Username, Answer: challenge.SMSAnswer{AccessToken: tokens.Access, SecretCode: code}.Encode(),
		ClientMetadata: stepUpMetadata(flow.StepUp, challenge.SMSStepUp),
	})
	switch {
	case errors.Is(err, userpool.ErrNotAuthorized), errors.Is(err, userpool.ErrSessionExpired):
		return "", "", codeSpent(err)
	case err != nil:
		return "", "", err
	case result.Tokens != nil:
		location, err = v.stepUp(ctx, flow, s, *result.Tokens, session.SMS)
		return location, "", err
	}
	state.Session, state.Tries = result.Challenge.Session, state.Tries+1
	if state.Tries >= codeTries {
		return "", "", errCodeSpent
	}
	if again, err = v.rt.sealState(stepUpSMSPurpose, state); err != nil {
		return "", "", fmt.Errorf("sealing a challenge: %w", err)
	}
	return "", again, failure{status: http.StatusForbidden, code: "code_wrong"}
}
