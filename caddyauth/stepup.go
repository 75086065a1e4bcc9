package caddyauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/templates"
	"github.com/caddy-cognito/passwordless/userpool"
)

// keyTransaction is the ClientMetadata key of what a step-up approves; a pool that persists it puts it into the token.
const keyTransaction = "transactionId"

// getStepUp asks somebody who is signed in to prove it once more. Who is not signs in first; who has done so a moment ago goes on. A
// transaction is always asked about: no factor that passed before, and no GET, confirms it.
func (v *portalVisit) getStepUp() error {
	from, err := v.rt.openFlow(v.r.URL.Query().Get("flow"))
	if errors.Is(err, errFlowExpired) {
		// Back to where it led, whose guard asks anew.
		location, err := v.rt.flowURL("sign-in", from)
		if err != nil {
			return err
		}
		return v.seeOther(location)
	}
	if err != nil {
		return err
	}
	if from.StepUp == nil {
		return fmt.Errorf("%w: it asks for no step-up", errFlowInvalid)
	}
	s, ok, err := v.live()
	if err != nil {
		return err
	}
	if !ok {
		location, err := v.rt.flowURL("sign-in", from)
		if err != nil {
			return err
		}
		return v.seeOther(location)
	}
	if s.Subject != from.StepUp.Subject {
		return v.otherPerson(s)
	}
	if from.transaction() == nil && !from.pending(&s, v.rt.now()) {
		if moved, err := v.moveOn(from); err != nil || moved {
			return err
		}
	}
	browser, err := v.browser()
	if err != nil {
		return err
	}
	flow := from
	if flow.ID == "" || !sameBrowser(flow.Browser, browser) {
		if flow, err = v.newFlow(from); err != nil {
			return err
		}
	}
	flow.Issued = v.rt.now() // the person is at it
	flow.StepUp = flow.StepUp.again()
	flow.StepUp.Session = session.PublicID(s)
	if t := flow.transaction(); t != nil {
		if err := t.begin(v.rt); err != nil {
			return err
		}
	}
	return v.stepUpPage(http.StatusOK, flow, s, failure{})
}

// otherPerson refuses a step-up that is asked of somebody else than who is signed in here.
func (v *portalVisit) otherPerson(s session.Session) error {
	v.audit(happenedStepUp, "wrong_account", whoIs(s)...)
	v.again = v.rt.portal.Path + "account"
	return failure{status: http.StatusForbidden, code: "step_up_other", cause: errors.New("the step-up is asked of another person or session")}
}

// stepUpFlow opens what a step-up page of ours sent back. It is of use to the person, the session and the browser that the page was
// made for, and to nobody else.
func (v *portalVisit) stepUpFlow(sealed string) (Flow, session.Session, error) {
	flow, err := v.ownFlow(sealed)
	if err != nil {
		return Flow{}, session.Session{}, err
	}
	if flow.StepUp == nil {
		return Flow{}, session.Session{}, fmt.Errorf("%w: it asks for no step-up", errFlowInvalid)
	}
	s, err := v.stepUpSession(flow)
	if err != nil {
		return Flow{}, session.Session{}, err
	}
	spent, err := v.spent(flow)
	if err != nil {
		return Flow{}, session.Session{}, err
	}
	if spent { // the page asks anew when it is loaded again
		if v.again, err = v.rt.flowURL("step-up", flow); err != nil {
			return Flow{}, session.Session{}, err
		}
		return Flow{}, session.Session{}, fmt.Errorf("%w: its transaction was confirmed already", errFlowExpired)
	}
	return flow, s, nil
}

// stepUpSession is the session that a flow steps up, where this browser has it.
func (v *portalVisit) stepUpSession(flow Flow) (session.Session, error) {
	s, err := v.signedIn()
	if err != nil {
		return session.Session{}, err
	}
	if s.Subject != flow.StepUp.Subject || session.PublicID(s) != flow.StepUp.Session {
		return session.Session{}, v.otherPerson(s)
	}
	return s, nil
}

// means are the ways to step up that are asked for and that the person has.
type means struct {
	passkey, sms, link bool
	instead            []session.Factor // what a link stands in for, because the person does not have it
}

func (v *portalVisit) means(ctx context.Context, asked *StepUp, s session.Session) (means, error) {
	m := means{link: asked.accepts(session.MagicLink)}
	if slices.Contains(asked.Factors, session.EmailCode) {
		// A link proves the same, that mail to the address arrives.
		m.link, m.instead = true, append(m.instead, session.EmailCode)
	}
	var lacking []session.Factor
	if asked.accepts(session.Passkey) {
		own, err := v.rt.credentials.List(ctx, challenge.UserHandle(s.Username, s.Subject), "")
		if err != nil {
			return means{}, storeFailure(err)
		}
		_, usable := v.usablePasskeys(own)
		if m.passkey = len(usable) > 0; len(own) == 0 {
			lacking = append(lacking, session.Passkey)
		}
	}
	if asked.accepts(session.SMS) {
		phone, err := v.verifiedPhone(ctx, s)
		if err != nil {
			return means{}, err
		}
		if m.sms = phone != ""; !m.sms {
			lacking = append(lacking, session.SMS)
		}
	}
	if !m.link && !m.passkey && !m.sms && len(lacking) == len(asked.Factors) {
		m.link, m.instead = true, lacking
	}
	m.link = m.link && v.rt.config.MagicLink != nil && s.Email != ""
	return m, nil
}

// stepUpPage offers what there is.
func (v *portalVisit) stepUpPage(status int, flow Flow, s session.Session, f failure) error {
	offered, err := v.means(v.r.Context(), flow.StepUp, s)
	if err != nil {
		return err
	}
	sealed, err := v.rt.sealFlow(flow)
	if err != nil {
		return fmt.Errorf("sealing the sign-in state: %w", err)
	}
	page := templates.StepUpPage{
		Flow: sealed, Application: hostOf(flow.Host), Account: s.Email, Error: f.code,
		Passkey: offered.passkey, SMS: offered.sms, Link: offered.link, Instead: !flow.StepUp.accepts(session.MagicLink) && !slices.Contains(flow.StepUp.Factors, session.EmailCode),
	}
	if page.Account == "" {
		page.Account = s.Username
	}
	if t := flow.transaction(); t != nil {
		page.Method, page.Target, page.Application = t.Method, t.Target, v.rt.applicationOf(flow)
	}
	if status >= http.StatusInternalServerError {
		page.Reference = reference(v.r)
	}
	return v.page(status, page)
}

// stepUpMetadata is what goes along with the proof of a step-up.
func stepUpMetadata(asked *StepUp, method challenge.SignInMethod) map[string]string {
	metadata := map[string]string{challenge.KeySignInMethod: string(method)}
	if asked.Transaction != nil {
		metadata[keyTransaction] = asked.Transaction.ID
	}
	return metadata
}

// stepUp puts a factor that the pool has accepted into the session, and says where to go. The session stays the same one; its new
// tokens replace the old ones, which are revoked. Tokens of anybody else change nothing.
func (v *portalVisit) stepUp(ctx context.Context, flow Flow, s session.Session, tokens userpool.Tokens, factor session.Factor, also ...session.Factor) (location string, err error) {
	fresh, err := v.rt.freshFrom(ctx, tokens)
	if err != nil {
		v.discard(ctx, tokens)
		return "", err
	}
	// What the pool has accepted is used up: the person must not lose it by closing the page.
	ctx = context.WithoutCancel(ctx)
	next, err := v.rt.sessions.StepUp(ctx, s, fresh, factor, also...)
	if err != nil {
		v.discard(ctx, tokens)
		return "", stepUpFailure(err)
	}
	if err := v.setSession(next); err != nil {
		return "", err
	}
	if err := v.rt.confirm(ctx, &flow, &next, append([]session.Factor{factor}, also...)); err != nil {
		return "", err
	}
	fields := append(whoIs(next), zap.String("factor", string(factor)), zap.String("application", flow.Host))
	if flow.confirmed {
		fields = append(fields, zap.String("transaction", flow.transaction().ID))
	}
	v.audit(happenedStepUp, "", fields...)
	return v.rt.finish(v.r.Context(), flow, next)
}

// stepUpFailure says what became of a session that could not be stepped up.
func stepUpFailure(err error) error {
	switch {
	case errors.Is(err, session.ErrOtherUser):
		return failure{status: http.StatusForbidden, code: "step_up_other", cause: err}
	case errors.Is(err, session.ErrUnavailable):
		return err
	case errors.Is(err, session.ErrDenied), errors.Is(err, session.ErrExpired), errors.Is(err, session.ErrInvalid), errors.Is(err, session.ErrRefused):
		return fmt.Errorf("%w: %w", errNoSession, err)
	}
	return err
}
