package caddyauth

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

// eachTime asks for every request.
func eachTime() []StepUpRule {
	return []StepUpRule{{MaxAge: caddy.Duration(5 * time.Minute), Factors: []string{"passkey", "sms"}, Transaction: true}}
}

// shop is a browser whose person is signed in at portal and application, where a guard wants to have each request below /tx approved, and those
// below /fresh a factor of the last minutes.
type shop struct {
	*browser
	host   string            // origin of the application
	app    map[string]string // cookies there
	tx     *Guard
	fresh  *Guard
	device *passkeytest.Authenticator

	got []order // what reached the application
}

// order is a request as the application sees it.
type order struct{ request, body, approval string }

// newShop signs anna in, whose passkey passed a moment ago.
func newShop(t *testing.T, change ...func(*Realm, *Portal)) *shop {
	t.Helper()
	return newPortal(t, change...).shop(appOrigin)
}

func (p *portalTest) shop(host string) *shop {
	p.Helper()
	p.rt.streams = new(streams)
	b, _, device := p.annaWithPasskey()
	s2 := &shop{browser: b, host: host, app: map[string]string{}, device: device}
	s2.tx = s2.guard(Guard{StepUp: eachTime()})
	s2.fresh = s2.guard(Guard{StepUp: fiveMinutes("passkey")})
	s2.passSomething()
	s, _ := b.session()
	s2.keepSession(s)
	return s2
}

func (s *shop) guard(config Guard) *Guard {
	s.Helper()
	guard := &config
	guard.logger = zap.NewNop()
	app := s.portal.app
	if err := guard.bind(app, app.Realms[DefaultRealm]); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = guard.Cleanup() })
	return guard
}

// keepSession gives the application's host the session.
func (s *shop) keepSession(of session.Session) {
	s.Helper()
	_, host, _ := strings.Cut(s.host, "://")
	value, err := s.rt.sessions.Seal(of, s.rt.sessionHost(host))
	if err != nil {
		s.Fatal(err)
	}
	s.app[s.rt.sessionCookie.Name] = value
}

// passSomething passes a passkey for the session, for no transaction, and comes back to the application.
func (s *shop) passSomething() {
	s.Helper()
	of, ok := s.session()
	if !ok {
		s.Fatal("not signed in")
	}
	s.ceremony(s.stepUpPage(s.stepUpURL(of, session.Passkey)))
	of, _ = s.session()
	s.keepSession(of)
}

// visit sends a request to the application through a guard.
func (s *shop) visit(guard *Guard, r *http.Request) *httptest.ResponseRecorder {
	s.Helper()
	for name, value := range s.app {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil)
	err := guard.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			s.Error(err)
		}
		s.got = append(s.got, order{r.Method + " " + r.URL.RequestURI(), string(body), r.Header.Get(headerTransaction)})
		_, err = io.WriteString(w, "done")
		return err
	}))
	if err != nil {
		s.Fatal(err)
	}
	for _, c := range w.Result().Cookies() {
		s.app[c.Name] = c.Value
	}
	return w
}

// open is a navigation to a path that needs an approval.
func (s *shop) open(path string) *httptest.ResponseRecorder {
	s.Helper()
	return s.visit(s.tx, navigation(s.host+path))
}

// xhr is a script's POST of JSON.
func (s *shop) xhr(path, body string) *httptest.ResponseRecorder {
	s.Helper()
	return s.visit(s.tx, jsonPost(s.host+path, body))
}

func jsonPost(target, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin",
	} {
		r.Header.Set(name, value)
	}
	return r
}

// asked is the address of the step-up page to which a navigation, a form or a script was sent.
func (s *shop) asked(w *httptest.ResponseRecorder) string {
	s.Helper()
	if location := w.Header().Get("Location"); w.Code == http.StatusFound || w.Code == http.StatusSeeOther {
		if !strings.HasPrefix(location, s.rt.portal.String()+"step-up?flow=") {
			s.Fatalf("sent to %q", location)
		}
		return location
	}
	var answer struct {
		StepUpURL   string `json:"step_up_url"`
		Transaction bool
	}
	s.decode(w, http.StatusUnauthorized, &answer)
	if !answer.Transaction {
		s.Errorf("a script does not learn that it is about this request: %s", w.Body)
	}
	return answer.StepUpURL
}

// ceremony passes a passkey on an open page, and returns where the page goes then.
func (s *shop) ceremony(flow string) (location string) {
	s.Helper()
	asked := s.passkeyPrompt(flow)
	var done struct{ Location string }
	s.decode(s.passkeyAnswer(flow, asked, s.device.Get(s, asked.PublicKey)), http.StatusOK, &done)
	return done.Location
}

// handOver takes the session and what was confirmed to the application's host, as the handoff's page does.
func (s *shop) handOver(location string) *httptest.ResponseRecorder {
	s.Helper()
	code, ok := handoffCode(location, s.host)
	if !ok {
		s.Fatalf("leads to %q", location)
	}
	return s.visit(s.tx, post(s.host, code))
}

// approve confirms what an answer of the guard asks for, to the end.
func (s *shop) approve(w *httptest.ResponseRecorder) {
	s.Helper()
	if back := s.handOver(s.ceremony(s.stepUpPage(s.asked(w)))); ledTo(back) == "" {
		s.Fatalf("the handoff: %d %s", back.Code, back.Body)
	}
}

// wantApproved checks that a request passed with an approval.
func (s *shop) wantApproved(w *httptest.ResponseRecorder, request, body string) {
	s.Helper()
	if w.Code != http.StatusOK || len(s.got) == 0 {
		s.Fatalf("%s did not pass: %d %s", request, w.Code, w.Body)
	}
	last := s.got[len(s.got)-1]
	if last.request != request || last.body != body || len(last.approval) != 22 {
		s.Errorf("the application got %+v", last)
	}
}

// wantAsked checks that a request did not pass and is asked about, and nothing reached the application since.
func (s *shop) wantAsked(name string, w *httptest.ResponseRecorder, reached int) string {
	s.Helper()
	if w.Code == http.StatusOK || len(s.got) != reached {
		s.Errorf("%s: passes with %d, the application got %+v", name, w.Code, s.got)
		return ""
	}
	return s.asked(w)
}

// crossSite is a top-level navigation that another site began.
func crossSite(target string) *http.Request {
	r := navigation(target)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	return r
}
