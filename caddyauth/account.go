package caddyauth

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/templates"
)

// getAccount shows passkeys and sessions.
func (v *portalVisit) getAccount() error {
	s, err := v.signedIn()
	if errors.Is(err, errNoSession) {
		location, err := v.accountSignIn()
		if err != nil {
			return err
		}
		return v.seeOther(location)
	}
	if err != nil {
		return err
	}
	handle := challenge.UserHandle(s.Username, s.Subject)
	credentials, err := v.rt.credentials.List(v.r.Context(), handle, "")
	if err != nil {
		return storeFailure(err)
	}
	sessions, err := v.rt.sessions.List(v.r.Context(), s.Subject)
	if err != nil {
		return err
	}
	page := templates.AccountPage{
		Email: s.Email, Username: s.Username, UserHandle: handle,
		Passkeys:       passkeyRows(credentials),
		Sessions:       sessionRows(sessions, session.PublicID(s)),
		Suggest:        len(credentials) == 0,
		RelyingPartyID: v.rt.config.passkeys.RelyingParties[0].ID,
		Applications:   v.rt.config.Applications,
	}
	if notice := v.r.URL.Query().Get("notice"); slices.Contains(accountNotices, notice) {
		page.Notice = notice
	}
	if page.Phone, page.PhoneVerified, err = v.phoneRow(s); err != nil {
		v.rt.logger.Warn("asking the pool for a phone number", zap.Error(err), zap.String("reference", reference(v.r)))
	}
	page.PhoneOffered = v.rt.config.SMSStepUp && err == nil
	return v.page(http.StatusOK, page)
}

// accountNotices are what the account page can say after a change.
var accountNotices = []string{"session_ended", "phone_verified", "phone_removed"}

// accountSignIn is the sign-in page that leads back to the account page.
func (v *portalVisit) accountSignIn() (string, error) {
	return v.rt.flowURL("sign-in", Flow{Return: v.rt.portal.JoinPath("account").String()})
}

func passkeyRows(credentials []passkey.Credential) []templates.PasskeyRow {
	var rows []templates.PasskeyRow
	for _, c := range credentials {
		rows = append(rows, templates.PasskeyRow{
			ID: challenge.EncodeBase64(c.ID), Name: c.FriendlyName, Provider: passkey.ProviderName(c.AAGUID),
			Synced: c.BackupEligible, Created: c.CreatedAt, LastUsed: c.LastSignIn,
		})
	}
	return rows
}

func sessionRows(sessions []session.Summary, current string) []templates.SessionRow {
	var rows []templates.SessionRow
	for _, s := range sessions {
		rows = append(rows, templates.SessionRow{
			ID: s.ID, Device: s.Device.UserAgent, Address: s.Device.Address, Started: s.Started, Seen: s.Seen, Current: s.ID == current,
		})
	}
	return rows
}

// postEndSession signs out one of the person's other sessions, or this one.
func (v *portalVisit) postEndSession() error {
	s, err := v.signedIn()
	if err != nil {
		return err
	}
	if err := v.form(); err != nil {
		return err
	}
	v.again = v.rt.portal.Path + "account"
	id := v.r.PostForm.Get("id")
	err = v.rt.sessions.EndByID(v.r.Context(), s.Subject, id)
	if errors.Is(err, session.ErrInvalid) {
		return failure{status: http.StatusNotFound, code: "invalid", cause: err}
	}
	if err != nil {
		return failure{status: http.StatusServiceUnavailable, code: "unavailable", retryAfter: retryAfter * time.Second, cause: err}
	}
	v.audit(happenedSessionEnded, "", append(whoIs(s), zap.String("ended", id))...)
	if id == session.PublicID(s) {
		v.rt.sessionCookie.Clear(v.w)
		return v.seeOther(v.rt.portal.Path + "signed-out")
	}
	return v.seeOther(v.rt.portal.Path + "account?notice=session_ended")
}

// postEndAll signs the person out everywhere.
func (v *portalVisit) postEndAll() error {
	s, err := v.signedIn()
	if err != nil {
		return err
	}
	v.again = v.rt.portal.Path + "account"
	if err := v.rt.sessions.EndAll(v.r.Context(), s.Subject); err != nil {
		return failure{status: http.StatusServiceUnavailable, code: "unavailable", retryAfter: retryAfter * time.Second, cause: err}
	}
	v.audit(happenedSignOutAll, "", whoIs(s)...)
	v.rt.sessionCookie.Clear(v.w)
	return v.seeOther(v.rt.portal.Path + "signed-out")
}

// getSignOut asks before signing out: opening an address changes nothing.
func (v *portalVisit) getSignOut() error {
	s, ok, err := v.peek()
	if err != nil {
		return err
	}
	back := v.backFrom(v.r.URL.Query())
	if !ok {
		v.rt.sessionCookie.Clear(v.w)
		return v.signedOut(back)
	}
	email := s.Email
	if email == "" {
		email = s.Username
	}
	page := templates.SignOutPage{Email: email}
	if back != "" {
		if page.Flow, err = v.rt.sealFlow(Flow{Return: back}); err != nil {
			return fmt.Errorf("sealing where to go after the sign-out: %w", err)
		}
	}
	return v.page(http.StatusOK, page)
}

// postSignOut denies the session before anything else; if that cannot be stored, nobody is told to be signed out.
func (v *portalVisit) postSignOut() error {
	if err := v.form(); err != nil {
		return err
	}
	back := v.backFrom(v.r.PostForm)
	s, ok, err := v.peek()
	if err != nil {
		return err
	}
	if ok {
		v.again = v.rt.portal.Path + "sign-out"
		if err := v.rt.sessions.End(v.r.Context(), s); err != nil {
			return failure{status: http.StatusServiceUnavailable, code: "unavailable", retryAfter: retryAfter * time.Second, cause: err}
		}
		v.audit(happenedSignOut, "", whoIs(s)...)
	}
	v.rt.sessionCookie.Clear(v.w)
	return v.leave(back, s)
}

// signedOut leads to the last page, with a sealed note of where to sign in again.
func (v *portalVisit) signedOut(back string) error {
	location := v.rt.portal.Path + "signed-out"
	if back != "" {
		var err error
		if location, err = v.rt.flowURL("signed-out", Flow{Return: back}); err != nil {
			return err
		}
	}
	return v.seeOther(location)
}

// backFrom is where to sign in again after a sign-out: the very page, where the portal or a guard has sealed it, or else the root of an
// application that is merely named.
func (v *portalVisit) backFrom(values url.Values) string {
	flow, err := v.rt.openFlow(values.Get("flow"))
	if err != nil {
		return v.returnOf(values.Get("return"))
	}
	u, err := v.rt.allowedReturn(flow.Return)
	if err != nil {
		return ""
	}
	return u.String()
}

// returnOf reduces what a query or form names to the root of a listed application; anything else is "".
func (v *portalVisit) returnOf(raw string) string {
	u, err := v.rt.allowedReturn(raw)
	if err != nil {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/"}).String()
}

// getSignedOut says that it is done.
func (v *portalVisit) getSignedOut() error {
	return v.page(http.StatusOK, templates.SignedOutPage{SignInURL: v.backFrom(url.Values{"flow": v.r.URL.Query()["flow"]})})
}
