package caddyauth

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/ratelimit"
	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/userpool"
)

const (
	passkeyPurpose = "passkey sign-in"
	// passkeyLifetime is how long a page may offer a challenge: conditional mediation outlives the 2 minutes of a prompt.
	passkeyLifetime = 15 * time.Minute
	// namedStateSize is what an answer to a typed address carries, in bytes before sealing: enough for the longest Session (2048), user name
	// and address, so that its length tells nothing of the account.
	namedStateSize = 3072
	// acceptedLifetime is how long the pool may take to answer an assertion that was checked here.
	acceptedLifetime = 2 * time.Minute
)

// passkeyPresence is what an assertion without user verification proves. No rule asks for it.
const passkeyPresence session.Factor = "passkey_presence"

// passkeyState goes with a challenge to the page and comes back with the answer.
type passkeyState struct {
	Challenge string    `json:"c"`
	Browser   string    `json:"b"`
	Issued    time.Time `json:"t"`
	Session   string    `json:"s,omitempty"` // of the pool, when an address was typed
	Username  string    `json:"u,omitempty"` // as the pool returned it
	Email     string    `json:"e,omitempty"` // as typed
}

// passkeyOptions is the answer to a script that asks for a challenge.
type passkeyOptions struct {
	PublicKey any    `json:"publicKey"`
	State     string `json:"state"`
}

// usernameless makes a challenge that any passkey of the relying party may answer. It is sealed into the page and written nowhere
// until an assertion for it has been checked.
func (v *portalVisit) usernameless(flow Flow) (passkey.RequestOptions, string, error) {
	return v.usernamelessAt(flow, 0)
}

// usernamelessAt is usernameless with a state of a least size in bytes.
func (v *portalVisit) usernamelessAt(flow Flow, size int) (passkey.RequestOptions, string, error) {
	value, err := passkey.NewChallenge(v.rt.rand)
	if err != nil {
		return passkey.RequestOptions{}, "", err
	}
	state, err := v.rt.sealPadded(passkeyPurpose, passkeyState{Challenge: value, Browser: flow.Browser, Issued: v.rt.now()}, size)
	if err != nil {
		return passkey.RequestOptions{}, "", fmt.Errorf("sealing a challenge: %w", err)
	}
	return v.rt.ceremonies.RequestOptions("", value, nil), state, nil
}

// postPasskeyOptions gives a script a challenge: for any passkey, or for those of the account that was typed.
func (v *portalVisit) postPasskeyOptions() error {
	var in struct {
		Flow  string `json:"flow"`
		Email string `json:"email"`
	}
	if err := v.body(&in); err != nil {
		return err
	}
	flow, err := v.ownFlow(in.Flow)
	if err != nil {
		return err
	}
	if in.Email == "" {
		if err := v.limitSender(); err != nil {
			return err
		}
		return v.answerUsernameless(flow, 0)
	}
	email, ok := parseAddress(in.Email)
	if !ok {
		return failure{status: http.StatusUnprocessableEntity, code: "email_invalid"}
	}
	if err := v.limitSender(); err != nil {
		return err
	}
	if err := v.limited(v.strangerWait(ratelimit.Passkeys, email)); err != nil {
		return err
	}
	ctx, cancel := v.pool()
	defer cancel()
	started, err := v.rt.pool.Initiate(ctx, email)
	if errors.Is(err, userpool.ErrNotAuthorized) {
		return v.answerUsernameless(flow, namedStateSize) // the same shape for everybody
	}
	if err != nil {
		return err
	}
	offered, err := challenge.ParsePasskeyOptions(started.Parameters[challenge.ParamFIDO2Options])
	if err != nil || offered.Challenge == "" {
		return v.answerUsernameless(flow, namedStateSize)
	}
	state, err := v.rt.sealPadded(passkeyPurpose, passkeyState{
		Challenge: offered.Challenge, Browser: flow.Browser, Issued: v.rt.now(),
		Session: started.Session, Username: started.Username, Email: email,
	}, namedStateSize)
	if err != nil {
		return fmt.Errorf("sealing a challenge: %w", err)
	}
	options := v.rt.ceremonies.RequestOptions(offered.RelyingPartyID, offered.Challenge, nil)
	if offered.Timeout > 0 {
		options.Timeout = int64(offered.Timeout)
	}
	if offered.UserVerification != "" {
		options.UserVerification = offered.UserVerification
	}
	for _, c := range offered.Credentials {
		options.AllowCredentials = append(options.AllowCredentials, passkey.Descriptor{ID: c.ID, Type: "public-key", Transports: c.Transports})
	}
	return v.json(http.StatusOK, passkeyOptions{options, state})
}

func (v *portalVisit) answerUsernameless(flow Flow, size int) error {
	options, state, err := v.usernamelessAt(flow, size)
	if err != nil {
		return err
	}
	return v.json(http.StatusOK, passkeyOptions{options, state})
}

// postPasskeySignIn takes an assertion and signs in.
func (v *portalVisit) postPasskeySignIn() error {
	var in struct {
		Flow     string          `json:"flow"`
		Fragment string          `json:"fragment"`
		State    string          `json:"state"`
		Answer   json.RawMessage `json:"answer"`
	}
	if err := v.body(&in); err != nil {
		return err
	}
	flow, err := v.ownFlow(in.Flow)
	if err != nil {
		return err
	}
	flow.Fragment = fragmentOf(in.Fragment, flow.Fragment)
	ctx, cancel := v.pool()
	defer cancel()
	location, err := v.passkeySignIn(ctx, flow, in.State, string(in.Answer))
	if err != nil {
		f := failureOf(err)
		v.audit(happenedSignIn, f.code, zap.String("factor", string(session.Passkey)))
		return f
	}
	return v.json(http.StatusOK, locationAnswer{location})
}

func (v *portalVisit) passkeySignIn(ctx context.Context, flow Flow, sealed, raw string) (location string, err error) {
	var state passkeyState
	if err := v.rt.openState(passkeyPurpose, sealed, &state); err != nil {
		return "", err
	}
	if !sameBrowser(state.Browser, flow.Browser) || !v.rt.recent(state.Issued, passkeyLifetime) {
		return "", errFlowExpired
	}
	answer, err := assertionFor(state.Challenge, raw)
	if err != nil {
		return "", err
	}
	if err := tooMany(v.senderWait(ratelimit.Passkeys)); err != nil {
		return "", err
	}
	var tokens userpool.Tokens
	owner := func(id session.Identity) bool {
		return sameAddress(id.Email, state.Email) || id.Username == state.Username
	}
	if state.Session == "" {
		var handle string
		if handle, tokens, err = v.answerWithoutName(ctx, answer, state.Challenge); err != nil {
			return "", err
		}
		owner = func(id session.Identity) bool { return challenge.UserHandle(id.Username, id.Subject) == handle }
	} else if err := tooMany(v.limiter().Stranger(v.rt.now(), ratelimit.Passkeys, v.address())); err != nil {
		return "", err
	} else if tokens, err = v.answerPasskey(ctx, userpool.Challenge{Session: state.Session, Username: state.Username}, answer); err != nil {
		return "", v.explainRefusal(ctx, err, answer, state.Challenge)
	}
	return v.signIn(ctx, acceptedProof{flow: flow, tokens: tokens, factor: factorOf(answer), owner: owner})
}

// assertionFor reads a script's answer to a challenge of ours. Nothing is verified yet but that it is to this one.
func assertionFor(expected, raw string) (challenge.PasskeyAnswer, error) {
	answer, err := challenge.ParsePasskeyAnswer(raw)
	if err != nil {
		return challenge.PasskeyAnswer{}, failure{status: http.StatusBadRequest, code: "invalid", cause: err}
	}
	asked, err := passkey.ChallengeOf(answer.ClientDataJSON)
	if err != nil || subtle.ConstantTimeCompare([]byte(asked), []byte(expected)) != 1 {
		return challenge.PasskeyAnswer{}, failure{status: http.StatusForbidden, code: "invalid", cause: errors.New("the assertion answers another challenge")}
	}
	return answer, nil
}

// answerWithoutName finds the account by the assertion's user handle, checks the assertion here, and only then lets the pool check
// it, for which the challenge has to be stored.
func (v *portalVisit) answerWithoutName(ctx context.Context, answer challenge.PasskeyAnswer, expected string) (handle string, tokens userpool.Tokens, err error) {
	rawHandle, err := challenge.DecodeBase64(answer.UserHandle)
	if err != nil || len(rawHandle) == 0 {
		return "", tokens, failure{status: http.StatusForbidden, code: "no_passkey", cause: errors.New("the assertion names no user")}
	}
	handle = string(rawHandle)
	username, ok := challenge.UsernameOf(handle)
	if !ok {
		return "", tokens, failure{status: http.StatusForbidden, code: "no_passkey", cause: errors.New("the user handle names no user")}
	}
	id, err := challenge.DecodeBase64(answer.CredentialID)
	if err != nil {
		return "", tokens, failure{status: http.StatusBadRequest, code: "invalid", cause: err}
	}
	credential, err := v.rt.credentials.Get(ctx, handle, id)
	if err != nil {
		return "", tokens, passkeyFailure(err)
	}
	if _, err := v.rt.config.passkeys.Check(answer, expected, credential); err != nil {
		return "", tokens, passkeyFailure(err)
	}
	if err := tooMany(v.provenWait(ratelimit.Passkeys, "handle "+handle)); err != nil {
		return "", tokens, err
	}
	first, err := v.rt.first(ctx, markChallenge, expected, passkeyLifetime+maxClockSkew)
	if err != nil {
		return "", tokens, err
	}
	if !first {
		return "", tokens, failure{status: http.StatusForbidden, code: "invalid", cause: errors.New("the assertion was used before")}
	}
	if err := v.rt.credentials.PutSignInChallenge(ctx, expected, v.rt.now().Add(acceptedLifetime)); err != nil {
		return "", tokens, storeFailure(err)
	}
	started, err := v.rt.pool.Initiate(ctx, username)
	if err != nil {
		return "", tokens, err
	}
	tokens, err = v.answerPasskey(ctx, started, answer)
	return handle, tokens, err
}

func (v *portalVisit) answerPasskey(ctx context.Context, started userpool.Challenge, answer challenge.PasskeyAnswer) (userpool.Tokens, error) {
	return v.respond(ctx, userpool.Response{
		Session: started.Session, Username: started.Username, Answer: answer.Encode(),
		ClientMetadata: map[string]string{challenge.KeySignInMethod: string(challenge.FIDO2)},
	})
}

// explainRefusal finds out whether the pool refused an assertion because the passkey's backup eligibility changed, which the
// pool does not say. Only the holder of the passkey can get this answer: the signature is checked first.
func (v *portalVisit) explainRefusal(ctx context.Context, refusal error, answer challenge.PasskeyAnswer, expected string) error {
	if !errors.Is(refusal, userpool.ErrNotAuthorized) {
		return refusal
	}
	handle, err := challenge.DecodeBase64(answer.UserHandle)
	if err != nil || len(handle) == 0 {
		return refusal
	}
	id, err := challenge.DecodeBase64(answer.CredentialID)
	if err != nil {
		return refusal
	}
	credential, err := v.rt.credentials.Get(ctx, string(handle), id)
	if err != nil {
		return refusal
	}
	if _, err := v.rt.config.passkeys.Check(answer, expected, credential); eligibilityChanged(err) {
		return passkeyFailure(err)
	}
	return refusal
}

func eligibilityChanged(err error) bool {
	return errors.Is(err, &passkey.Error{Code: passkey.CodeBackupEligibilityChanged})
}

// factorOf says what a verified assertion proves: WebAuthn Level 3, section 6.1, flags of the authenticator data.
func factorOf(answer challenge.PasskeyAnswer) session.Factor {
	const flagsAt, userVerified = 32, 0x04
	data, err := challenge.DecodeBase64(answer.AuthenticatorData)
	if err == nil && len(data) > flagsAt && data[flagsAt]&userVerified != 0 {
		return session.Passkey
	}
	return passkeyPresence
}

// passkeyFailure is what the person may know of a refused assertion.
func passkeyFailure(err error) error {
	var refused *passkey.Error
	switch {
	case errors.Is(err, passkey.ErrUnknownCredential):
		return failure{status: http.StatusForbidden, code: "unknown_credential", cause: err}
	case eligibilityChanged(err):
		return failure{status: http.StatusForbidden, code: passkey.CodeBackupEligibilityChanged, cause: err}
	case errors.As(err, &refused):
		return failure{status: http.StatusForbidden, code: "invalid", cause: err}
	}
	return storeFailure(err)
}

// storeFailure is a credential store that cannot be asked.
func storeFailure(err error) error {
	return failure{status: http.StatusServiceUnavailable, code: "unavailable", retryAfter: retryAfter * time.Second, cause: err}
}
