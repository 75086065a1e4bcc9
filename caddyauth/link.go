package caddyauth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/ratelimit"
	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/templates"
	"github.com/caddy-cognito/passwordless/userpool"
)

// maxLink bounds a link's fragment in bytes: a message of a few hundred and an RSA signature.
const maxLink = 8192

// getLink is where a mailed link lands. It names the account and changes nothing, so that mail scanners burn nothing.
func (v *portalVisit) getLink() error {
	sealed := v.r.URL.Query().Get("flow")
	flow, err := v.linkFlow(sealed)
	if err != nil {
		return v.linkPage(flow, sealed, err)
	}
	if flow.linked() {
		if _, err := v.linkedSession(flow); err != nil {
			return v.linkPage(flow, sealed, err)
		}
	}
	return v.linkPage(flow, sealed, nil)
}

// linkFlow opens the flow of a link. Unlike a page's it may have begun in another browser.
func (v *portalVisit) linkFlow(sealed string) (Flow, error) {
	flow, err := v.rt.openFlow(sealed)
	switch {
	case errors.Is(err, errFlowExpired):
		return Flow{}, failure{status: http.StatusGone, code: "link_expired", cause: err}
	case err != nil:
		return Flow{}, failure{status: http.StatusBadRequest, code: "link_malformed", cause: err}
	case flow.Email == "" || flow.ID == "" || flow.Mailed == "":
		return Flow{}, failure{status: http.StatusBadRequest, code: "link_malformed", cause: errors.New("the flow is not that of a mail")}
	}
	return flow, nil
}

// linkPage shows the button, or why there is none.
func (v *portalVisit) linkPage(flow Flow, sealed string, cause error) error {
	browser, err := v.browser()
	if err != nil {
		return err
	}
	page := templates.LinkPage{Flow: sealed, Email: flow.Email, SameBrowser: sameBrowser(flow.Browser, browser)}
	v.describeLink(&page, flow)
	if cause != nil {
		f := failureOf(cause)
		v.note(f)
		page.Error = f.code
		return v.page(f.status, page)
	}
	if page.Current, err = v.otherAccount(flow); err != nil {
		return err
	}
	return v.page(http.StatusOK, page)
}

// otherAccount names who is signed in here, where that is not who the link is for.
func (v *portalVisit) otherAccount(flow Flow) (string, error) {
	s, ok, err := v.peek()
	if err != nil || !ok || sameAddress(s.Email, flow.Email) {
		return "", err
	}
	return cmp.Or(s.Email, s.Username), nil
}

// keptLinkPage shows the button again: the link may still be good, and it is no longer in the address bar.
func (v *portalVisit) keptLinkPage(flow Flow, sealed, raw string, f failure) error {
	browser, err := v.browser()
	if err != nil {
		return err
	}
	other, err := v.otherAccount(flow)
	if err != nil {
		return f
	}
	v.note(f)
	page := templates.LinkPage{
		Flow: sealed, Email: flow.Email, SameBrowser: sameBrowser(flow.Browser, browser), Current: other,
		Error: f.code, Link: raw, Reference: reference(v.r), RetryAfter: seconds(f.retryAfter),
	}
	v.describeLink(&page, flow)
	return v.page(f.status, page)
}

// describeLink says which request the link confirms.
func (v *portalVisit) describeLink(page *templates.LinkPage, flow Flow) {
	if t := flow.transaction(); t != nil && flow.linked() {
		page.Method, page.Target, page.Application = t.Method, t.Target, v.rt.applicationOf(flow)
	}
}

// postLink uses the link: this browser is signed in, and never the one that asked for the link.
func (v *portalVisit) postLink() error {
	if err := v.form(); err != nil {
		return err
	}
	sealed, raw := v.r.PostForm.Get("flow"), v.r.PostForm.Get("link")
	flow, err := v.linkFlow(sealed)
	if err != nil {
		return v.linkPage(flow, sealed, err)
	}
	link, err := v.readLink(raw)
	if err != nil {
		return v.linkPage(flow, sealed, err)
	}
	if err := v.limitLink(flow, link); err != nil {
		f := failureOf(err)
		if f.status == http.StatusTooManyRequests {
			v.audit(happenedLimit, f.code, zap.String("path", v.r.URL.Path))
			return v.keptLinkPage(flow, sealed, raw, f)
		}
		return v.linkPage(flow, sealed, err)
	}
	ctx, cancel := v.pool()
	defer cancel()
	location, err := v.useLink(ctx, flow, link)
	if err != nil {
		f := failureOf(err)
		if f.code == "link_used" {
			if moved, err := v.alreadySignedIn(flow); err != nil || moved {
				return err
			}
		}
		what := happenedSignIn
		if flow.linked() {
			what = happenedStepUp
		}
		v.audit(what, f.code, zap.String("factor", string(session.MagicLink)), zap.String("email", flow.Email))
		if f.code == "unavailable" || f.code == "internal" || f.code == "too_many" {
			return v.keptLinkPage(flow, sealed, raw, f)
		}
		return v.linkPage(flow, sealed, f)
	}
	return v.goOn(flow, location)
}

// mailedTo names a user within a sealed flow, in few characters.
func mailedTo(username string) string {
	sum := sha256.Sum256([]byte(username))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// limitLink counts an attempt for its sender, and for nobody else unless the link comes with the address of the very mail that was sent to
// its user: so strangers can neither use up the pool's time with links that they made up, nor an account's attempts. Only the pool can check the signature.
func (v *portalVisit) limitLink(flow Flow, link challenge.Link) error {
	if err := tooMany(v.senderWait(ratelimit.Links)); err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(flow.Mailed), []byte(mailedTo(link.Message.UserName))) != 1 {
		return failure{status: http.StatusForbidden, code: "invalid", cause: errors.New("the link is not that of the mail that the address is from")}
	}
	return tooMany(v.provenWait(ratelimit.Links, "mail "+flow.ID))
}

// alreadySignedIn goes on where this browser was signed in by this very flow: a button pressed twice.
func (v *portalVisit) alreadySignedIn(flow Flow) (bool, error) {
	s, ok, err := v.peek()
	if err != nil || !ok || !flow.done(&s) {
		return false, err
	}
	location, err := v.rt.flowURL("sign-in", flow)
	if err != nil {
		return false, err
	}
	return true, v.seeOther(location)
}

// readLink reads what the page's script took from the address. Nothing is verified here but what needs no secret.
func (v *portalVisit) readLink(raw string) (challenge.Link, error) {
	if len(raw) > maxLink {
		return challenge.Link{}, failure{status: http.StatusBadRequest, code: "link_malformed", cause: errors.New("the link is too long")}
	}
	link, err := challenge.ParseLink(raw)
	if err != nil {
		return challenge.Link{}, failure{status: http.StatusBadRequest, code: "link_malformed", cause: err}
	}
	if link.Message.ExpiredAt(v.rt.now()) {
		return challenge.Link{}, failure{status: http.StatusGone, code: "link_expired"}
	}
	return link, nil
}

// useLink signs in, or steps up a session.
func (v *portalVisit) useLink(ctx context.Context, flow Flow, link challenge.Link) (location string, err error) {
	if flow.linked() {
		return v.stepUpByLink(ctx, flow, link)
	}
	tokens, err := v.redeemLink(ctx, flow, link, map[string]string{challenge.KeySignInMethod: string(challenge.MagicLink)})
	if err != nil {
		return "", err
	}
	if flow, err = v.wholeFlow(ctx, flow); err != nil {
		v.discard(ctx, tokens)
		return "", err
	}
	browser, err := v.ensureBrowser()
	if err != nil {
		v.discard(ctx, tokens)
		return "", err
	}
	location, err = v.signIn(ctx, acceptedProof{
		flow: flow, tokens: tokens, factor: session.MagicLink,
		owner:     func(id session.Identity) bool { return sameAddress(id.Email, flow.Email) },
		elsewhere: !sameBrowser(flow.Browser, browser),
	})
	if err != nil {
		return "", err
	}
	v.tellWaiting(ctx, flow, browser)
	return location, nil
}

// tellWaiting lets the page that waits for the link know in which browser it was used.
func (v *portalVisit) tellWaiting(ctx context.Context, flow Flow, browser string) {
	if err := v.rt.remember(context.WithoutCancel(ctx), markFlow, flow.ID, browser, flowLifetime); err != nil {
		v.rt.logger.Warn("telling the page that waits for the link", zap.Error(err))
	}
}

// redeemLink always opens a flow of its own at the pool: the one that asked for the link is older than a Session lives.
func (v *portalVisit) redeemLink(ctx context.Context, flow Flow, link challenge.Link, metadata map[string]string) (userpool.Tokens, error) {
	started, err := v.rt.pool.Initiate(ctx, link.Message.UserName)
	if err != nil {
		return userpool.Tokens{}, err
	}
	metadata[challenge.KeyAlreadyHaveMagicLink] = "yes"
	tokens, err := v.respond(ctx, userpool.Response{
		Session: started.Session, Username: started.Username, Answer: link.Answer(), ClientMetadata: metadata,
	})
	if errors.Is(err, userpool.ErrNotAuthorized) {
		return userpool.Tokens{}, v.refusedLink(ctx, flow, link, err)
	}
	if err != nil {
		return userpool.Tokens{}, err
	}
	v.rememberLink(ctx, link)
	return tokens, nil
}

// wholeFlow brings back the target of a flow that was too long for a mail.
func (v *portalVisit) wholeFlow(ctx context.Context, flow Flow) (Flow, error) {
	if flow.Return != "" {
		return flow, nil
	}
	var stored Flow
	found, err := v.rt.recall(ctx, markTarget, flow.ID, &stored)
	if err != nil || !found || stored.ID != flow.ID {
		return flow, err
	}
	flow.Return, flow.Fragment = stored.Return, stored.Fragment
	return flow, nil
}

func linkID(link challenge.Link) string {
	sum := sha256.Sum256([]byte(link.Answer()))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (v *portalVisit) rememberLink(ctx context.Context, link challenge.Link) {
	if err := v.rt.remember(context.WithoutCancel(ctx), markLink, linkID(link), true, flowLifetime); err != nil {
		v.rt.logger.Warn("remembering a used link", zap.Error(err))
	}
}

// refusedLink says why the pool, which does not, may have refused a link: it was used, or a newer one went out. Only who holds the
// link learns it.
func (v *portalVisit) refusedLink(ctx context.Context, flow Flow, link challenge.Link, cause error) error {
	var used bool
	if known, err := v.rt.recall(ctx, markLink, linkID(link), &used); err != nil {
		return err
	} else if known {
		return failure{status: http.StatusGone, code: "link_used", cause: cause}
	}
	var by string
	if finished, err := v.rt.recall(ctx, markFlow, flow.ID, &by); err != nil {
		return err
	} else if finished { // by the code beside it, or by an earlier one of its links
		return failure{status: http.StatusGone, code: "link_used", cause: cause}
	}
	if sent, known, err := v.newestLink(ctx, flow.Email); err != nil {
		return err
	} else if known && link.Message.IssuedAt < sent.At.Add(-sentSlack).Unix() {
		return failure{status: http.StatusGone, code: "link_replaced", cause: cause}
	}
	return failure{status: http.StatusForbidden, code: "invalid", cause: cause}
}

// sentSlack is how much earlier than our note of it a link may have been issued.
const sentSlack = 5 * time.Second
