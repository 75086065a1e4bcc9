package caddyauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/templates"
)

const (
	handoffPurpose  = "handoff"
	handoffLifetime = 60 * time.Second
	maxHandoffBody  = 4096 // bytes
)

// handoff is what a one-time code stands for: a session on its way from the portal to one application in one browser.
type handoff struct {
	Host      string          `json:"host"`       // origin of the application
	NonceHash string          `json:"nonce_hash"` // of the nonce cookie there
	Location  string          `json:"location"`   // path, query and fragment to return to
	Session   session.Session `json:"session"`

	Transaction string `json:"transaction,omitempty"` // ID of the transaction that was confirmed for this browser
}

// finish says where a browser goes that has just signed in at the portal, or was signed in already. On the portal's own origin
// that is the return target, or the account page; for an application it is <origin>/auth/handoff#<code>, where the code lives
// 60 seconds, works once, and only for the browser that holds the nonce cookie on that host. The code is in the fragment, so no
// log and no Referer header has it. A step-up that is asked for comes first.
func (rt *realm) finish(ctx context.Context, flow Flow, sess session.Session) (string, error) {
	if flow.pending(&sess, rt.now()) {
		return rt.flowURL("step-up", flow)
	}
	account := rt.portal.Path + "account"
	target, err := rt.allowedReturn(flow.Return)
	if err != nil {
		if flow.Return != "" {
			rt.logger.Warn("a sealed return target is no longer allowed", zap.Error(err))
		}
		return account, nil
	}
	targetOrigin, err := originOf(target)
	if err != nil {
		return "", err
	}
	if rt.config.portalOrigin.covers(targetOrigin) {
		return relativeReturn(target, flow.Fragment), nil
	}
	if flow.Host != targetOrigin.String() || flow.NonceHash == "" {
		return account, nil // no application waits for this
	}
	sess, err = rt.sessions.Load(ctx, sess)
	if err != nil {
		return "", fmt.Errorf("completing the session for a handoff: %w", err)
	}
	value, err := json.Marshal(handoff{flow.Host, flow.NonceHash, relativeReturn(target, flow.Fragment), sess, flow.confirmedTransaction()})
	if err != nil {
		return "", fmt.Errorf("encoding a handoff: %w", err)
	}
	code, err := randomCode(rt.rand)
	if err != nil {
		return "", err
	}
	if err := rt.sessions.PutOnce(ctx, handoffPurpose, code, value, rt.now().Add(handoffLifetime)); err != nil {
		return "", fmt.Errorf("storing a handoff: %w", err)
	}
	return flow.Host + rt.portal.Path + "handoff#" + code, nil
}

// guardPath returns what follows the portal's path in an unambiguous request path.
func (rt *realm) guardPath(r *http.Request) (below string, ok bool) {
	below, ok = strings.CutPrefix(r.URL.Path, rt.portal.Path)
	return below, ok && ambiguousPath(r.URL) == ""
}

// isPortalPath reports whether the request is for the portal's pages, on a host that it shares with an application. The portal
// comes before the guard unless somebody ordered them otherwise.
func (rt *realm) isPortalPath(r *http.Request) bool {
	_, ok := rt.guardPath(r)
	return ok && rt.config.onPortal(r)
}

// serveEndpoint answers the guard's own addresses on an application's host and reports whether it did.
func (g *Guard) serveEndpoint(w http.ResponseWriter, r *http.Request, rt *realm, below string) bool {
	if rt.config.onPortal(r) {
		return false
	}
	var serve func(http.ResponseWriter, *http.Request, *visit) error
	methods := []string{http.MethodGet, http.MethodHead}
	switch {
	case below == "handoff":
		serve, methods = rt.serveHandoff, append(methods, http.MethodPost)
	case below == "sign-out":
		serve = rt.serveSignOut
	case below == "send-again":
		serve = g.serveSendAgain
	case strings.HasPrefix(below, "assets/"):
		http.StripPrefix(rt.portal.Path+"assets", rt.pages.Assets()).ServeHTTP(w, r)
		return true
	default:
		return false
	}
	v := g.visit(r, rt)
	var err error
	switch {
	case v.origin == "":
		err = v.refuse(w, r, *v.unlisted(r))
	case !slices.Contains(methods, r.Method):
		allowed := strings.Join(methods, ", ")
		w.Header().Set("Allow", allowed)
		err = v.refuse(w, r, refusal{status: http.StatusMethodNotAllowed, reason: "method", detail: "this address answers " + allowed})
	case tooEarly(r):
		err = v.refuse(w, r, refusedEarly)
	default:
		err = serve(w, r, v)
	}
	if err != nil {
		g.logger.Error("serving "+below, zap.Error(err))
	}
	return true
}

// serveSignOut leads to the portal's sign-out page, which asks first: a GET changes nothing.
func (rt *realm) serveSignOut(w http.ResponseWriter, _ *http.Request, v *visit) error {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Location", rt.portal.String()+"sign-out?return="+url.QueryEscape(v.origin+"/"))
	w.WriteHeader(http.StatusFound)
	return nil
}

// serveHandoff shows the page whose script posts the code, and takes the code.
func (rt *realm) serveHandoff(w http.ResponseWriter, r *http.Request, v *visit) error {
	if r.Method != http.MethodPost {
		return rt.guardPage(w, r, http.StatusOK, templates.HandoffPage{})
	}
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return rt.handoffFailed(w, r, v, http.StatusForbidden, "", err)
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxHandoffBody)
	if err := r.ParseForm(); err != nil {
		return rt.handoffFailed(w, r, v, http.StatusBadRequest, "", errors.New("the form cannot be read"))
	}
	code := r.PostForm.Get("code")
	switch {
	case !isCode(code):
		return rt.handoffFailed(w, r, v, http.StatusBadRequest, "", errors.New("the form has no code"))
	case v.nonce().secret == "":
		return rt.handoffFailed(w, r, v, http.StatusForbidden, "", errors.New("this browser did not begin the sign-in, or refuses cookies"))
	}
	taken, err := rt.takeHandoff(r.Context(), code)
	if errors.Is(err, session.ErrUnavailable) {
		return rt.handoffFailed(w, r, v, http.StatusServiceUnavailable, "", err)
	}
	if err != nil || taken.Host != v.origin {
		return rt.handoffFailed(w, r, v, http.StatusForbidden, "", errors.New("the code is unknown, used, expired, or for another host"))
	}
	if !v.nonce().fits(taken.NonceHash) {
		return rt.otherTab(w, r, v, taken)
	}
	value, err := rt.sessions.Seal(taken.Session, rt.sessionHost(v.host))
	if err == nil {
		_, err = rt.sessions.Open(value, rt.sessionHost(v.host)) // it may have been ended within these seconds
	}
	if err != nil {
		return rt.handoffFailed(w, r, v, http.StatusForbidden, taken.Location, err)
	}
	if err := rt.activateApproval(r.Context(), taken); err != nil {
		return rt.handoffFailed(w, r, v, http.StatusServiceUnavailable, taken.Location, err)
	}
	rt.sessionCookie.Set(w, value, taken.Session.Ends.Sub(rt.now()))
	*v.nonce() = v.nonce().proven(taken.Session.Factors.Newest())
	rt.goBack(w, v, taken.Location)
	return nil
}

func (rt *realm) takeHandoff(ctx context.Context, code string) (handoff, error) {
	value, err := rt.sessions.TakeOnce(ctx, handoffPurpose, code)
	if err != nil {
		return handoff{}, err
	}
	var taken handoff
	if err := json.Unmarshal(value, &taken); err != nil {
		return handoff{}, session.ErrInvalid
	}
	return taken, nil
}

// otherTab meets a code made for another nonce: a stolen code, or a browser that opened two tabs before either had set the
// cookie. Nobody is signed in by it. The page asked for is opened again, which starts over with the nonce that stayed, or
// simply shows it when the other tab has signed in meanwhile.
func (rt *realm) otherTab(w http.ResponseWriter, r *http.Request, v *visit, taken handoff) error {
	if v.nonce().loops(rt.now()) {
		return rt.handoffFailed(w, r, v, http.StatusForbidden, taken.Location, errors.New("the code was made for another browser"))
	}
	rt.goBack(w, v, taken.Location)
	return nil
}

// goBack counts the handoff and returns to the application.
func (rt *realm) goBack(w http.ResponseWriter, v *visit, location string) {
	rt.nonceCookie.Set(w, v.nonce().tried(rt.now()).String(), 0)
	if !sameOriginPath(location) {
		location = "/"
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Location", location)
	w.WriteHeader(http.StatusSeeOther)
}

// handoffFailed shows an error page with a link to start again. It never redirects: a handoff that fails for a lasting reason
// would come back for ever.
func (rt *realm) handoffFailed(w http.ResponseWriter, r *http.Request, v *visit, status int, location string, why error) error {
	v.logger.Warn("a handoff failed", zap.String("origin", v.origin), zap.Error(why))
	page := templates.ErrorPage{Status: status, Code: "handoff_failed", Reference: reference(r), ActionURL: "/"}
	if sameOriginPath(location) {
		page.ActionURL = location
	}
	if status == http.StatusServiceUnavailable {
		page.Code, page.RetryAfter = "unavailable", retryAfter
		w.Header().Set("Retry-After", fmt.Sprint(retryAfter))
	}
	return rt.guardPage(w, r, status, page)
}
