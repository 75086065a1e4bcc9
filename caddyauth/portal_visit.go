package caddyauth

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-cognito/passwordless/internal/session"
)

// browserLifetime is how long a browser is recognised as the one that asked for a link.
const browserLifetime = 24 * time.Hour

// portalVisit is one request to the portal.
type portalVisit struct {
	portal *Portal
	rt     *realm
	w      http.ResponseWriter
	r      *http.Request
	script bool   // the caller wants JSON
	again  string // where an error page leads; "": the sign-in page
}

func (v *portalVisit) language() string { return v.r.Header.Get("Accept-Language") }

func (v *portalVisit) address() string { return clientAddress(v.r) }

// clientAddress is the client's, as Caddy's trusted_proxies say.
func clientAddress(r *http.Request) string {
	if ip, ok := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string); ok && ip != "" {
		return ip
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// pool bounds what one request may ask of the user pool.
func (v *portalVisit) pool() (context.Context, context.CancelFunc) {
	return context.WithTimeout(v.r.Context(), poolTimeout)
}

// browser is the hash of this browser's cookie, "" when it has none. Two cookies of the name are refused.
func (v *portalVisit) browser() (string, error) {
	secret, err := v.rt.browserCookie.Read(v.r)
	switch {
	case errors.Is(err, http.ErrNoCookie):
		return "", nil
	case err != nil:
		return "", err
	case !isCode(secret):
		return "", nil
	}
	return v.rt.browserHash(secret), nil
}

func (rt *realm) browserHash(secret string) string {
	return base64.RawURLEncoding.EncodeToString(rt.sessions.Keys.MAC("browser", []byte(rt.name), []byte(secret)))
}

// ensureBrowser is browser, with a cookie set where there is none.
func (v *portalVisit) ensureBrowser() (string, error) {
	hash, err := v.browser()
	if err != nil || hash != "" {
		return hash, err
	}
	secret, err := randomCode(v.rt.rand)
	if err != nil {
		return "", err
	}
	v.rt.browserCookie.Set(v.w, secret, browserLifetime)
	return v.rt.browserHash(secret), nil
}

// sameBrowser compares in constant time; nothing is the same as no browser.
func sameBrowser(a, b string) bool {
	return a != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

// newFlow begins a flow in this browser, with what another knows of where to go.
func (v *portalVisit) newFlow(from Flow) (Flow, error) {
	browser, err := v.ensureBrowser()
	if err != nil {
		return Flow{}, err
	}
	id, err := randomCode(v.rt.rand)
	if err != nil {
		return Flow{}, err
	}
	return Flow{
		ID: id, Browser: browser, Issued: v.rt.now(),
		Return: from.Return, Fragment: from.Fragment, Host: from.Host, NonceHash: from.NonceHash, Attempt: from.Attempt,
		StepUp: from.StepUp.again(),
	}, nil
}

// ownFlow opens a flow that a page of ours sent back. One that began in another browser is worth nothing here.
func (v *portalVisit) ownFlow(sealed string) (Flow, error) {
	flow, err := v.rt.openFlow(sealed)
	if err != nil {
		return Flow{}, err
	}
	browser, err := v.browser()
	if err != nil {
		return Flow{}, err
	}
	if flow.ID == "" || !sameBrowser(flow.Browser, browser) {
		return Flow{}, fmt.Errorf("%w: it began in another browser", errFlowInvalid)
	}
	return flow, nil
}

// flowURL is an address of the portal that carries a flow.
func (rt *realm) flowURL(below string, flow Flow) (string, error) {
	sealed, err := rt.sealFlow(flow)
	if err != nil {
		return "", fmt.Errorf("sealing the sign-in state: %w", err)
	}
	return rt.portal.Path + below + "?flow=" + url.QueryEscape(sealed), nil
}

// peek opens this browser's session and changes nothing; false when nobody is signed in.
func (v *portalVisit) peek() (session.Session, bool, error) {
	value, err := v.rt.sessionCookie.Read(v.r)
	if errors.Is(err, http.ErrNoCookie) {
		return session.Session{}, false, nil
	}
	if err != nil {
		v.rt.forgetCookies(v.w, v.rt.portal.Host)
		return session.Session{}, false, err
	}
	s, err := v.rt.sessions.Open(value, v.rt.sessionHost(v.rt.portal.Host))
	if errors.Is(err, session.ErrUnavailable) {
		return session.Session{}, false, err
	}
	return s, err == nil, nil
}

// live is peek for pages that use the session: it is refreshed and touched as the guard does.
func (v *portalVisit) live() (session.Session, bool, error) {
	s, ok, err := v.peek()
	if err != nil || !ok {
		return s, ok, err
	}
	changed := false
	if v.rt.sessions.NeedsRefresh(s) {
		refreshed, err := v.rt.sessions.Refresh(v.r.Context(), s)
		switch {
		case err == nil:
			changed, s = refreshed.Generation != s.Generation, refreshed
		case errors.Is(err, session.ErrUnavailable):
			return session.Session{}, false, err
		default:
			return session.Session{}, false, nil
		}
	}
	if touched, due := v.rt.sessions.Touch(s); due {
		changed, s = true, touched
	}
	if changed {
		if err := v.setSession(s); err != nil {
			return session.Session{}, false, err
		}
	}
	return s, true, nil
}

// signedIn is live for pages that nobody else may see.
func (v *portalVisit) signedIn() (session.Session, error) {
	s, ok, err := v.live()
	if err == nil && !ok {
		err = errNoSession
	}
	return s, err
}

func (v *portalVisit) setSession(s session.Session) error {
	value, err := v.rt.sessions.Seal(s, v.rt.sessionHost(v.rt.portal.Host))
	if err != nil {
		return fmt.Errorf("sealing the session: %w", err)
	}
	v.rt.sessionCookie.Set(v.w, value, s.Ends.Sub(v.rt.now()))
	return nil
}

// sealState seals what a page carries for one ceremony.
func (rt *realm) sealState(purpose string, state any) (string, error) {
	return rt.sealPadded(purpose, state, 0)
}

// sealPadded is sealState at a least size in bytes: what is sealed has the same length, whatever is inside.
func (rt *realm) sealPadded(purpose string, state any, size int) (string, error) {
	plaintext, err := json.Marshal(state)
	if err != nil {
		return "", err
	}
	if missing := size - len(plaintext); missing > 0 {
		plaintext = append(plaintext, bytes.Repeat([]byte(" "), missing)...) // white space, to JSON
	}
	return rt.sessions.Keys.Seal(session.Binding{Purpose: purpose, Realm: rt.name, Host: rt.portal.Host}, plaintext)
}

// openState is the inverse of sealState; whatever is wrong is errFlowInvalid.
func (rt *realm) openState(purpose, sealed string, into any) error {
	plaintext, err := rt.sessions.Keys.Open(session.Binding{Purpose: purpose, Realm: rt.name, Host: rt.portal.Host}, sealed)
	if err != nil || json.Unmarshal(plaintext, into) != nil {
		return errFlowInvalid
	}
	return nil
}

// recent reports whether something of our own making is no older than lifetime.
func (rt *realm) recent(issued time.Time, lifetime time.Duration) bool {
	age := rt.now().Sub(issued)
	return age <= lifetime && age >= -maxClockSkew
}
