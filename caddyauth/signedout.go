package caddyauth

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/templates"
)

const (
	signedOutPurpose  = "signed-out"
	signedOutLifetime = 10 * time.Minute
	// clearCache makes a browser drop an origin's cached pages, those that wait behind its Back button included
	// (https://www.w3.org/TR/clear-site-data/).
	clearCache = `"cache"`
)

// signedOutState says to an application's host which session was ended at the portal. Only the portal seals one, after a sign-out.
type signedOutState struct {
	Origin  string    `json:"o"`           // of the application
	Session string    `json:"i,omitempty"` // [session.PublicID]
	Back    string    `json:"b"`           // where the last page leads
	Issued  time.Time `json:"t"`
}

// leave leads a browser from the sign-out to the last page. On its way it passes the application that it came from, whose host alone
// can forget the application's pages and cookie.
func (v *portalVisit) leave(back string, ended session.Session) error {
	v.w.Header().Set("Clear-Site-Data", clearCache) // an application may share this host
	target, err := v.rt.allowedReturn(back)
	if err != nil {
		return v.signedOut("")
	}
	o, err := originOf(target)
	if err != nil || v.rt.config.portalOrigin.covers(o) {
		return v.signedOut(back)
	}
	state := signedOutState{Origin: o.String(), Back: back, Issued: v.rt.now()}
	if ended.ID != "" {
		state.Session = session.PublicID(ended)
	}
	sealed, err := v.rt.sealState(signedOutPurpose, state)
	if err != nil {
		return fmt.Errorf("sealing a sign-out: %w", err)
	}
	return v.page(http.StatusOK, templates.PassOnPage{
		Next: o.String() + v.rt.portal.Path + "signed-out?state=" + url.QueryEscape(sealed), OwnFragment: true, SignedOut: true,
	})
}

// serveSignedOut forgets what an application's host has of an ended session, and leads to the portal's last page. Another session that
// lives here meanwhile is left alone: anybody can make a browser open this address.
func (rt *realm) serveSignedOut(w http.ResponseWriter, r *http.Request, v *visit) error {
	var state signedOutState
	err := rt.openState(signedOutPurpose, r.URL.Query().Get("state"), &state)
	last := rt.portal.String() + "signed-out"
	if err != nil || state.Origin != v.origin || !rt.recent(state.Issued, signedOutLifetime) {
		return redirectToPortal(w, http.StatusFound, last)
	}
	if last, err = rt.pageOf("signed-out", Flow{Return: state.Back}); err != nil {
		return err
	}
	s, err := rt.sessions.Open(v.cookie, rt.sessionHost(v.host))
	if v.cookieErr != nil || err != nil || session.PublicID(s) == state.Session {
		w.Header().Set("Clear-Site-Data", clearCache)
		rt.sessionCookie.Clear(w)
	}
	return redirectToPortal(w, http.StatusFound, last)
}
