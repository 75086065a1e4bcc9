package caddyauth

import (
	"context"
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/ratelimit"
	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/userpool"
)

// mailCode is the short code that a mail may carry beside its link, awaited by the flow that asked for it. The pool's Session, which is
// good for one answer, stays here and never with the page.
type mailCode struct {
	Session  string `json:"s,omitempty"` // of the pool; "" where it wrote to nobody: every code is wrong then
	Username string `json:"u,omitempty"` // as the pool returned it
	Tries    int    `json:"n,omitempty"`
}

// awaitsCode reports whether the page that waits for a link takes the code of the same mail, too. It proves the factor email_code.
func (v *portalVisit) awaitsCode(flow Flow) bool {
	link := v.rt.config.MagicLink
	return link != nil && link.Code && (!flow.linked() || flow.StepUp.accepts(session.EmailCode))
}

// expectCode keeps what the code will be given to, in place of what waited for an older mail. It is the same for addresses without an
// account.
func (v *portalVisit) expectCode(ctx context.Context, flow Flow, asked userpool.Result, username string) error {
	if !v.awaitsCode(flow) {
		return nil
	}
	var awaited mailCode
	if asked.Challenge != nil {
		awaited.Session, awaited.Username = asked.Challenge.Session, asked.Challenge.Username
		if awaited.Username == "" {
			awaited.Username = username
		}
	}
	return v.rt.remember(ctx, markCode, flow.ID, awaited, codeLifetime)
}

// postMailCode takes a code that was mailed, in the browser that asked for it.
func (v *portalVisit) postMailCode() error {
	var in struct {
		Flow string `json:"flow"`
		Code string `json:"code"`
	}
	if err := v.body(&in); err != nil {
		return err
	}
	flow, err := v.ownFlow(in.Flow)
	if err != nil {
		return err
	}
	if flow.Email == "" || !v.awaitsCode(flow) {
		return failure{status: http.StatusNotFound, code: "not_found", cause: errors.New("no code is awaited")}
	}
	code, err := challenge.ParseCodeAnswer(challenge.CodeAnswer(in.Code))
	if err != nil {
		return failure{status: http.StatusUnprocessableEntity, code: "code_wrong", cause: err}
	}
	what := happenedSignIn
	if flow.linked() {
		what = happenedStepUp
	}
	refused := func(f failure) error {
		v.audit(what, f.code, zap.String("factor", string(session.EmailCode)), zap.String("email", flow.Email))
		return f
	}
	if err := v.limitMailCode(flow); err != nil {
		return refused(failureOf(err))
	}
	ctx, cancel := v.pool()
	defer cancel()
	location, err := v.useCode(ctx, flow, code)
	if err != nil {
		return refused(failureOf(err))
	}
	return v.json(http.StatusOK, locationAnswer{location})
}

// limitMailCode counts a try, where nobody is signed in for the address that was typed.
func (v *portalVisit) limitMailCode(flow Flow) error {
	if flow.linked() {
		return tooMany(v.signedInWait(ratelimit.Codes, flow.StepUp.Subject))
	}
	if err := tooMany(v.senderWait(ratelimit.Codes)); err != nil {
		return err
	}
	return tooMany(v.strangerWait(ratelimit.Codes, flow.Email))
}

// useCode gives the code to the pool. What awaits it is taken away meanwhile, so that two answers at once are one try.
func (v *portalVisit) useCode(ctx context.Context, flow Flow, code string) (location string, err error) {
	var awaited mailCode
	if _, known, err := v.rt.takeMark(ctx, markCode, flow.ID, &awaited); err != nil {
		return "", err
	} else if !known {
		return "", errCodeSpent
	}
	metadata := map[string]string{challenge.KeySignInMethod: string(challenge.MagicLink)}
	if flow.linked() {
		metadata = stepUpMetadata(flow.StepUp, challenge.MagicLink)
	}
	var result userpool.Result
	if awaited.Session != "" {
		result, err = v.attempt(ctx, userpool.Response{
			Session: awaited.Session, Username: awaited.Username, Answer: challenge.CodeAnswer(code), ClientMetadata: metadata,
		})
	}
	switch {
	case errors.Is(err, userpool.ErrNotAuthorized), errors.Is(err, userpool.ErrSessionExpired):
		return "", codeSpent(err)
	case errors.Is(err, userpool.ErrThrottled): // refused before anything was looked at
		return "", errors.Join(err, v.rt.remember(context.WithoutCancel(ctx), markCode, flow.ID, awaited, codeLifetime))
	case err != nil:
		return "", err
	case result.Tokens != nil:
		return v.passedCode(ctx, flow, *result.Tokens)
	}
	if awaited.Tries++; awaited.Tries >= codeTries {
		return "", errCodeSpent
	}
	if result.Challenge != nil {
		awaited.Session = result.Challenge.Session
	}
	if err := v.rt.remember(context.WithoutCancel(ctx), markCode, flow.ID, awaited, codeLifetime); err != nil {
		return "", err
	}
	return "", failure{status: http.StatusForbidden, code: "code_wrong"}
}

// passedCode signs in, or steps up a session.
func (v *portalVisit) passedCode(ctx context.Context, flow Flow, tokens userpool.Tokens) (location string, err error) {
	if flow.linked() {
		s, err := v.stepUpSession(flow)
		if err != nil {
			v.discard(ctx, tokens)
			return "", err
		}
		return v.stepUp(ctx, flow, s, tokens, session.EmailCode)
	}
	location, err = v.signIn(ctx, acceptedProof{
		flow: flow, tokens: tokens, factor: session.EmailCode,
		owner: func(id session.Identity) bool { return sameAddress(id.Email, flow.Email) },
	})
	if err == nil {
		v.tellWaiting(ctx, flow, flow.Browser)
	}
	return location, err
}

// codeLifetime bounds how long a code is tried; the pool's Session, which lives 3 to 15 minutes, usually ends it before.
const codeLifetime = 15 * time.Minute
