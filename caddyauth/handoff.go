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
// that is the return target, or the account page; for an application it is <origin>/auth/handoff?flow=<seal>#<code>, where the code
// lives 60 seconds, works once, and only for the browser that holds the nonce cookie on that host. The code is in the fragment, which
// no request carries; the address itself may only stand in a body ([portalVisit.goOn]), as access logs show the header Location. The
// seal lets the handoff page offer the page asked for again. A step-up that is asked for comes first.
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
	sealed, err := rt.sealFlow(Flow{Return: flow.Return, Fragment: flow.Fragment, Host: flow.Host, NonceHash: flow.NonceHash})
	if err != nil {
		return "", fmt.Errorf("sealing the page asked for: %w", err)
	}
	return flow.Host + rt.portal.Path + "handoff?flow=" + url.QueryEscape(sealed) + "#" + code, nil
}

// goOn sends a browser on: to the portal's own pages by a redirect, and anywhere else by a page whose script opens the address.
// Browsers apply the form-action of a page to every redirect that follows its form, whoever answers it, so a redirect would break
// sign-ins whose landing page redirects to an origin that nobody listed. And what a page holds is in no access log.
func (v *portalVisit) goOn(flow Flow, location string) error {
	if strings.HasPrefix(location, v.rt.portal.Path) {
		return v.seeOther(location)
	}
	return v.page(http.StatusOK, templates.PassOnPage{
		Next: location, Handoff: v.rt.isHandoff(flow, location), OwnFragment: flow.Fragment != "",
	})
}

func (rt *realm) isHandoff(flow Flow, location string) bool {
	return flow.Host != "" && strings.HasPrefix(location, flow.Host+rt.portal.Path+"handoff?")
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
	case below == "signed-out":
		serve = rt.serveSignedOut
	case below == "send-again":
		serve = g.serveSendAgain
	case strings.HasPrefix(below, "assets/"):
		rt.limitBody(w, r, maxHandoffBody)
		http.StripPrefix(rt.portal.Path+"assets", rt.pages.Assets()).ServeHTTP(w, r)
		return true
	default:
		return false
	}
	rt.limitBody(w, r, maxHandoffBody)
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

// serveHandoff shows the page whose script posts the code, and takes the code. It answers the script where to go: a form would be
// subject to the page's form-action, up to the last redirect of the application.
func (rt *realm) serveHandoff(w http.ResponseWriter, r *http.Request, v *visit) error {
	asked := rt.askedFor(r, v)
	if r.Method != http.MethodPost {
		if v.nonce().begun > 0 {
			*v.nonce() = v.nonce().arrived()
			rt.nonceCookie.Set(w, v.nonce().String(), 0)
		}
		return rt.guardPage(w, r, http.StatusOK, templates.HandoffPage{Again: asked})
	}
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return rt.handoffFailed(w, r, v, http.StatusForbidden, asked, err)
	}
	whole := rt.limitBody(w, r, maxHandoffBody)
	if err := r.ParseForm(); err != nil {
		return rt.handoffFailed(w, r, v, http.StatusBadRequest, asked, errors.New("the form cannot be read"))
	}
	whole()
	code := r.PostForm.Get("code")
	switch {
	case !isCode(code):
		return rt.handoffFailed(w, r, v, http.StatusBadRequest, asked, errors.New("the form has no code"))
	case v.nonce().secret == "":
		return rt.handoffFailed(w, r, v, http.StatusForbidden, asked, errors.New("this browser did not begin the sign-in, or refuses cookies"))
	}
	taken, err := rt.takeHandoff(r.Context(), code)
	if errors.Is(err, session.ErrUnavailable) {
		return rt.handoffFailed(w, r, v, http.StatusServiceUnavailable, asked, err)
	}
	if err != nil || taken.Host != v.origin {
		return rt.handoffFailed(w, r, v, http.StatusForbidden, asked, errors.New("the code is unknown, used, expired, or for another host"))
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
	return rt.goBack(w, v, taken.Location)
}

// askedFor is the path and query of the page that a handoff leads to, for another try; "" where the request does not say. Only the
// browser that began the flow is offered it: an address of somebody else's choice must not stand behind a button of ours.
func (rt *realm) askedFor(r *http.Request, v *visit) string {
	flow, err := rt.openFlow(r.URL.Query().Get("flow"))
	if err != nil && !errors.Is(err, errFlowExpired) || flow.Host != v.origin || !v.nonce().fits(flow.NonceHash) {
		return ""
	}
	target, err := rt.allowedReturn(flow.Return)
	if err != nil {
		return ""
	}
	return relativeReturn(target, flow.Fragment)
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
	return rt.goBack(w, v, taken.Location)
}

// goBack counts the handoff and tells the page's script where to go in the application.
func (rt *realm) goBack(w http.ResponseWriter, v *visit, location string) error {
	rt.nonceCookie.Set(w, v.nonce().arrived().tried(rt.now()).String(), 0)
	if !sameOriginPath(location) {
		location = "/"
	}
	return writeJSON(w, http.StatusOK, locationAnswer{location})
}

// handoffFailed tells the script what to show, and the way to start again. It leads nowhere by itself: a handoff that fails for a
// lasting reason would come back for ever.
func (rt *realm) handoffFailed(w http.ResponseWriter, r *http.Request, v *visit, status int, location string, why error) error {
	v.logger.Warn("a handoff failed", zap.String("origin", v.origin), zap.Error(why))
	code := "handoff_failed"
	if status == http.StatusServiceUnavailable {
		code = "unavailable"
		w.Header().Set("Retry-After", fmt.Sprint(retryAfter))
	}
	if !sameOriginPath(location) {
		location = "/"
	}
	return writeJSON(w, status, struct {
		Error     string `json:"error"`
		Message   string `json:"message"`
		Location  string `json:"location"` // to begin again
		Reference string `json:"reference,omitempty"`
	}{code, rt.pages.Text(r.Header.Get("Accept-Language"), code), location, reference(r)})
}
