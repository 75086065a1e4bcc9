package caddyauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/ratelimit"
	"github.com/caddy-cognito/passwordless/templates"
	"github.com/caddy-cognito/passwordless/userpool"
)

// getSignIn shows the sign-in page, or moves on at once where somebody is signed in already. A flow that is expired, forged, or of
// another browser starts afresh.
func (v *portalVisit) getSignIn() error {
	var from Flow
	notice, status := "", http.StatusOK
	if sealed := v.r.URL.Query().Get("flow"); sealed != "" {
		opened, err := v.rt.openFlow(sealed)
		switch {
		case errors.Is(err, errFlowExpired):
			notice = "expired_flow"
		case err != nil:
			notice, status = "expired_flow", http.StatusBadRequest
		}
		from = opened
	}
	browser, err := v.browser()
	if err != nil {
		return err
	}
	moved, err := v.moveOn(from)
	if err != nil || moved {
		return err
	}
	flow := from
	if flow.ID == "" || !sameBrowser(flow.Browser, browser) {
		if flow, err = v.newFlow(from); err != nil {
			return err
		}
	} else {
		flow.Issued = v.rt.now() // the person is at it
	}
	return v.signInPage(status, flow, flow.Email, failure{code: notice})
}

// moveOn finishes a flow with the session that lives in this browser: one sign-in, many hosts. A flow that came back from several
// handoffs within seconds is not sent round again; the person decides.
func (v *portalVisit) moveOn(flow Flow) (bool, error) {
	if !isNavigation(v.r) {
		return false, nil
	}
	s, ok, err := v.live()
	if err != nil || !ok {
		return false, err
	}
	if flow.Host != "" && !flow.Lost.IsZero() && !flow.Lost.Before(s.Factors.Newest()) {
		return true, v.handoffLost(flow)
	}
	if flow.Attempt >= loopTries {
		flow.Attempt = 0
		if v.again, err = v.rt.flowURL("sign-in", flow); err != nil {
			return false, err
		}
		return true, v.fail(failure{status: http.StatusForbidden, code: "cookies_refused"})
	}
	if flow.Host != "" {
		if wait := v.portal.handoffs.take(s.Subject, v.rt.now()); wait > 0 {
			if v.again, err = v.rt.flowURL("sign-in", flow); err != nil {
				return false, err
			}
			return false, failure{status: http.StatusTooManyRequests, code: "too_many", retryAfter: wait}
		}
	}
	if flow.confirmed, err = v.spent(flow); err != nil {
		return false, err
	}
	location, err := v.rt.finish(v.r.Context(), flow, s)
	if err != nil {
		return false, err
	}
	if flow.Host != "" {
		v.audit(happenedSingleSignOn, "", append(whoIs(s), zap.String("application", flow.Host))...)
	}
	return true, v.goOn(flow, location)
}

// handoffLost ends a circle: the browser is sent to the application's handoff again and again, and something else than the guard answers
// there, such as a redirect to the guarded part of the site.
func (v *portalVisit) handoffLost(flow Flow) error {
	v.rt.logger.Error("this site never answers "+v.rt.portal.Path+"handoff, so its sign-ins go round in circles: put `passwordless_guard "+v.rt.portal.Path+
		"*` beside the guarded part, and redirects and other routes after it", zap.String("application", flow.Host), zap.String("reference", reference(v.r)))
	flow.Lost = time.Time{}
	var err error
	if v.again, err = v.rt.flowURL("sign-in", flow); err != nil {
		return err
	}
	return v.fail(failure{status: http.StatusForbidden, code: "handoff_lost"})
}

// signInPage renders the form with a fresh challenge for a passkey; nothing is stored for that.
func (v *portalVisit) signInPage(status int, flow Flow, email string, f failure) error {
	sealed, err := v.rt.sealFlow(flow)
	if err != nil {
		return fmt.Errorf("sealing the sign-in state: %w", err)
	}
	options, state, err := v.usernameless(flow)
	if err != nil {
		return err
	}
	encoded, err := json.Marshal(options)
	if err != nil {
		return fmt.Errorf("encoding passkey options: %w", err)
	}
	page := templates.SignInPage{
		Flow: sealed, Email: email, Challenge: string(encoded), State: state, Error: f.code,
		SignUp: v.rt.config.signUpOpen(), Application: hostOf(flow.Host), People: v.offeredPeople(),
	}
	if status >= http.StatusInternalServerError {
		page.Reference = reference(v.r)
	}
	return v.page(status, page)
}

// signUpOpen reports whether new addresses are welcome, at least of some domains.
func (r *Realm) signUpOpen() bool {
	return r.SignUp != nil && (r.SignUp.Mode == SignUpOpen || r.SignUp.Mode == SignUpDomains)
}

func hostOf(origin string) string {
	_, host, _ := strings.Cut(origin, "://")
	return host
}

// postSignIn mails a link.
func (v *portalVisit) postSignIn() error {
	if err := v.form(); err != nil {
		return err
	}
	flow, err := v.ownFlow(v.r.PostForm.Get("flow"))
	typed := v.r.PostForm.Get("email")
	if err != nil {
		return v.startAfresh(v.r.PostForm.Get("flow"), typed, err)
	}
	flow.Fragment, flow.StepUp = fragmentOf(v.r.PostForm.Get("fragment"), flow.Fragment), flow.StepUp.again()
	email, ok := parseAddress(typed)
	if !ok {
		return v.signInPage(http.StatusUnprocessableEntity, flow, boundedText(typed), failure{code: "email_invalid"})
	}
	if flow.Email != email {
		// A link that is on its way to another address must not report to this tab.
		if flow.ID, err = randomCode(v.rt.rand); err != nil {
			return err
		}
		flow.Email = email
	}
	return v.sendLink(flow, "")
}

// startAfresh answers a form whose flow is of no use any more with a new page, and keeps what was typed and where it led.
func (v *portalVisit) startAfresh(sealed, typed string, cause error) error {
	if !errors.Is(cause, errFlowInvalid) && !errors.Is(cause, errFlowExpired) {
		return cause
	}
	from, _ := v.rt.openFlow(sealed) // as far as it can be read
	from.Fragment = fragmentOf(v.r.PostForm.Get("fragment"), from.Fragment)
	flow, err := v.newFlow(from)
	if err != nil {
		return err
	}
	f := failureOf(cause)
	v.note(f)
	return v.signInPage(f.status, flow, boundedText(typed), f)
}

// sendLink asks the pool to mail a link, after the limits, and leads to the page that waits for it. Whether there is an account,
// and whether it may be made, changes neither the answer nor the calls.
func (v *portalVisit) sendLink(flow Flow, notice string) error {
	if v.rt.config.MagicLink == nil {
		return failure{status: http.StatusNotFound, code: "not_found", cause: errors.New("magic links are off")}
	}
	flow.Issued = v.rt.now()
	var err error
	if v.again, err = v.rt.flowURL("sign-in", flow); err != nil {
		return err
	}
	username := flow.Email
	if flow.linked() {
		s, err := v.stepUpSession(flow)
		if err != nil {
			return err
		}
		username = s.Username
	} else if err := v.limitMail(v.senderWait(ratelimit.Mails), flow); err != nil {
		return err
	}
	before, recent, err := v.claimLink(flow)
	switch {
	case err != nil:
		return err
	case recent && flow.linked(): // it is clear who asks, and the other link does not step up
		return tooMany(before.wait(v.rt.now()))
	case recent:
		v.audit(happenedLink, "too_soon", zap.String("email", flow.Email))
		return v.waitForSent(flow, before)
	}
	if err := v.limitMail(v.mailWait(flow), flow); err != nil {
		v.releaseLink(flow, before)
		return err
	}
	ctx, cancel := v.pool()
	defer cancel()
	unsent, err := v.requestLink(ctx, flow, username)
	if err != nil {
		v.releaseLink(flow, before)
		f := failureOf(err)
		v.audit(happenedLink, f.code, zap.String("email", flow.Email))
		if f.status == http.StatusTooManyRequests {
			return f
		}
		return v.noLink(flow, f)
	}
	v.audit(happenedLink, unsent, zap.String("email", flow.Email))
	flow = v.noteSent(flow)
	location, err := v.rt.flowURL("check-mail", flow)
	if err != nil {
		return err
	}
	return v.seeOther(location + notice)
}

// mailWait counts a mail before the pool makes an account for it or sends it.
func (v *portalVisit) mailWait(flow Flow) time.Duration {
	if flow.linked() {
		return v.signedInWait(ratelimit.Mails, flow.StepUp.Subject)
	}
	return v.strangerWait(ratelimit.Mails, flow.Email)
}

func (v *portalVisit) limitMail(wait time.Duration, flow Flow) error {
	err := tooMany(wait)
	if err != nil {
		v.audit(happenedLink, "too_many", zap.String("email", flow.Email))
	}
	return err
}

// noLink shows the page again that asked for a link, and why none was sent.
func (v *portalVisit) noLink(flow Flow, f failure) error {
	v.note(f)
	if !flow.linked() {
		return v.signInPage(f.status, flow, flow.Email, f)
	}
	s, err := v.stepUpSession(flow)
	if err != nil {
		return err
	}
	return v.stepUpPage(f.status, flow, s, f)
}

// requestLink makes the calls: SignUp where new accounts are welcome, Initiate, and the request for the link. unsent is the reason why no
// link went out, for the operator alone; it is "" where one did, and where the pool has done as if.
func (v *portalVisit) requestLink(ctx context.Context, flow Flow, username string) (unsent string, err error) {
	began := v.rt.now()
	if v.rt.config.signUpOpen() && !flow.linked() {
		err := v.rt.pool.SignUp(ctx, userpool.SignUp{Username: flow.Email, Attributes: map[string]string{"email": flow.Email}})
		if err == nil {
			v.audit(happenedSignUp, "", zap.String("email", flow.Email))
		}
		if err != nil && !errors.Is(err, userpool.ErrUserExists) && !errors.Is(err, userpool.ErrSignUpRefused) {
			return "", err
		}
	}
	started, err := v.rt.pool.Initiate(ctx, username)
	if err != nil && !errors.Is(err, userpool.ErrNotAuthorized) {
		return "", err
	}
	redirect, linkErr := v.linkURL(ctx, flow, started.Username) // the same work for accounts that there are not
	if linkErr != nil {
		return "", linkErr
	}
	metadata := map[string]string{
		challenge.KeySignInMethod:         string(challenge.MagicLink),
		challenge.KeyRedirectURI:          redirect,
		challenge.KeyAlreadyHaveMagicLink: "no",
	}
	if v.awaitsCode(flow) {
		metadata[challenge.KeyMagicLinkCode] = "yes"
	}
	var asked userpool.Result
	if err == nil {
		asked, err = v.rt.pool.Respond(ctx, userpool.Response{
			Session: started.Session, Username: started.Username, Answer: challenge.AnswerAuthParameters, ClientMetadata: metadata,
		})
	}
	// A refusal is no news for whoever asks: it would tell which accounts exist.
	if err != nil && !errors.Is(err, userpool.ErrNotAuthorized) {
		return "", err
	}
	if err != nil {
		unsent = reasonUnsent(err)
		v.rt.logger.Info("the pool did not send a link", zap.Error(err), zap.String("reference", reference(v.r)))
	}
	if err := v.expectCode(ctx, flow, asked, started.Username); err != nil {
		return "", err
	}
	if !flow.linked() { // else it is clear who asks
		v.evenOut(began)
	}
	return unsent, nil
}

// reasonUnsent tells a trigger that failed, as the one that mails does when its mail server is down, from a pool that refuses the account.
func reasonUnsent(err error) string {
	if refused := (*userpool.Error)(nil); errors.As(err, &refused) && refused.Code == "UserLambdaValidationException" {
		return "not_sent"
	}
	return "refused"
}

// maxLinkURL bounds the address in a mail, without its fragment, in bytes: the trigger takes 2048.
const maxLinkURL = 1800

// linkURL is where the link that is mailed to a user points. A long return target stays here.
func (v *portalVisit) linkURL(ctx context.Context, flow Flow, username string) (string, error) {
	flow.Mailed = mailedTo(username)
	link := func(f Flow) (string, error) {
		sealed, err := v.rt.sealFlow(f)
		if err != nil {
			return "", fmt.Errorf("sealing the sign-in state: %w", err)
		}
		return v.rt.portal.String() + "link?flow=" + url.QueryEscape(sealed), nil
	}
	whole, err := link(flow)
	if err != nil || len(whole) <= maxLinkURL {
		return whole, err
	}
	if err := v.rt.remember(ctx, markTarget, flow.ID, flow, flowLifetime); err != nil {
		return "", err
	}
	flow.Return, flow.Fragment = "", ""
	return link(flow)
}
