package caddyauth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/templates"
)

// maxAuditPath bounds what a client may write into the audit log, in bytes.
const maxAuditPath = 512

// retryAfter is what clients are told to wait, in seconds, when the sign-in service cannot be reached.
const retryAfter = 5

// The Content-Security-Policy of the few pages the guard serves on an application's host. The page that sends a form again has no
// form-action: browsers would apply it to the redirects with which the application, or the next step-up, answers the form, and these
// may lead anywhere (docs/adr/0004-handoff-by-script.md).
const (
	sendAgainPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'"
	guardPolicy     = sendAgainPolicy + "; form-action 'self'"
)

// refuse answers a request that may not pass: a navigation without session goes to sign in, other navigations get a page, gRPC
// gets a status of its own, and everything else gets JSON and never a redirect.
func (v *visit) refuse(w http.ResponseWriter, r *http.Request, why refusal) error {
	v.turnedAway, v.writer.asked = true, nil // our own challenge is no upstream's
	v.rt.metrics.refused(why.reason)
	if v.authenticated && why.reason == "forbidden" {
		v.rt.record(happenedAccess, why.reason, append([]zap.Field{
			zap.String("address", clientAddress(r)), zap.String("reference", reference(r)),
			zap.String("application", v.origin), zap.String("method", r.Method), zap.String("path", r.URL.Path[:min(len(r.URL.Path), maxAuditPath)]),
		}, whoIs(v.session)...)...)
	}
	v.rt.limitBody(w, r, math.MaxInt64) // net/http reads what is left of it, at the client's pace
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if r.ProtoMajor == 1 && len(r.Header["Expect"]) > 0 {
		h.Set("Connection", "close") // else net/http asks for the body before it sends the answer, and waits for it
	}
	navigation := isNavigation(r) && !why.client && v.bearer == ""
	if !navigation {
		v.allowScript(h, r)
	}
	switch {
	case why.status == http.StatusUnauthorized && isFrame(r) && !why.client && v.bearer == "":
		return v.framed(w, r, why)
	case why.reason == "body_too_large" && isFormNavigation(r):
		return v.formTooLarge(w, r)
	case why.demand != nil && !isGRPC(r.Header):
		return v.askStepUp(w, r, why.demand, navigation)
	case why.status == http.StatusUnauthorized && navigation:
		return v.signIn(w, r, why)
	case why.status == http.StatusUnauthorized && !why.client && v.bearer == "" && v.isForm(r):
		return v.formUnsent(w, r)
	}
	h.Set("X-Content-Type-Options", "nosniff")
	if why.status == http.StatusServiceUnavailable {
		h.Set("Retry-After", strconv.Itoa(retryAfter))
	}
	if navigation {
		return v.refusePage(w, r, why)
	}
	v.challenge(h, why)
	if isGRPC(r.Header) {
		return refuseGRPC(w, r, why)
	}
	code := "bad_request"
	switch why.status {
	case http.StatusUnauthorized:
		code = "unauthenticated"
	case http.StatusForbidden:
		code = "forbidden"
	case http.StatusServiceUnavailable:
		code = "unavailable"
	}
	return writeJSON(w, why.status, struct {
		Error   string `json:"error"`
		Reason  string `json:"reason"`
		Message string `json:"message"`
	}{code, why.reason, why.detail})
}

// challenge says how to do better.
func (v *visit) challenge(h http.Header, why refusal) {
	h.Del("WWW-Authenticate")
	if why.demand != nil {
		h.Set("WWW-Authenticate", why.demand.challenge(v.rt.name))
		return
	}
	if why.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", v.rt.cookieChallenge())
	}
	if why.bearer != "" {
		h.Add("WWW-Authenticate", why.bearer)
	}
}

// scopeChallenge is for clients whose token is good but not good enough.
func (v *visit) scopeChallenge() string {
	if v.bearer == "" {
		return ""
	}
	return bearerChallenge(v.rt.name, "insufficient_scope", "")
}

// allowScript lets scripts of listed applications read why they were refused: without these headers they would be told of a network
// error (https://fetch.spec.whatwg.org/#http-cors-protocol).
func (v *visit) allowScript(h http.Header, r *http.Request) {
	values := r.Header["Origin"]
	if len(values) != 1 {
		return
	}
	h.Add("Vary", "Origin")
	if o, err := parseOrigin(values[0]); err != nil || o.wildcard || !v.rt.ownOrigin(o) {
		return
	}
	h.Set("Access-Control-Allow-Origin", values[0])
	h.Set("Access-Control-Allow-Credentials", "true")
	h.Set("Access-Control-Expose-Headers", "WWW-Authenticate")
}

// writeJSON answers a script or an API client.
func writeJSON(w http.ResponseWriter, status int, answer any) error {
	body, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("encoding an answer: %w", err)
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, err = w.Write(append(body, '\n'))
	return err
}

// cookieChallenge is the WWW-Authenticate of a 401. A scheme that browsers do not know opens no password prompt
// (draft-broyer-http-cookie-auth).
func (rt *realm) cookieChallenge() string {
	return fmt.Sprintf("Cookie realm=%q, cookie-name=%q", rt.name, rt.sessionCookie.Name)
}

func (v *visit) refusePage(w http.ResponseWriter, r *http.Request, why refusal) error {
	switch {
	case why.reason == "forbidden":
		switchAccount, err := v.rt.pageOf("sign-out", Flow{Return: v.rt.returnTarget(r, v.origin)})
		if err != nil {
			return err
		}
		return v.rt.guardPage(w, r, why.status, templates.ForbiddenPage{Email: v.session.Email, SignOutURL: switchAccount, Reference: reference(r)})
	case why.status == http.StatusServiceUnavailable:
		return v.rt.guardPage(w, r, why.status, templates.ErrorPage{
			Status: why.status, Code: "unavailable", RetryAfter: retryAfter, Reference: reference(r),
		})
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(why.status)
	_, err := fmt.Fprintf(w, "%s: %s.\n", http.StatusText(why.status), why.detail)
	return err
}

// guardPage renders a page under a strict policy. A page that cannot be rendered is plain text.
func (rt *realm) guardPage(w http.ResponseWriter, r *http.Request, status int, page templates.Page) error {
	w.Header().Set("X-Frame-Options", "DENY")
	policy := guardPolicy
	if _, ok := page.(templates.SendAgainPage); ok {
		policy = sendAgainPolicy
	}
	return rt.guardPageWith(w, r, status, policy, page)
}

func (rt *realm) guardPageWith(w http.ResponseWriter, r *http.Request, status int, policy string, page templates.Page) error {
	var body bytes.Buffer
	if err := rt.pages.Render(&body, r.Header.Get("Accept-Language"), page); err != nil {
		rt.logger.Error("rendering a page", zap.Error(err))
		body.Reset()
		fmt.Fprintln(&body, http.StatusText(status))
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", referrerPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Add("Vary", "Accept-Language")
	w.WriteHeader(status)
	_, err := body.WriteTo(w)
	return err
}

// framed answers a frame, which a person sees: a page whose link opens the address at the top level, where signing in and stepping up
// work. The page does nothing else, so it may be shown in any frame.
func (v *visit) framed(w http.ResponseWriter, r *http.Request, why refusal) error {
	v.challenge(w.Header(), why)
	return v.rt.guardPageWith(w, r, why.status, strings.Replace(guardPolicy, "frame-ancestors 'none'", "frame-ancestors *", 1), templates.ErrorPage{
		Status: why.status, Code: "framed", ActionURL: v.rt.returnTarget(r, v.origin), Action: "open", NewTab: true,
	})
}

// reference names this request to people and in logs ({http.request.uuid}).
func reference(r *http.Request) string {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return ""
	}
	id, _ := repl.GetString("http.request.uuid")
	return id
}

// signIn sends a navigation to the portal.
func (v *visit) signIn(w http.ResponseWriter, r *http.Request, why refusal) error {
	target := v.rt.returnTarget(r, v.origin)
	if !v.shared && v.nonce().loops(v.rt.now()) && (why.reason == "no_session" || why.reason == "invalid_session") {
		v.logger.Error("a browser does not keep its session: signed in several times within seconds", zap.String("reason", why.reason))
		return v.rt.guardPage(w, r, http.StatusForbidden, templates.ErrorPage{
			Status: http.StatusForbidden, Code: "cookies_refused", Reference: reference(r), ActionURL: target,
		})
	}
	flow, err := v.flowTo(w, r, target)
	if err != nil {
		return err
	}
	address, err := v.rt.pageOf("sign-in", flow)
	if err != nil {
		return err
	}
	return redirectToPortal(w, http.StatusFound, address)
}

// formUnsent answers a form of somebody whose session has ended. It is not kept, for nobody is there to keep it for; the browser still has it
// and sends it again when its page is reloaded. So the sign-in opens beside it.
func (v *visit) formUnsent(w http.ResponseWriter, r *http.Request) error {
	flow, err := v.flowTo(w, r, v.origin+"/")
	if err != nil {
		return err
	}
	address, err := v.rt.pageOf("sign-in", flow)
	if err != nil {
		return err
	}
	w.Header().Set("WWW-Authenticate", v.rt.cookieChallenge())
	return v.rt.guardPage(w, r, http.StatusUnauthorized, templates.ErrorPage{
		Status: http.StatusUnauthorized, Code: "form_unsent", Reference: reference(r), ActionURL: address, Action: "sign_in", NewTab: true,
	})
}

// flowTo begins a flow that comes back to target, which is sealed, and on another host than the portal's bound to this browser by a
// nonce cookie that all its tabs share. It counts navigations, which follow each other endlessly where nothing answers the handoff.
func (v *visit) flowTo(w http.ResponseWriter, r *http.Request, target string) (Flow, error) {
	flow := Flow{Return: target, Issued: v.rt.now()}
	if v.shared {
		return flow, nil
	}
	came := *v.nonce()
	if came.secret == "" {
		nonce, err := newNonce(v.rt.rand)
		if err != nil {
			return Flow{}, err
		}
		*v.nonce() = nonce
	}
	if isNavigation(r) {
		*v.nonce(), flow.Lost = v.nonce().begin(v.rt.now())
	}
	if *v.nonce() != came {
		v.rt.nonceCookie.Set(w, v.nonce().String(), 0)
	}
	flow.Host, flow.NonceHash, flow.Attempt = v.origin, v.nonce().hash(), v.nonce().tries
	return flow, nil
}

// pageOf is the address of one of the portal's pages that begins a flow.
func (rt *realm) pageOf(page string, flow Flow) (string, error) {
	sealed, err := rt.sealFlow(flow)
	if err != nil {
		return "", fmt.Errorf("sealing the state for the portal: %w", err)
	}
	return rt.portal.String() + page + "?flow=" + url.QueryEscape(sealed), nil
}

func redirectToPortal(w http.ResponseWriter, status int, address string) error {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Location", address)
	w.WriteHeader(status)
	return nil
}
