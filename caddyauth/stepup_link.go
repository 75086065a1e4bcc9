package caddyauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/session"
)

// postStepUpLink mails a fresh link to the address of the session.
func (v *portalVisit) postStepUpLink() error {
	if err := v.form(); err != nil {
		return err
	}
	flow, s, err := v.stepUpFlow(v.r.PostForm.Get("flow"))
	if err != nil {
		return err
	}
	flow.Fragment = fragmentOf(v.r.PostForm.Get("fragment"), flow.Fragment)
	offered, err := v.means(v.r.Context(), flow.StepUp, s)
	if err != nil {
		return err
	}
	if !offered.link {
		return errNotAsked
	}
	// The page that waits looks for this link alone.
	if flow.ID, err = randomCode(v.rt.rand); err != nil {
		return err
	}
	flow.Email, flow.StepUp.Linked = s.Email, true
	return v.sendLink(flow, "")
}

// linkedSession is the session that a link steps up. In any other browser the link is worth nothing: who passes it on must not
// confirm for somebody else. It is not used up by trying.
func (v *portalVisit) linkedSession(flow Flow) (session.Session, error) {
	browser, err := v.browser()
	if err != nil {
		return session.Session{}, err
	}
	elsewhere := failure{status: http.StatusForbidden, code: "step_up_elsewhere", cause: errors.New("the link steps up a session of another browser")}
	if !sameBrowser(flow.Browser, browser) {
		return session.Session{}, elsewhere
	}
	s, err := v.stepUpSession(flow)
	if errors.Is(err, errNoSession) {
		return session.Session{}, elsewhere
	}
	return s, err
}

// stepUpByLink uses the link in the browser that asked for it. Where the person has nothing of what the guard wants, it stands in.
func (v *portalVisit) stepUpByLink(ctx context.Context, flow Flow, link challenge.Link) (location string, err error) {
	s, err := v.linkedSession(flow)
	if err != nil {
		return "", err
	}
	if flow, err = v.wholeFlow(ctx, flow); err != nil {
		return "", err
	}
	offered, err := v.means(ctx, flow.StepUp, s)
	if err != nil {
		return "", err
	}
	if !offered.link {
		return "", errNotAsked
	}
	tokens, err := v.redeemLink(ctx, flow, link, stepUpMetadata(flow.StepUp, challenge.MagicLink))
	if err != nil {
		return "", err
	}
	var also []session.Factor
	for _, factor := range offered.instead {
		also = append(also, session.Instead(factor))
	}
	if location, err = v.stepUp(ctx, flow, s, tokens, session.MagicLink, also...); err != nil {
		return "", fmt.Errorf("stepping up by link: %w", err)
	}
	v.tellWaiting(ctx, flow, flow.Browser)
	return location, nil
}
