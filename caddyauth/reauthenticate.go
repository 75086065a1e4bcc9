package caddyauth

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/passkey"
)

const (
	reauthenticatePurpose = "reauthenticate"
	// proofLifetime is how long a proof waits for its ceremony.
	proofLifetime = 2 * time.Minute
	// freshSignIn is how long after a link somebody without a passkey need not prove more, and how old a bearer's
	// authentication may be.
	freshSignIn = 10 * time.Minute
	// reauthenticateLifetime is how long a prompt may stay open.
	reauthenticateLifetime = 5 * time.Minute
)

// What a proof may be for.
const (
	proofAdd    = "add"
	proofDelete = "delete"
	proofPhone  = "phone"
)

// errReauthenticate says that the session alone does not do for what was asked.
var errReauthenticate = failure{status: http.StatusForbidden, code: "reauthentication_required"}

// proof is a re-authentication that passed: good once, in one session, for one purpose.
type proof struct {
	Session    string `json:"s"` // sid
	Purpose    string `json:"p"`
	Credential string `json:"c,omitempty"` // base64url; of a deletion
}

// reauthenticateState goes with a challenge to the page and comes back with the answer.
type reauthenticateState struct {
	proof
	Challenge string    `json:"h"`
	Issued    time.Time `json:"t"`
}

// postReauthenticateOptions asks for a passkey, where the person has one. A fresh sign-in by link does for who has none.
func (v *portalVisit) postReauthenticateOptions() error {
	s, err := v.signedIn()
	if err != nil {
		return err
	}
	var in struct {
		Purpose    string `json:"purpose"`
		Credential string `json:"credentialId"`
	}
	if err := v.body(&in); err != nil {
		return err
	}
	wanted, err := proofFor(s, in.Purpose, in.Credential)
	if err != nil {
		return err
	}
	if err := v.limitSession(s); err != nil {
		return err
	}
	own, err := v.rt.credentials.List(v.r.Context(), challenge.UserHandle(s.Username, s.Subject), "")
	if err != nil {
		return storeFailure(err)
	}
	if len(own) == 0 {
		if !v.rt.recent(s.Factors.At(session.MagicLink), freshSignIn) {
			v.audit(happenedReauthenticated, "not_reauthenticated", whoIs(s)...)
			return errReauthenticate
		}
		code, err := v.issueProof(wanted)
		if err != nil {
			return err
		}
		v.audit(happenedReauthenticated, "", append(whoIs(s), zap.String("purpose", wanted.Purpose))...)
		return v.json(http.StatusOK, struct {
			Fresh bool   `json:"fresh"`
			Proof string `json:"proof"`
		}{true, code})
	}
	rpID, usable := v.usablePasskeys(own)
	if len(usable) == 0 {
		v.audit(happenedReauthenticated, "not_reauthenticated", whoIs(s)...)
		return errReauthenticate
	}
	value, err := passkey.NewChallenge(v.rt.rand)
	if err != nil {
		return err
	}
	state, err := v.rt.sealState(reauthenticatePurpose, reauthenticateState{wanted, value, v.rt.now()})
	if err != nil {
		return fmt.Errorf("sealing a challenge: %w", err)
	}
	return v.json(http.StatusOK, passkeyOptions{v.rt.ceremonies.RequestOptions(rpID, value, usable), state})
}

// proofFor checks what somebody wants to prove themselves for.
func proofFor(s session.Session, purpose, credential string) (proof, error) {
	invalid := failure{status: http.StatusBadRequest, code: "invalid", cause: errors.New("purpose and credentialId do not fit")}
	p := proof{Session: s.ID, Purpose: purpose}
	switch purpose {
	case proofAdd, proofPhone:
		return p, nil
	case proofDelete:
		id, err := parseCredentialID(credential)
		if err != nil {
			return proof{}, invalid
		}
		p.Credential = challenge.EncodeBase64(id)
		return p, nil
	}
	return proof{}, invalid
}

// maxCredentialID is the longest credential ID, in bytes (WebAuthn Level 3, section 4).
const maxCredentialID = 1023

// parseCredentialID reads a credential ID in base64url.
func parseCredentialID(s string) ([]byte, error) {
	id, err := challenge.DecodeBase64(s)
	if err != nil || len(id) == 0 || len(id) > maxCredentialID {
		return nil, errors.New("credentialId is no credential ID")
	}
	return id, nil
}

// usablePasskeys are those of the first relying party that works on the portal's origin and has any.
func (v *portalVisit) usablePasskeys(own []passkey.Credential) (rpID string, usable []passkey.Credential) {
	for _, rp := range v.rt.config.passkeys.RelyingParties {
		if !slices.Contains(rp.Origins, v.rt.config.portalOrigin.String()) {
			continue
		}
		for _, c := range own {
			if c.RelyingPartyID == rp.ID {
				usable = append(usable, c)
			}
		}
		if len(usable) > 0 {
			return rp.ID, usable
		}
	}
	return "", nil
}

// postReauthenticate takes an assertion and gives the proof.
func (v *portalVisit) postReauthenticate() error {
	s, err := v.signedIn()
	if err != nil {
		return err
	}
	var in struct {
		State  string          `json:"state"`
		Answer json.RawMessage `json:"answer"`
	}
	if err := v.body(&in); err != nil {
		return err
	}
	if err := v.limitSession(s); err != nil {
		return err
	}
	wanted, err := v.reauthenticate(v.r.Context(), s, in.State, string(in.Answer))
	if err != nil {
		v.audit(happenedReauthenticated, failureOf(err).code, whoIs(s)...)
		return err
	}
	code, err := v.issueProof(wanted)
	if err != nil {
		return err
	}
	v.audit(happenedReauthenticated, "", append(whoIs(s), zap.String("purpose", wanted.Purpose))...)
	return v.json(http.StatusOK, struct {
		Proof string `json:"proof"`
	}{code})
}

func (v *portalVisit) reauthenticate(ctx context.Context, s session.Session, sealed, raw string) (proof, error) {
	var state reauthenticateState
	if err := v.rt.openState(reauthenticatePurpose, sealed, &state); err != nil {
		return proof{}, err
	}
	if !v.rt.recent(state.Issued, reauthenticateLifetime) {
		return proof{}, errFlowExpired
	}
	refused := failure{status: http.StatusForbidden, code: "invalid"}
	if subtle.ConstantTimeCompare([]byte(state.Session), []byte(s.ID)) != 1 {
		refused.cause = errors.New("the challenge is another session's")
		return proof{}, refused
	}
	answer, err := challenge.ParsePasskeyAnswer(raw)
	if err != nil {
		return proof{}, failure{status: http.StatusBadRequest, code: "invalid", cause: err}
	}
	id, err := challenge.DecodeBase64(answer.CredentialID)
	if err != nil {
		return proof{}, failure{status: http.StatusBadRequest, code: "invalid", cause: err}
	}
	handle := challenge.UserHandle(s.Username, s.Subject)
	credential, err := v.rt.credentials.Get(ctx, handle, id)
	if err != nil {
		return proof{}, passkeyFailure(err)
	}
	outcome, err := v.rt.config.passkeys.Check(answer, state.Challenge, credential)
	// A passkey whose backup eligibility changed signs nobody in any more, so its own removal is all that it may confirm.
	removesItself := eligibilityChanged(err) && state.Purpose == proofDelete && state.Credential == challenge.EncodeBase64(id)
	if err != nil && !removesItself {
		return proof{}, passkeyFailure(err)
	}
	first, err := v.rt.first(ctx, markChallenge, state.Challenge, reauthenticateLifetime+maxClockSkew)
	if err != nil {
		return proof{}, err
	}
	if !first {
		refused.cause = errors.New("the assertion was used before")
		return proof{}, refused
	}
	if removesItself {
		return state.proof, nil
	}
	err = v.rt.credentials.RecordSignIn(ctx, passkey.SignIn{
		UserHandle: handle, CredentialID: id, SignCount: outcome.SignCount, BackupState: outcome.BackupState,
		Challenge: state.Challenge, At: v.rt.now(),
	})
	switch {
	case errors.Is(err, passkey.ErrCounter):
		refused.cause = err
		return proof{}, refused
	case err != nil:
		return proof{}, passkeyFailure(err)
	}
	return state.proof, nil
}

func (v *portalVisit) issueProof(p proof) (code string, err error) {
	value, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("encoding a proof: %w", err)
	}
	if code, err = randomCode(v.rt.rand); err != nil {
		return "", err
	}
	return code, v.rt.sessions.PutOnce(v.r.Context(), proofPurpose, code, value, v.rt.now().Add(proofLifetime))
}

// redeemProof consumes the proof that came in a request's body and reports whether it is for this. Callers redeem before they check
// anything else, so that no proof survives its first use. It never comes in a header or a query, which access logs show.
func (v *portalVisit) redeemProof(code string, wanted proof) error {
	if !isCode(code) {
		return errReauthenticate
	}
	value, err := v.rt.sessions.TakeOnce(v.r.Context(), proofPurpose, code)
	if errors.Is(err, session.ErrInvalid) {
		return errReauthenticate
	}
	if err != nil {
		return err
	}
	var given proof
	if json.Unmarshal(value, &given) != nil || given != wanted {
		return errReauthenticate
	}
	return nil
}
