package caddyauth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/passkey"
)

// The FIDO2 API speaks the JSON that existing browser clients know: every failure is {"message":"…"}.

const (
	messageNotFound     = "Not found"
	messageInternal     = "Internal Server Error"
	messageInvalidBody  = "Invalid body"
	messageUnauthorized = "Unauthorized"
	messageUseIDToken   = "Use your ID token to access this API"
	messageAgain        = "Re-authentication required"
	messageTooMany      = "Too many requests"
	messageUnavailable  = "Service unavailable"

	maxFriendlyName = 256 // characters
	notifyTimeout   = 5 * time.Second
	// formatJSON asks for creation options whose user ID is base64url, as the WebAuthn standard has it.
	formatJSON = "json"
	// isoMilliseconds is how times are written (JavaScript's toISOString).
	isoMilliseconds = "2006-01-02T15:04:05.000Z"
)

// fido2Failure is an answer of the FIDO2 API other than 2xx.
type fido2Failure struct {
	failure
	message string
}

func (f fido2Failure) Error() string { return f.message + ": " + f.failure.Error() }

// badRequest is what the caller can mend.
func badRequest(message string, cause error) error {
	return fido2Failure{failure{status: http.StatusBadRequest, code: "invalid", cause: cause}, message}
}

// fido2Route is one operation. Operations that need nobody have anonymous set.
type fido2Route struct {
	serve     func(*portalVisit, fido2Caller) error
	anonymous bool
}

var fido2Routes = map[string]fido2Route{
	"register-authenticator/start":    {serve: (*portalVisit).startPasskey},
	"register-authenticator/complete": {serve: (*portalVisit).completePasskey},
	"authenticators/list":             {serve: (*portalVisit).listPasskeys},
	"authenticators/delete":           {serve: (*portalVisit).deletePasskey},
	"authenticators/update":           {serve: (*portalVisit).renamePasskey},
	"sign-in-challenge":               {serve: (*portalVisit).signInChallenge, anonymous: true},
}

// serveFIDO2 answers the FIDO2 API.
func (v *portalVisit) serveFIDO2(below string) error {
	if err := v.serveFIDO2Route(below); err != nil {
		return v.failFIDO2(err)
	}
	return nil
}

func (v *portalVisit) serveFIDO2Route(below string) error {
	cross, err := v.shareCrossOrigin()
	if err != nil {
		return err
	}
	found, ok := fido2Routes[below]
	if !ok {
		return fido2Failure{failure{status: http.StatusNotFound, code: "not_found"}, messageNotFound}
	}
	switch v.r.Method {
	case http.MethodOptions:
		v.w.WriteHeader(http.StatusNoContent)
		return nil
	case http.MethodPost:
	default:
		v.w.Header().Set("Allow", "POST, OPTIONS")
		return fido2Failure{failure{status: http.StatusMethodNotAllowed, code: "invalid"}, "Method not allowed"}
	}
	var caller fido2Caller
	if !found.anonymous {
		if caller, err = v.caller(cross); err != nil {
			return err
		}
	}
	if err := v.limitCaller(caller); err != nil {
		return err
	}
	return found.serve(v, caller)
}

// failFIDO2 answers with the message for an error; those that are not for the caller become the text of a 500.
func (v *portalVisit) failFIDO2(err error) error {
	var known fido2Failure
	var refused *passkey.Error
	f := failureOf(err)
	message := messageInternal
	switch {
	case errors.As(err, &known):
		f, message = known.failure, known.message
	case errors.As(err, &refused):
		f, message = failure{status: http.StatusBadRequest, code: refused.Code, cause: err}, refused.Message
	case f.code == "reauthentication_required":
		message = messageAgain
	case f.status == http.StatusTooManyRequests:
		message = messageTooMany
	case f.status == http.StatusServiceUnavailable:
		message = messageUnavailable
	case f.status == http.StatusUnauthorized:
		message = messageUnauthorized
	case f.status < http.StatusInternalServerError:
		message = messageInvalidBody
	}
	v.note(f)
	return v.json(f.status, struct {
		Message string `json:"message"`
	}{message})
}

func (c fido2Caller) user() passkey.User {
	name := c.email
	if name == "" {
		name = c.username
	}
	return passkey.User{Handle: c.handle, Name: name}
}

// startPasskey makes the options of a registration. It takes a proof bound to this session, or a fresh bearer.
func (v *portalVisit) startPasskey(c fido2Caller) error {
	code, err := v.proofBody()
	if err != nil {
		return err
	}
	if err := v.authorise(c, code, proof{Purpose: proofAdd}); err != nil {
		return err
	}
	query := v.r.URL.Query()
	rpID, format := query.Get("rpId"), query.Get("format")
	if err := v.checkRelyingParty(rpID); err != nil {
		return err
	}
	if format != "" && format != formatJSON {
		return badRequest("Unrecognized format", nil)
	}
	options, err := v.rt.ceremonies.StartRegistration(v.r.Context(), c.user(), rpID)
	if err != nil {
		return ceremonyFailure(err)
	}
	if format == formatJSON {
		options = options.StandardJSON()
	}
	return v.json(http.StatusOK, options)
}

func (v *portalVisit) checkRelyingParty(rpID string) error {
	if rpID == "" {
		return badRequest("Missing RP ID", nil)
	}
	if _, ok := v.rt.config.passkeys.RelyingParty(rpID); !ok {
		return badRequest("Unrecognized RP ID", nil)
	}
	return nil
}

// fido2Credential is a passkey in the API's JSON. Flags are absent in lists.
type fido2Credential struct {
	CredentialID          string   `json:"credentialId"`
	SignCount             uint32   `json:"signCount"`
	FriendlyName          string   `json:"friendlyName"`
	FlagUserVerified      *int     `json:"flagUserVerified,omitempty"`
	FlagBackupEligibility *int     `json:"flagBackupEligibility,omitempty"`
	FlagBackupState       *int     `json:"flagBackupState,omitempty"`
	Transports            []string `json:"transports,omitempty"`
	AAGUID                string   `json:"aaguid"`
	RPID                  string   `json:"rpId"`
	CreatedAt             string   `json:"createdAt"`
	LastSignIn            string   `json:"lastSignIn,omitempty"`
}

func fido2CredentialOf(c passkey.Credential) fido2Credential {
	out := fido2Credential{
		CredentialID: challenge.EncodeBase64(c.ID), SignCount: c.SignCount, FriendlyName: c.FriendlyName, Transports: c.Transports,
		AAGUID: base64.RawURLEncoding.EncodeToString(c.AAGUID[:]), RPID: c.RelyingPartyID,
		CreatedAt: c.CreatedAt.UTC().Format(isoMilliseconds),
	}
	if !c.LastSignIn.IsZero() {
		out.LastSignIn = c.LastSignIn.UTC().Format(isoMilliseconds)
	}
	return out
}

func flag(set bool) *int {
	n := 0
	if set {
		n = 1
	}
	return &n
}

// completePasskey stores a new passkey and tells its owner by mail. Its challenge exists only because start was authorised.
func (v *portalVisit) completePasskey(c fido2Caller) error {
	if err := v.freshBearer(c); err != nil {
		return err
	}
	var in passkey.Attestation
	if err := v.body(&in); err != nil {
		return err
	}
	added, err := v.rt.ceremonies.FinishRegistration(v.r.Context(), c.user(), in)
	if err != nil {
		v.audit(happenedPasskeyAdded, "refused", c.fields()...)
		return ceremonyFailure(err)
	}
	v.audit(happenedPasskeyAdded, "", append(c.fields(), zap.String("credential", challenge.EncodeBase64(added.ID)))...)
	v.tell(c, "created", added.FriendlyName)
	out := fido2CredentialOf(added)
	out.FlagUserVerified, out.FlagBackupEligibility, out.FlagBackupState = flag(added.UserVerified), flag(added.BackupEligible), flag(added.BackupState)
	return v.json(http.StatusOK, out)
}

func (v *portalVisit) listPasskeys(c fido2Caller) error {
	if err := v.emptyBody(); err != nil {
		return err
	}
	rpID := v.r.URL.Query().Get("rpId")
	if err := v.checkRelyingParty(rpID); err != nil {
		return err
	}
	own, err := v.rt.credentials.List(v.r.Context(), c.handle, rpID)
	if err != nil {
		return storeFailure(err)
	}
	list := make([]fido2Credential, 0, len(own))
	for _, credential := range own {
		list = append(list, fido2CredentialOf(credential))
	}
	return v.json(http.StatusOK, struct {
		Authenticators []fido2Credential `json:"authenticators"`
	}{list})
}

// deletePasskey removes one of the caller's own passkeys and tells them by mail. An unknown one is gone already.
func (v *portalVisit) deletePasskey(c fido2Caller) error {
	var in struct {
		CredentialID string `json:"credentialId"`
		Proof        string `json:"proof"`
	}
	if err := v.body(&in); err != nil {
		return err
	}
	id, malformed := credentialID(in.CredentialID)
	err := v.authorise(c, in.Proof, proof{Purpose: proofDelete, Credential: challenge.EncodeBase64(id)})
	if malformed != nil {
		return malformed
	}
	if err != nil {
		return err
	}
	known, err := v.rt.credentials.Get(v.r.Context(), c.handle, id)
	if err != nil && !errors.Is(err, passkey.ErrUnknownCredential) {
		return storeFailure(err)
	}
	existed := err == nil
	if err := v.rt.credentials.Delete(v.r.Context(), c.handle, id); err != nil {
		return storeFailure(err)
	}
	if existed {
		v.audit(happenedPasskeyDeleted, "", append(c.fields(), zap.String("credential", challenge.EncodeBase64(id)))...)
		v.tell(c, "deleted", known.FriendlyName)
	}
	v.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (v *portalVisit) renamePasskey(c fido2Caller) error {
	var in struct {
		CredentialID string `json:"credentialId"`
		FriendlyName string `json:"friendlyName"`
	}
	if err := v.body(&in); err != nil {
		return err
	}
	id, err := credentialID(in.CredentialID)
	if err != nil {
		return err
	}
	name := strings.TrimSpace(in.FriendlyName)
	if name == "" || !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxFriendlyName {
		return badRequest(messageInvalidBody, errors.New("the name is empty or too long"))
	}
	err = v.rt.credentials.Rename(v.r.Context(), c.handle, id, name)
	if errors.Is(err, passkey.ErrUnknownCredential) {
		return badRequest("Unknown credential", err)
	}
	if err != nil {
		return storeFailure(err)
	}
	v.audit(happenedPasskeyRenamed, "", append(c.fields(), zap.String("credential", challenge.EncodeBase64(id)))...)
	v.w.Header().Set("Content-Type", "application/json")
	v.w.WriteHeader(http.StatusOK)
	return nil
}

// signInChallenge is for front ends that sign in without a user name and talk to the pool themselves.
func (v *portalVisit) signInChallenge(fido2Caller) error {
	if err := v.emptyBody(); err != nil {
		return err
	}
	value, err := passkey.NewChallenge(v.rt.rand)
	if err != nil {
		return err
	}
	options := v.rt.ceremonies.RequestOptions("", value, nil)
	expires := v.rt.now().Add(time.Duration(options.Timeout) * time.Millisecond)
	if err := v.rt.credentials.PutSignInChallenge(v.r.Context(), value, expires); err != nil {
		return storeFailure(err)
	}
	return v.json(http.StatusOK, struct {
		Challenge        string `json:"challenge"`
		Timeout          int64  `json:"timeout"`
		UserVerification string `json:"userVerification"`
	}{value, options.Timeout, options.UserVerification})
}

// tell lets the owner know of a changed passkey by mail.
func (v *portalVisit) tell(c fido2Caller, event, name string) {
	v.tellOwner("passkey "+event, c.subject, func(ctx context.Context) error { return v.rt.notifier.PasskeyChanged(ctx, c.username, event, name) })
}

// tellOwner lets the owner of an account know of a change by mail. The change stands even if the mail does not go out.
func (v *portalVisit) tellOwner(change, subject string, tell func(context.Context) error) {
	if v.rt.notifier == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.r.Context()), notifyTimeout)
	defer cancel()
	if err := tell(ctx); err != nil {
		v.rt.logger.Error("telling a user of a change", zap.String("change", change), zap.String("subject", subject), zap.String("reference", reference(v.r)), zap.Error(err))
	}
}

func credentialID(s string) ([]byte, error) {
	id, err := parseCredentialID(s)
	if err != nil {
		return nil, badRequest(messageInvalidBody, err)
	}
	return id, nil
}

// ceremonyFailure keeps what the caller may see and takes everything else for a store that cannot be asked.
func ceremonyFailure(err error) error {
	if refused := (*passkey.Error)(nil); errors.As(err, &refused) {
		return err
	}
	return storeFailure(err)
}

// proofBody reads the proof that the account page sends to start a registration. Other clients come without a body, or with white
// space or {}.
func (v *portalVisit) proofBody() (code string, err error) {
	whole := v.limitBody()
	body, err := io.ReadAll(v.r.Body)
	if err != nil {
		return "", badBody(err)
	}
	whole()
	var in struct {
		Proof string `json:"proof"`
	}
	if mediaType(v.r) == "application/json" && json.Unmarshal(body, &in) == nil {
		code = in.Proof
	}
	return code, nil
}

// emptyBody reads a body that should be empty: clients send none, or white space, or {}.
func (v *portalVisit) emptyBody() error {
	_, err := v.proofBody()
	return err
}
