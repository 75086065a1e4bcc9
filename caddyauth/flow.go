package caddyauth

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
)

// flowLifetime bounds how long a sign-in page may wait for the person before it starts afresh.
const flowLifetime = time.Hour

const flowPurpose = "flow"

// Errors of [realm.openFlow].
var (
	errFlowInvalid = errors.New("the sign-in state is not ours")
	errFlowExpired = errors.New("the sign-in state has expired")
)

// Flow is what one sign-in carries from page to page. It is sealed and travels in the page, so tabs do not share it and no
// cookies pile up; a browser cookie binds it.
type Flow struct {
	ID        string    `json:"i,omitempty"` // random, names this sign-in to the tab that waits
	Return    string    `json:"r,omitempty"` // absolute URL to come back to, checked when sealed and when used
	Fragment  string    `json:"f,omitempty"` // of Return, without "#"; only the browser knew it
	Host      string    `json:"h,omitempty"` // origin of the application that waits for a handoff
	NonceHash string    `json:"n,omitempty"` // of the nonce cookie on that host
	Email     string    `json:"e,omitempty"` // address as typed
	Browser   string    `json:"b,omitempty"` // binds the flow to the browser cookie on the portal
	Issued    time.Time `json:"t"`
	Attempt   int       `json:"a,omitempty"` // handoffs tried for this flow, so that a refused cookie cannot loop
	Lost      time.Time `json:"l,omitzero"`  // since when this browser begins sign-ins that never come back to the application
	Mailed    string    `json:"m,omitempty"` // [mailedTo] of the user; set only in the address that a mail carries
	StepUp    *StepUp   `json:"s,omitempty"` // set when a guard sent someone who is signed in

	confirmed bool // its transaction was confirmed, in this browser; never sealed, so no page can claim it
}

// StepUp is what a guard asks of someone who is signed in: one of the factors, passed no longer than MaxAge ago.
type StepUp struct {
	Factors     []session.Factor `json:"f,omitempty"` // any of these; empty: any factor
	MaxAge      time.Duration    `json:"m"`
	Newest      bool             `json:"n,omitempty"` // earlier factors than the one that passed last do not count
	Subject     string           `json:"u"`           // the person of the session; nobody else may finish it
	Session     string           `json:"i"`           // [session.PublicID] of the session that is stepped up
	Transaction *Transaction     `json:"x,omitempty"` // the one request that is approved; nil: the session alone is stepped up
	Linked      bool             `json:"l,omitempty"` // a fresh link was asked for on the step-up page
}

// again is what a guard asked for, without what came of it since.
func (s *StepUp) again() *StepUp {
	if s == nil {
		return nil
	}
	asked := *s
	asked.Linked = false
	if asked.Transaction != nil {
		unconfirmed := *asked.Transaction
		unconfirmed.ID, unconfirmed.Issued = "", time.Time{}
		asked.Transaction = &unconfirmed
	}
	return &asked
}

// transaction is the one request that the flow's step-up approves; nil if there is none.
func (f *Flow) transaction() *Transaction {
	if f.StepUp == nil {
		return nil
	}
	return f.StepUp.Transaction
}

// linked reports whether the flow waits for a link that steps up, not for one that signs in.
func (f *Flow) linked() bool { return f.StepUp != nil && f.StepUp.Linked }

// done reports whether the session was signed in, or stepped up, by the link that this flow asked for.
func (f *Flow) done(s *session.Session) bool {
	at := s.Started
	if f.linked() {
		at = s.Factors.At(session.MagicLink)
	}
	return sameAddress(s.Email, f.Email) && !at.Before(f.Issued.Truncate(time.Millisecond))
}

// accepts reports whether passing the factor is one of the things asked for.
func (s *StepUp) accepts(factor session.Factor) bool {
	return len(s.Factors) == 0 || slices.Contains(s.Factors, factor)
}

// pending reports whether the person of a flow still has to step up. Whoever else is signed in goes on as they are: the guard decides.
func (f *Flow) pending(s *session.Session, now time.Time) bool {
	if f.StepUp == nil || f.StepUp.Subject != s.Subject {
		return false
	}
	if f.StepUp.Transaction != nil {
		return !f.confirmed // whatever else has passed
	}
	asked := demand{factors: f.StepUp.Factors, maxAge: f.StepUp.MaxAge, newest: f.StepUp.Newest}
	return !asked.met(s, now)
}

func (rt *realm) flowBinding() session.Binding {
	return session.Binding{Purpose: flowPurpose, Realm: rt.name, Host: rt.portal.Host}
}

// sealFlow encrypts f for a page or a query parameter. A zero Issued becomes now.
func (rt *realm) sealFlow(f Flow) (string, error) {
	if f.Issued.IsZero() {
		f.Issued = rt.now()
	}
	plaintext, err := json.Marshal(f)
	if err != nil {
		return "", err
	}
	return rt.sessions.Keys.Seal(rt.flowBinding(), plaintext)
}

// openFlow is the inverse of sealFlow. It fails with errFlowInvalid and the zero Flow, or with errFlowExpired and a Flow that says only
// where the old one led, for a new one to begin with.
func (rt *realm) openFlow(sealed string) (Flow, error) {
	plaintext, err := rt.sessions.Keys.Open(rt.flowBinding(), sealed)
	if err != nil {
		return Flow{}, errFlowInvalid
	}
	var f Flow
	if err := json.Unmarshal(plaintext, &f); err != nil {
		return Flow{}, errFlowInvalid
	}
	age := rt.now().Sub(f.Issued)
	if age > flowLifetime || age < -maxClockSkew {
		return Flow{Return: f.Return, Fragment: f.Fragment, Host: f.Host, NonceHash: f.NonceHash}, errFlowExpired
	}
	return f, nil
}

// maxClockSkew is how far in the future a time of our own making may lie (another node's clock).
const maxClockSkew = 5 * time.Minute
