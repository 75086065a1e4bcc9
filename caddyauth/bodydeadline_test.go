package caddyauth

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// slowBody is a request's body that may break off, and the deadlines that its connection was given.
type slowBody struct {
	*httptest.ResponseRecorder
	content   io.Reader
	deadlines []time.Time
	unlimited int // reads without a deadline, or with a late one
	read      int
}

// SetReadDeadline is what [http.ResponseController] calls.
func (s *slowBody) SetReadDeadline(at time.Time) error {
	s.deadlines = append(s.deadlines, at)
	return nil
}

func (s *slowBody) Read(p []byte) (int, error) {
	s.read++
	if !s.limited() {
		s.unlimited++
	}
	return s.content.Read(p)
}

// limited reports whether the connection's deadline is set, and near.
func (s *slowBody) limited() bool {
	n := len(s.deadlines)
	return n > 0 && !s.deadlines[n-1].IsZero() && time.Until(s.deadlines[n-1]) <= bodyTimeout
}

// Attack: a body that comes a byte a minute would hold its connection, and what waits for it, for hours. Every body is read under a deadline.
// It stays after a body that broke off, because net/http reads what is left of it. It is lifted after a whole body: the calls that follow, to
// the pool and to the store, need the request to go on.
func TestAttackBodyThatNeverEnds(t *testing.T) {
	p := newPortal(t)
	signedIn := p.browser()
	signedIn.signInByLink(anna)
	endless := iotest.ErrReader(os.ErrDeadlineExceeded)
	for target, media := range map[string]string{
		"/auth/sign-in":                               urlencoded,
		"/auth/link":                                  urlencoded,
		"/auth/passkey/sign-in":                       "application/json",
		"/auth/reauthenticate":                        "application/json",
		"/auth/fido2/authenticators/update":           "application/json",
		"/auth/fido2/register-authenticator/complete": "application/json",
	} {
		whole := "{}"
		if media == urlencoded {
			whole = "flow=none"
		}
		for name, content := range map[string]io.Reader{
			"nothing comes":  endless,
			"it breaks off":  io.MultiReader(strings.NewReader(whole[:1]), endless),
			"all of it came": strings.NewReader(whole),
		} {
			r := posted(target, media, "")
			body := &slowBody{ResponseRecorder: httptest.NewRecorder(), content: content}
			r.Body, r.ContentLength = io.NopCloser(body), 1000
			for name, value := range signedIn.cookies {
				r.AddCookie(&http.Cookie{Name: name, Value: value})
			}
			r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), body, nil)
			caddyhttp.SetVar(r.Context(), caddyhttp.ClientIPVarKey, "192.0.2.1")
			if err := p.portal.ServeHTTP(body, r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })); err != nil {
				t.Fatalf("%s, %s: %v", target, name, err)
			}
			if body.read == 0 || body.unlimited > 0 {
				t.Errorf("%s, %s: of %d reads %d had no deadline within %s", target, name, body.read, body.unlimited, bodyTimeout)
			}
			if wanted := name != "all of it came"; body.limited() != wanted {
				t.Errorf("%s, %s: a deadline afterwards: %v, want %v", target, name, !wanted, wanted)
			}
		}
	}
}
