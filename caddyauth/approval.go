package caddyauth

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
)

// An approval lets one request through, once. It comes about in three steps, and in no other way:
//
//  1. The guard refuses the request and describes it, sealed, in the flow for the step-up page. Nothing is stored.
//  2. A ceremony that this page began passes, by a same-origin POST. The portal stores a confirmation under the ID that it gave the page
//     ([realm.confirm]).
//  3. The same browser hands the flow over to the application's host, by a same-origin POST with the nonce cookie with which the flow began.
//     The confirmation becomes an approval for this session, this nonce and this request ([realm.activateApproval]).
//
// A GET does none of these. The ID works once at each step, so neither a reload nor another tab repeats one.
const (
	confirmationPurpose = "transaction-confirmation"
	approvalPurpose     = "transaction-approval"
)

// Transaction is the one request that a step-up approves.
type Transaction struct {
	ID      string          `json:"i,omitempty"` // of one step-up page; goes to the upstream and into the token
	Issued  time.Time       `json:"a,omitzero"`  // when the page was given ID
	Request string          `json:"r"`           // [requestDigest]
	Method  string          `json:"m"`           // for the page
	Target  string          `json:"t"`           // for the page: path and query as people may read them
	Passed  session.Factors `json:"p,omitempty"` // in approvals of the same request, which this one adds to
}

// begin names a step-up page's transaction. Every page has a name of its own, which is good for one confirmation.
func (t *Transaction) begin(rt *realm) error {
	id, err := randomCode(rt.rand)
	if err != nil {
		return err
	}
	t.ID, t.Issued = id[:22], rt.now() // 132 bits
	return nil
}

// approval is what a ceremony leaves for the guard.
type approval struct {
	ID      string          `json:"i"` // of the transaction
	Session string          `json:"s"` // the session's ID
	Request string          `json:"r"`
	Factors session.Factors `json:"f"` // that passed for this request
	Expires time.Time       `json:"e"`
}

// approvalID names an approval to storage: another session, browser or request finds nothing, and uses nothing up.
func approvalID(sessionID, browser, request string) string {
	return sessionID + " " + browser + " " + request
}

// confirm notes that the factors have passed in a ceremony of this flow's page, and marks the flow as confirmed. It is for the function that
// accepts ceremonies alone. A page whose transaction was confirmed already, or that stood open for too long, confirms nothing.
func (rt *realm) confirm(ctx context.Context, flow *Flow, s *session.Session, passed []session.Factor) error {
	t := flow.transaction()
	if t == nil || t.ID == "" || s.Subject != flow.StepUp.Subject || session.PublicID(*s) != flow.StepUp.Session || !rt.recent(t.Issued, flowLifetime) {
		return nil
	}
	if !slices.ContainsFunc(passed, func(f session.Factor) bool { return flow.StepUp.accepts(f.For()) }) {
		return errNotAsked
	}
	given := approval{ID: t.ID, Session: s.ID, Request: t.Request, Factors: t.Passed, Expires: rt.now().Add(flow.StepUp.MaxAge)}
	for _, factor := range passed {
		given.Factors = given.Factors.With(factor, s.Factors.At(factor))
	}
	fresh, err := rt.first(ctx, markTransaction, t.ID, flowLifetime)
	if err != nil || !fresh {
		return err
	}
	flow.confirmed = true
	if flow.Host == "" { // the application is on the portal's own host: this is the browser
		return rt.putApproval(ctx, given, flow.Browser)
	}
	value, err := json.Marshal(given)
	if err != nil {
		return fmt.Errorf("encoding a confirmation: %w", err)
	}
	if err := rt.sessions.PutOnce(ctx, confirmationPurpose, t.ID, value, given.Expires); err != nil {
		return fmt.Errorf("storing a confirmation: %w", err)
	}
	return nil
}

// applicationOf is the host whose request a flow is about.
func (rt *realm) applicationOf(flow Flow) string { return cmp.Or(hostOf(flow.Host), rt.portal.Host) }

// confirmedTransaction is the ID that a handoff of this flow carries, "" if none was confirmed.
func (f *Flow) confirmedTransaction() string {
	if t := f.transaction(); t != nil && f.confirmed {
		return t.ID
	}
	return ""
}

// spent reports whether the transaction of this browser's flow was confirmed. Its page confirms nothing more; its other tabs may go on.
func (v *portalVisit) spent(flow Flow) (bool, error) {
	t := flow.transaction()
	if t == nil || t.ID == "" {
		return false, nil
	}
	browser, err := v.browser()
	if err != nil || !sameBrowser(flow.Browser, browser) {
		return false, err
	}
	return v.rt.known(v.r.Context(), markTransaction, t.ID)
}

// activateApproval turns a confirmation that came with a handoff into an approval for the browser that has the handoff's nonce.
func (rt *realm) activateApproval(ctx context.Context, taken handoff) error {
	if taken.Transaction == "" {
		return nil
	}
	value, err := rt.sessions.TakeOnce(ctx, confirmationPurpose, taken.Transaction)
	if errors.Is(err, session.ErrInvalid) { // another tab has done it, or it is too late
		return nil
	}
	if err != nil {
		return fmt.Errorf("taking a confirmation: %w", err)
	}
	var given approval
	if err := json.Unmarshal(value, &given); err != nil {
		return fmt.Errorf("reading a confirmation: %w", err)
	}
	if given.Session != taken.Session.ID {
		return nil // it confirms nothing for this session
	}
	return rt.putApproval(ctx, given, taken.NonceHash)
}

// putApproval stores an approval for one browser, in place of an older one of the same request.
func (rt *realm) putApproval(ctx context.Context, given approval, browser string) error {
	value, err := json.Marshal(given)
	if err != nil {
		return fmt.Errorf("encoding an approval: %w", err)
	}
	if err := rt.sessions.PutOnce(ctx, approvalPurpose, approvalID(given.Session, browser, given.Request), value, given.Expires); err != nil {
		return fmt.Errorf("storing an approval: %w", err)
	}
	return nil
}

// takeApproval uses the approval of a request up; [session.ErrInvalid] says that there is none.
func (rt *realm) takeApproval(ctx context.Context, sessionID, browser, request string) (approval, error) {
	value, err := rt.sessions.TakeOnce(ctx, approvalPurpose, approvalID(sessionID, browser, request))
	if err != nil {
		return approval{}, err
	}
	var given approval
	if err := json.Unmarshal(value, &given); err != nil {
		return approval{}, session.ErrInvalid
	}
	return given, nil
}
