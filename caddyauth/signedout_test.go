package caddyauth

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
)

// lastPage is where a sign-out ends, after it has passed an application.
func (b *browser) lastPage(w *httptest.ResponseRecorder) string {
	b.Helper()
	if w.Header().Get("Clear-Site-Data") != clearCache {
		b.Errorf("the portal's host keeps its pages: %v", w.Header())
	}
	next, err := url.Parse(b.passedOn(w))
	if err != nil {
		b.Fatal(err)
	}
	if next.Path != "/auth/signed-out" || next.Host == "" {
		return next.String()
	}
	var state signedOutState
	if err := b.rt.openState(signedOutPurpose, next.Query().Get("state"), &state); err != nil || state.Origin != "https://"+next.Host {
		b.Fatalf("%+v %v", state, err)
	}
	last, err := b.rt.flowURL("signed-out", Flow{Return: state.Back})
	if err != nil {
		b.Fatal(err)
	}
	return last
}

// After a sign-out the application's host has its pages and its cookie forgotten, and nobody else's session.
func TestSignOutForgetsPagesOfTheApplication(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{EndpointsOnly: true})
	ended, old := g.signIn("alice", appOrigin)
	_, living := g.signIn("bob", appOrigin)
	seal := func(origin string, issued time.Time) string {
		sealed, err := g.rt.sealState(signedOutPurpose, signedOutState{Origin: origin, Session: session.PublicID(ended), Back: appOrigin + "/reports", Issued: issued})
		if err != nil {
			t.Fatal(err)
		}
		return url.QueryEscape(sealed)
	}
	good := seal(appOrigin, g.clock.Now())
	for name, tc := range map[string]struct {
		state   string
		cookie  *http.Cookie
		forgets bool
	}{
		"the session that was ended":    {good, old, true}, // its end may not have reached this node
		"no session":                    {good, &http.Cookie{Name: "x", Value: "y"}, true},
		"attack: another session":       {good, living, false},
		"attack: another application's": {seal(otherOrigin, g.clock.Now()), old, false},
		"attack: an old one":            {seal(appOrigin, g.clock.Now().Add(-signedOutLifetime-time.Second)), old, false},
		"attack: a made-up one":         {"AAAA", old, false},
	} {
		w := g.serve(navigation(appOrigin+"/auth/signed-out?state="+tc.state, tc.cookie), guard)
		cleared := cookieSet(w, g.rt.sessionCookie.Name)
		if got := w.Header().Get("Clear-Site-Data") == clearCache; got != tc.forgets || (cleared != nil && cleared.MaxAge < 0) != tc.forgets {
			t.Errorf("%s: %v", name, w.Header())
		}
		if w.Code != http.StatusFound || !strings.HasPrefix(w.Header().Get("Location"), portalOrigin+"/auth/signed-out") || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
	}
}

// A frame is seen by a person, whom JSON would not help. Signing in inside it is not possible.
func TestFramesGetAPage(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{})
	for dest, page := range map[string]bool{"iframe": true, "frame": true, "object": true, "embed": true, "image": false, "script": false, "empty": false} {
		r := navigation(appOrigin + "/reports?a=1&b=2")
		r.Header.Set("Sec-Fetch-Dest", dest)
		if !page {
			r.Header.Set("Sec-Fetch-Mode", "no-cors")
		}
		w := g.serve(r, guard)
		h := w.Header()
		if w.Code != http.StatusUnauthorized || h.Get("WWW-Authenticate") == "" || h.Get("Location") != "" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", dest, w.Code, h)
		}
		link := `href="` + appOrigin + `/reports?a=1&amp;b=2" target="_blank" rel="noopener"`
		if strings.Contains(w.Body.String(), link) != page {
			t.Errorf("%s: %s", dest, w.Body)
		}
		if page && (h.Get("X-Frame-Options") != "" || !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors *;")) {
			t.Errorf("%s: the page cannot be shown: %v", dest, h)
		}
	}
}
