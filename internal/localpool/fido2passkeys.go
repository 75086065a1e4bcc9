package localpool

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/passkey"
)

const (
	// isoMilliseconds is how the API writes times (JavaScript's toISOString).
	isoMilliseconds = "2006-01-02T15:04:05.000Z"
	// maxFriendlyName bounds the name of a passkey in characters.
	maxFriendlyName = 256
)

// fido2Passkey is a passkey in the API's JSON. Flags are in the answer to a registration only.
type fido2Passkey struct {
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

func fido2PasskeyOf(c passkey.Credential) fido2Passkey {
	out := fido2Passkey{
		CredentialID: challenge.EncodeBase64(c.ID), SignCount: c.SignCount, FriendlyName: c.FriendlyName, Transports: c.Transports,
		AAGUID: base64.RawURLEncoding.EncodeToString(c.AAGUID[:]), RPID: c.RelyingPartyID, CreatedAt: c.CreatedAt.UTC().Format(isoMilliseconds),
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

// start makes the options of a registration.
func (c *fido2Call) start() (any, error) {
	rpID, err := c.relyingParty()
	if err != nil {
		return nil, err
	}
	format := c.request.URL.Query().Get("format")
	if format != "" && format != "json" {
		return nil, &fido2Error{http.StatusBadRequest, "Unrecognized format"}
	}
	options, err := c.ceremonies.StartRegistration(c.request.Context(), c.caller.passkeyUser(), rpID)
	if err == nil && format == "json" {
		options = options.StandardJSON()
	}
	return options, err
}

// complete stores a new passkey and tells its owner by mail.
func (c *fido2Call) complete() (any, error) {
	var in passkey.Attestation
	if json.Unmarshal(c.body, &in) != nil {
		return nil, errFIDO2Body
	}
	added, err := c.ceremonies.FinishRegistration(c.request.Context(), c.caller.passkeyUser(), in)
	if err != nil {
		return nil, err
	}
	c.tell("created", added.FriendlyName)
	out := fido2PasskeyOf(added)
	out.FlagUserVerified, out.FlagBackupEligibility, out.FlagBackupState = flag(added.UserVerified), flag(added.BackupEligible), flag(added.BackupState)
	return out, nil
}

func (c *fido2Call) list() (any, error) {
	rpID, err := c.relyingParty()
	if err != nil {
		return nil, err
	}
	own, err := c.ceremonies.Store.List(c.request.Context(), c.caller.user.handle(), rpID)
	if err != nil {
		return nil, err
	}
	list := make([]fido2Passkey, 0, len(own))
	for _, credential := range own {
		list = append(list, fido2PasskeyOf(credential))
	}
	return map[string][]fido2Passkey{"authenticators": list}, nil
}

type fido2Named struct {
	CredentialID string `json:"credentialId"`
	FriendlyName string `json:"friendlyName"`
}

// named reads which of the caller's passkeys is meant.
func (c *fido2Call) named() (in fido2Named, id []byte, err error) {
	if json.Unmarshal(c.body, &in) != nil {
		return in, nil, errFIDO2Body
	}
	if id, err = challenge.DecodeBase64(in.CredentialID); err != nil || len(id) == 0 {
		return in, nil, errFIDO2Body
	}
	return in, id, nil
}

// remove deletes one of the caller's own passkeys and tells them by mail. An unknown one is gone already.
func (c *fido2Call) remove() (any, error) {
	_, id, err := c.named()
	if err != nil {
		return nil, err
	}
	ctx, handle := c.request.Context(), c.caller.user.handle()
	known, err := c.ceremonies.Store.Get(ctx, handle, id)
	if errors.Is(err, passkey.ErrUnknownCredential) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := c.ceremonies.Store.Delete(ctx, handle, id); err != nil {
		return nil, err
	}
	c.tell("deleted", known.FriendlyName)
	return nil, nil
}

func (c *fido2Call) rename() (any, error) {
	in, id, err := c.named()
	if err != nil {
		return nil, err
	}
	name := strings.TrimSpace(in.FriendlyName)
	if name == "" || !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxFriendlyName {
		return nil, errFIDO2Body
	}
	err = c.ceremonies.Store.Rename(c.request.Context(), c.caller.user.handle(), id, name)
	if errors.Is(err, passkey.ErrUnknownCredential) {
		return nil, &fido2Error{http.StatusBadRequest, "Unknown credential"}
	}
	return nil, err
}

// signInChallenge begins a sign-in without a user name.
func (c *fido2Call) signInChallenge() (any, error) {
	value, err := passkey.NewChallenge(c.settings.Rand)
	if err != nil {
		return nil, err
	}
	options := c.ceremonies.RequestOptions("", value, nil)
	expires := c.settings.Now().Add(time.Duration(options.Timeout) * time.Millisecond)
	if err := c.ceremonies.Store.PutSignInChallenge(c.request.Context(), value, expires); err != nil {
		return nil, err
	}
	return struct {
		Challenge        string `json:"challenge"`
		Timeout          int64  `json:"timeout"`
		UserVerification string `json:"userVerification"`
	}{value, options.Timeout, options.UserVerification}, nil
}

// tell lets the owner know of a changed passkey. The change stands even if the mail does not go out.
func (c *fido2Call) tell(event, name string) {
	ctx := context.WithoutCancel(c.request.Context())
	if err := c.pool.PasskeyChanged(ctx, c.caller.user.Username, event, name); err != nil {
		c.pool.logger().LogAttrs(ctx, slog.LevelError, "telling a user of a changed passkey", slog.Any("error", err))
	}
}
