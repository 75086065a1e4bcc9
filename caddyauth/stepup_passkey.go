package caddyauth

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/userpool"
)

const (
	stepUpPasskeyPurpose = "passkey step-up"
	// stepUpPasskeyLifetime is how long a prompt may stay open: a Session of the pool lives 3 minutes by default.
	stepUpPasskeyLifetime = 3 * time.Minute
)

// stepUpPasskeyState goes with a challenge to the page and comes back with the answer, in the same tab.
type stepUpPasskeyState struct {
	Flow      string    `json:"f"` // ID of the flow
	Challenge string    `json:"c"`
	Session   string    `json:"s"` // of the pool
	Username  string    `json:"u"` // as the pool returned it
	Issued    time.Time `json:"t"`
}

// errNotAsked refuses a factor that the guard did not ask for: a weaker one must never pass for it.
var errNotAsked = failure{status: http.StatusForbidden, code: "invalid", cause: errors.New("the step-up asks for another factor")}

// postStepUpPasskeyOptions gives the page a challenge of the pool for the person's own passkeys.
func (v *portalVisit) postStepUpPasskeyOptions() error {
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
	if !flow.StepUp.accepts(session.Passkey) {
		return errNotAsked
	}
	if err := v.limitSession(s); err != nil {
		return err
	}
	ctx, cancel := v.pool()
	defer cancel()
	own, err := v.rt.credentials.List(ctx, challenge.UserHandle(s.Username, s.Subject), "")
	if err != nil {
		return storeFailure(err)
	}
	rpID, usable := v.usablePasskeys(own)
	if len(usable) == 0 {
		return failure{status: http.StatusForbidden, code: "no_passkey"}
	}
	started, err := v.rt.pool.Initiate(ctx, s.Username)
	if err != nil {
		return err
	}
	offered, err := challenge.ParsePasskeyOptions(started.Parameters[challenge.ParamFIDO2Options])
	if err != nil || offered.Challenge == "" {
		return failure{status: http.StatusServiceUnavailable, code: "unavailable", cause: errors.New("the pool offers no challenge for passkeys")}
	}
	state, err := v.rt.sealState(stepUpPasskeyPurpose, stepUpPasskeyState{
		Flow: flow.ID, Challenge: offered.Challenge, Session: started.Session, Username: started.Username, Issued: v.rt.now(),
	})
	if err != nil {
		return fmt.Errorf("sealing a challenge: %w", err)
	}
	options := v.rt.ceremonies.RequestOptions(rpID, offered.Challenge, usable)
	if len(flow.StepUp.Factors) > 0 {
		options.UserVerification = "required" // without it the assertion is no such factor
	}
	return v.json(http.StatusOK, passkeyOptions{options, state})
}

// postStepUpPasskey takes the assertion.
func (v *portalVisit) postStepUpPasskey() error {
	var in struct {
		Flow     string          `json:"flow"`
		Fragment string          `json:"fragment"`
		State    string          `json:"state"`
		Answer   json.RawMessage `json:"answer"`
	}
	if err := v.body(&in); err != nil {
		return err
	}
	flow, s, err := v.stepUpFlow(in.Flow)
	if err != nil {
		return err
	}
	if err := v.limitSession(s); err != nil {
		return err
	}
	flow.Fragment = fragmentOf(in.Fragment, flow.Fragment)
	ctx, cancel := v.pool()
	defer cancel()
	location, err := v.stepUpByPasskey(ctx, flow, s, in.State, string(in.Answer))
	if err != nil {
		f := failureOf(err)
		v.audit(happenedStepUp, f.code, append(whoIs(s), zap.String("factor", string(session.Passkey)))...)
		return f
	}
	return v.json(http.StatusOK, locationAnswer{location})
}

func (v *portalVisit) stepUpByPasskey(ctx context.Context, flow Flow, s session.Session, sealed, raw string) (location string, err error) {
	var state stepUpPasskeyState
	if err := v.rt.openState(stepUpPasskeyPurpose, sealed, &state); err != nil {
		return "", err
	}
	if !v.rt.recent(state.Issued, stepUpPasskeyLifetime) {
		return "", errFlowExpired
	}
	if subtle.ConstantTimeCompare([]byte(state.Flow), []byte(flow.ID)) != 1 {
		return "", failure{status: http.StatusForbidden, code: "invalid", cause: errors.New("the challenge is another tab's")}
	}
	answer, err := assertionFor(state.Challenge, raw)
	if err != nil {
		return "", err
	}
	factor := factorOf(answer)
	if !flow.StepUp.accepts(factor) {
		return "", errNotAsked
	}
	if err := v.checkOwnPasskey(ctx, s, answer, state.Challenge); err != nil {
		return "", err
	}
	tokens, err := v.respond(ctx, userpool.Response{
		Session: state.Session, Username: state.Username, Answer: answer.Encode(),
		ClientMetadata: stepUpMetadata(flow.StepUp, challenge.FIDO2),
	})
	if err != nil {
		return "", err
	}
	return v.stepUp(ctx, flow, s, tokens, factor)
}

// checkOwnPasskey refuses a passkey that is not the person's before the pool is asked, for the page to say so.
func (v *portalVisit) checkOwnPasskey(ctx context.Context, s session.Session, answer challenge.PasskeyAnswer, expected string) error {
	id, err := challenge.DecodeBase64(answer.CredentialID)
	if err != nil {
		return failure{status: http.StatusBadRequest, code: "invalid", cause: err}
	}
	credential, err := v.rt.credentials.Get(ctx, challenge.UserHandle(s.Username, s.Subject), id)
	if err != nil {
		return passkeyFailure(err)
	}
	if _, err := v.rt.config.passkeys.Check(answer, expected, credential); err != nil {
		return passkeyFailure(err)
	}
	return nil
}
