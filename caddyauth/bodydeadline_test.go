package caddyauth

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// slowBody is a request's body, and the deadlines that its connection was given.
type slowBody struct {
	*httptest.ResponseRecorder
	deadlines []time.Time
	unlimited int // reads without a deadline, or with a late one
	read      int
}

// SetReadDeadline is what [http.ResponseController] calls.
func (s *slowBody) SetReadDeadline(at time.Time) error {
	s.deadlines = append(s.deadlines, at)
	return nil
}

// Read is a client's that sends nothing more.
func (s *slowBody) Read([]byte) (int, error) {
	s.read++
	if n := len(s.deadlines); n == 0 || s.deadlines[n-1].IsZero() || time.Until(s.deadlines[n-1]) > bodyTimeout {
		s.unlimited++
	}
	return 0, io.ErrUnexpectedEOF
}

// Attack: a body that comes a byte a minute would hold its connection, and what waits for it, for hours. Every body is read under a deadline, which
// is lifted afterwards: the connection has more requests to serve.
func TestAttackBodyThatNeverEnds(t *testing.T) {
	p := newPortal(t)
	signedIn := p.browser()
	signedIn.signInByLink(anna)
	for target, media := range map[string]string{
		"/auth/sign-in":                               urlencoded,
		"/auth/link":                                  urlencoded,
		"/auth/passkey/sign-in":                       "application/json",
		"/auth/reauthenticate":                        "application/json",
		"/auth/fido2/authenticators/update":           "application/json",
		"/auth/fido2/register-authenticator/complete": "application/json",
	} {
		r := posted(target, media, "")
		body := &slowBody{ResponseRecorder: httptest.NewRecorder()}
		r.Body, r.ContentLength = io.NopCloser(body), 1000
		for name, value := range signedIn.cookies {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), body, nil)
		caddyhttp.SetVar(r.Context(), caddyhttp.ClientIPVarKey, "192.0.2.1")
		if err := p.portal.ServeHTTP(body, r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })); err != nil {
			t.Fatalf("%s: %v", target, err)
		}
		if body.read == 0 || body.unlimited > 0 {
			t.Errorf("%s: of %d reads %d had no deadline within %s", target, body.read, body.unlimited, bodyTimeout)
		}
		if n := len(body.deadlines); n == 0 || !body.deadlines[n-1].IsZero() {
			t.Errorf("%s: the deadline stays: %v", target, body.deadlines)
		}
	}
}
