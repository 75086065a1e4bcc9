package caddyauth

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"

	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/session"
)

// headerTransaction carries the ID of an approval to the upstream.
const headerTransaction = "X-Passwordless-Transaction"

// requestDigest names the request that an approval is for: the same method, origin, path, query and body, and no other.
func requestDigest(method, origin, target, body string) string {
	sum := sha256.New()
	for _, part := range []string{"passwordless transaction", method, origin, target, body} {
		fmt.Fprintf(sum, "%d:%s,", len(part), part)
	}
	return base64.RawURLEncoding.EncodeToString(sum.Sum(nil))
}

// describe computes the request's digest, once for all guards, and for that reads its body.
func (g *Guard) describe(v *visit, w http.ResponseWriter, r *http.Request) *refusal {
	if v.request != "" {
		return nil
	}
	body, refused := g.digestBody(v, w, r)
	if refused != nil {
		return refused
	}
	v.request = requestDigest(methodOf(r), v.origin, targetOf(r), body)
	return nil
}

// transaction describes the request to the portal.
func (v *visit) transaction(r *http.Request) (*Transaction, error) {
	if v.request == "" {
		return nil, errors.New("a transaction without a request")
	}
	method := methodOf(r)
	return &Transaction{
		Request: v.request, Method: method[:min(len(method), maxShownMethod)], Target: readableTarget(targetOf(r)), Passed: v.approval.Factors,
	}, nil
}

// maxShownMethod bounds what a page shows of a method, in bytes.
const maxShownMethod = 20

// browserBinding is what approvals for this browser are bound to: the nonce cookie, or the portal's own cookie where the portal shares the
// application's host and hands nothing over. "" means that there is none, and no approval either.
func (v *visit) browserBinding() string {
	if !v.shared {
		if v.nonce().secret == "" {
			return ""
		}
		return v.nonce().hash()
	}
	secret, err := v.rt.browserCookie.Find(v.cookies)
	if err != nil || !isCode(secret) {
		return ""
	}
	return v.rt.browserHash(secret)
}

// approvedBy reports whether one of the factors that a rule asks for has passed for this very request, and uses the approval up: all rules
// and guards of the request share it, each with the factors that it accepts.
func (v *visit) approvedBy(r *http.Request, d *demand) (bool, *refusal) {
	if browser := v.browserBinding(); !v.sought && browser != "" {
		given, err := v.rt.takeApproval(r.Context(), v.session.ID, browser, v.request)
		if err != nil && !errors.Is(err, session.ErrInvalid) {
			v.logger.Error("an approval cannot be read", zap.Error(err))
			return false, &refusal{status: http.StatusServiceUnavailable, reason: "unavailable", detail: "approvals cannot be checked now"}
		}
		v.approval = given
	}
	v.sought = true
	if !d.passed(v.approval.Factors, v.rt.now()) {
		return false, nil
	}
	r.Header[headerTransaction] = []string{v.approval.ID}
	return true, nil
}
