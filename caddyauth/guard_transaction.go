package caddyauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/session"
)

// A step-up that approves one request. The guard makes up an ID for what is to be approved and leaves a ticket under it; the portal, when
// the factor has passed, trades the ticket for an approval of that very request; and the guard takes the approval when the request comes
// again. Ticket and approval each work once.
const (
	headerTransaction = "X-Passwordless-Transaction"

	ticketPurpose   = "transaction-ticket"
	approvalPurpose = "transaction-approval"
)

// requestName says which request an approval is for: nothing but the same method, address and, where a form waits, form.
func requestName(r *http.Request, kept string) string {
	return r.Method + " " + r.Host + targetOf(r) + " " + kept
}

func approvalID(s *session.Session, request string) string { return s.ID + " " + request }

// issueTransaction makes up what a step-up is to approve.
func (v *visit) issueTransaction(ctx context.Context, asked *StepUp, r *http.Request) error {
	id, err := randomCode(v.rt.rand)
	if err != nil {
		return err
	}
	id = id[:22] // 132 bits; people see it
	if err := v.rt.sessions.PutOnce(ctx, ticketPurpose, id, nil, v.rt.now().Add(flowLifetime)); err != nil {
		return fmt.Errorf("keeping a transaction: %w", err)
	}
	asked.Transaction, asked.Request = id, requestName(r, asked.Kept)
	return nil
}

// approve notes, when a flow has been finished by a factor that passed for it, that the request it waits for may go on once. A flow that
// is finished again, or by an older factor, approves nothing; the guard will ask once more.
func (rt *realm) approve(ctx context.Context, flow Flow, s session.Session) error {
	asked := flow.StepUp
	if asked == nil || asked.Transaction == "" || s.Subject != asked.Subject || session.PublicID(s) != asked.Session || !flow.passedSince(&s) {
		return nil
	}
	if _, err := rt.sessions.TakeOnce(ctx, ticketPurpose, asked.Transaction); errors.Is(err, session.ErrInvalid) {
		return nil
	} else if err != nil {
		return fmt.Errorf("taking a transaction's ticket: %w", err)
	}
	if err := rt.sessions.PutOnce(ctx, approvalPurpose, approvalID(&s, asked.Request), []byte(asked.Transaction), rt.now().Add(asked.MaxAge)); err != nil {
		return fmt.Errorf("approving a transaction: %w", err)
	}
	return nil
}

// passedSince reports whether a factor that was asked for has passed since the flow was issued.
func (f *Flow) passedSince(s *session.Session) bool {
	for _, passed := range s.Factors {
		if f.StepUp.accepts(passed.Factor.For()) && !passed.At.Before(f.Issued.Truncate(time.Millisecond)) {
			return true
		}
	}
	return false
}

// takeApproval lets an approved request go on, once, with the ID of what was approved as a header. All rules and guards that ask for an
// approval of the request share the one that it has.
func (v *visit) takeApproval(r *http.Request) (approved bool, refused *refusal) {
	if v.approved || v.session.ID == "" { // a client's token: nobody can approve anything for it
		return v.approved, nil
	}
	kept := ""
	if sealed := claimed(r); sealed != "" {
		if form, err := v.openForm(sealed); err == nil {
			kept = form.ID
		}
	}
	id, err := v.rt.sessions.TakeOnce(r.Context(), approvalPurpose, approvalID(&v.session, requestName(r, kept)))
	switch {
	case errors.Is(err, session.ErrInvalid):
		return false, nil
	case err != nil:
		v.logger.Error("an approval cannot be read", zap.Error(err))
		return false, &refusal{status: http.StatusServiceUnavailable, reason: "unavailable", detail: "approvals cannot be checked now"}
	}
	r.Header[headerTransaction] = []string{string(id)}
	v.approved = true
	return true, nil
}
