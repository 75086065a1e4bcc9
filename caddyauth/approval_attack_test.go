package caddyauth

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
)

// Attack: another site opens a transaction and leaves it alone, the person confirms one of their own, and the first page is opened again by a
// cross-site GET. Nobody confirmed that one.
func TestAttackGETApprovesWhatWaits(t *testing.T) {
	s := newShop(t)
	left := s.asked(s.visit(s.tx, crossSite(s.host+"/tx/delete?id=5")))
	s.send(crossSite(left))
	s.approve(s.open("/tx/pay?my=rent"))
	s.wantApproved(s.open("/tx/pay?my=rent"), "GET /tx/pay?my=rent", "")

	w := s.send(crossSite(left))
	if w.Code != http.StatusOK || strings.Contains(w.Body.String(), "/auth/handoff?") || !strings.Contains(w.Body.String(), "/tx/delete?id=5") {
		t.Errorf("the page that was left alone goes on: %d to %q", w.Code, w.Header().Get("Location"))
	}
	// Nor by the other page that moves on somebody who is signed in.
	page, err := url.Parse(left)
	if err != nil {
		t.Fatal(err)
	}
	if w := s.send(crossSite(portalOrigin + "/auth/sign-in?" + page.RawQuery)); strings.Contains(w.Body.String()+w.Header().Get("Location"), "/auth/handoff?") {
		t.Errorf("the sign-in page hands it over: %d %s", w.Code, w.Body)
	}
	s.wantAsked("the request nobody confirmed", s.visit(s.tx, crossSite(s.host+"/tx/delete?id=5")), 1)
}

// Attack: a script in the application asks for a transaction, keeps the address of the page, and waits for any step-up.
func TestAttackOrdinaryStepUpApprovesATransaction(t *testing.T) {
	s := newShop(t)
	kept := s.asked(s.xhr("/tx/transfer", `{"amount":1000}`))
	s.clock.Advance(6 * time.Minute)
	ordinary := s.asked(s.visit(s.fresh, navigation(s.host+"/fresh")))
	s.handOver(s.ceremony(s.stepUpPage(ordinary)))
	if w := s.visit(s.fresh, navigation(s.host+"/fresh")); w.Code != http.StatusOK {
		t.Fatalf("the ordinary step-up: %d", w.Code)
	}
	s.stepUpPage(kept) // asks, and goes nowhere
	s.wantAsked("the transaction", s.xhr("/tx/transfer", `{"amount":1000}`), 1)
}

// Attack: what was confirmed is sent with another body, or read in another way.
func TestAttackApprovedBodyIsChanged(t *testing.T) {
	s := newShop(t)
	const body = `{"to":"bank","amount":1000}`
	s.approve(s.xhr("/tx/transfer", body))
	as := func(change func(*http.Request)) *http.Request {
		r := jsonPost(s.host+"/tx/transfer", body)
		change(r)
		return r
	}
	for name, r := range map[string]*http.Request{
		"another amount":    jsonPost(s.host+"/tx/transfer", `{"to":"bank","amount":1000000}`),
		"no body":           jsonPost(s.host+"/tx/transfer", ``),
		"more after it":     jsonPost(s.host+"/tx/transfer", body+" "),
		"another query":     jsonPost(s.host+"/tx/transfer?amount=1", body),
		"another path":      jsonPost(s.host+"/tx/transfer/all", body),
		"another method":    as(func(r *http.Request) { r.Method = http.MethodPut }),
		"read as a form":    as(func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }),
		"said to be packed": as(func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }),
		"read by CGI":       as(func(r *http.Request) { r.Header["Content_type"] = []string{"application/x-www-form-urlencoded"} }),
		"packed for CGI":    as(func(r *http.Request) { r.Header["Content_encoding"] = []string{"gzip"} }),
	} {
		s.wantAsked(name, s.visit(s.tx, r), 0)
	}
	s.wantApproved(s.xhr("/tx/transfer", body), "POST /tx/transfer", body)
	s.wantAsked("the same again", s.xhr("/tx/transfer", body), 1)
}

// Attack: an approved POST becomes another method, or one of another path, behind the guard. No matcher of this guard looks at either.
func TestAttackApprovedRequestIsOverridden(t *testing.T) {
	s := newShop(t)
	s.approve(s.xhr("/tx/orders/5", "{}"))
	r := jsonPost(s.host+"/tx/orders/5", "{}")
	r.Header["X-Http-Method-Override"] = []string{"DELETE"}
	r.Header["X_HTTP_Method"] = []string{"DELETE"}
	r.Header["X-Original-Url"] = []string{"/tx/orders/6"}
	r.Header["X_Rewrite_URL"] = []string{"/tx/orders/6"}
	var seen http.Header
	for name, value := range s.app {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	g := &guarded{tb: t, rt: s.rt, upstream: func(_ http.ResponseWriter, r *http.Request) { seen = r.Header }}
	if w := g.serve(r, s.tx); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	for name := range seen {
		if isMethodOverride(name) || isPathOverride(name) {
			t.Errorf("%s went upstream", name)
		}
	}
}

// thief is another browser with a copy of the session's cookie for the application, and nothing else.
func (s *shop) thief() *shop {
	other := *s
	other.browser = s.portalTest.browser()
	other.app = map[string]string{s.rt.sessionCookie.Name: s.app[s.rt.sessionCookie.Name]}
	other.got = nil
	return &other
}

// Attack: a copied cookie asks for a transaction, and the person is led to its page and confirms it. What they confirm is good in their own
// browser alone.
func TestAttackPersonConfirmsForACopiedCookie(t *testing.T) {
	s := newShop(t)
	thief := s.thief()
	address := thief.asked(thief.xhr("/tx/wire?to=mallory", `{"n":1}`))
	s.handOver(s.ceremony(s.stepUpPage(address)))
	thief.wantAsked("the thief's request", thief.xhr("/tx/wire?to=mallory", `{"n":1}`), 0)
	thief.app[s.rt.sessionCookie.Name] = s.app[s.rt.sessionCookie.Name] // even of after the step-up
	thief.wantAsked("the thief's request, with today's cookie", thief.xhr("/tx/wire?to=mallory", `{"n":1}`), 0)
	s.wantAsked("the same in the person's browser", s.xhr("/tx/wire?to=mallory", `{"n":1}`), 0)
}

// Attack: the same where the session's cookie is good for the whole domain, so that the thief has the portal's, too, and opens the page that the
// person has confirmed.
func TestAttackPersonConfirmsForACopiedDomainCookie(t *testing.T) {
	s := newShop(t, func(config *Realm, _ *Portal) { config.Session = &Session{CookieDomain: "example.com"} })
	thief := s.thief()
	thief.cookies[s.rt.sessionCookie.Name] = s.app[s.rt.sessionCookie.Name]
	address := thief.asked(thief.xhr("/tx/wire?to=mallory", `{"n":1}`))
	flow := s.stepUpPage(address)
	s.ceremony(flow)
	thief.cookies[s.rt.sessionCookie.Name] = s.cookies[s.rt.sessionCookie.Name]
	thief.app[s.rt.sessionCookie.Name] = s.cookies[s.rt.sessionCookie.Name]
	for _, sealed := range []string{strings.TrimPrefix(address, portalOrigin+"/auth/step-up?flow="), url.QueryEscape(flow)} {
		for _, page := range []string{"step-up", "sign-in"} {
			if w := thief.get("/auth/" + page + "?flow=" + sealed); strings.Contains(w.Body.String(), "/auth/handoff?") {
				thief.handOver(thief.passedOn(w))
			}
		}
	}
	thief.wantAsked("the thief's request", thief.xhr("/tx/wire?to=mallory", `{"n":1}`), 0)
}

// Attack: a copied cookie sends what the person has just confirmed, before the person's own browser does. It gets nothing and spoils nothing.
func TestAttackCopiedCookieTakesAnApproval(t *testing.T) {
	s := newShop(t)
	s.approve(s.open("/tx/pay"))
	thief := s.thief()
	thief.wantAsked("without a nonce", thief.open("/tx/pay"), 0)
	thief.wantAsked("with a nonce of its own", thief.open("/tx/pay"), 0)
	s.wantApproved(s.open("/tx/pay"), "GET /tx/pay", "")
}

// Attack: the handoff of a confirmation is stolen on its way.
func TestAttackHandoffOfAConfirmationElsewhere(t *testing.T) {
	s := newShop(t)
	thief := s.thief()
	thief.asked(thief.open("/tx/pay")) // has a nonce now
	location := s.ceremony(s.stepUpPage(s.asked(s.open("/tx/pay"))))
	thief.handOver(location)
	thief.wantAsked("the thief", thief.open("/tx/pay"), 0)
	s.wantAsked("the person, whose code is used up", s.open("/tx/pay"), 0)
}

// Attack: what was confirmed in one session is used by another of the same person in the same browser.
func TestAttackApprovalInAnotherSession(t *testing.T) {
	s := newShop(t)
	s.approve(s.open("/tx/pay"))
	before := s.app[s.rt.sessionCookie.Name]
	delete(s.cookies, s.rt.sessionCookie.Name)
	other := s.signInByLink(anna)
	other, err := s.rt.sessions.StepUp(t.Context(), other, mustFresh(t, s, other), session.Passkey)
	if err != nil {
		t.Fatal(err)
	}
	s.keepSession(other)
	s.wantAsked("another session", s.open("/tx/pay"), 0)
	if s.app[s.rt.sessionCookie.Name] == before {
		t.Fatal("the sessions are one")
	}
}

// mustFresh are new tokens of the session's person.
func mustFresh(t *testing.T, s *shop, of session.Session) session.Fresh {
	t.Helper()
	return session.Fresh{
		Identity: session.Identity{Subject: of.Subject, Username: of.Username, Email: of.Email, EmailVerified: true, AuthTime: s.clock.Now(), AccessExpires: s.clock.Now().Add(time.Hour)},
		Tokens:   session.Tokens{Refresh: "r"},
	}
}

// Attack: the page of a confirmed transaction is used once more, to confirm without asking, or by another site.
func TestAttackConfirmedPageConfirmsNothingMore(t *testing.T) {
	s := newShop(t)
	address := s.asked(s.open("/tx/pay"))
	flow := s.stepUpPage(address)
	asked := s.passkeyPrompt(flow)
	s.handOver(s.ceremony(flow))
	s.wantApproved(s.open("/tx/pay"), "GET /tx/pay", "")
	s.wantError(s.passkeyAnswer(flow, asked, s.device.Get(t, asked.PublicKey)), http.StatusBadRequest, "expired_flow")
	s.wantError(s.call("/auth/step-up/passkey/options", map[string]string{"flow": flow}), http.StatusBadRequest, "expired_flow")
	if w := s.submit("/auth/step-up/link", "flow", flow); !strings.HasPrefix(s.found(w, dataHref), "/auth/step-up?flow=") {
		t.Errorf("the page does not begin anew: %d %s", w.Code, w.Body)
	}
	r := posted("/auth/step-up/passkey/options", "application/json", "{}")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	if w := s.send(r); w.Code != http.StatusForbidden {
		t.Errorf("another site's POST: %d", w.Code)
	}
	s.wantAsked("the request", s.open("/tx/pay"), 1)
}

// Attack: a transaction is confirmed by signing in, which shows nobody what is confirmed.
func TestAttackSignInApprovesATransaction(t *testing.T) {
	s := newShop(t)
	address := s.asked(s.open("/tx/pay"))
	delete(s.cookies, s.rt.sessionCookie.Name)
	location := s.get(address).Header().Get("Location")
	if !strings.HasPrefix(location, "/auth/sign-in?flow=") {
		t.Fatalf("leads to %q", location)
	}
	s.submit("/auth/sign-in", "flow", s.found(s.get(location), flowField), "email", anna)
	mails := s.pool.mails
	w := s.useLink(mails[len(mails)-1].ClientMetadata["redirectUri"], s.pool.lastLink)
	next := w.Header().Get("Location")
	if w.Code != http.StatusSeeOther || !strings.HasPrefix(next, "/auth/step-up?flow=") {
		t.Fatalf("signing in leads to %q", next)
	}
	s.handOver(s.ceremony(s.stepUpPage(next)))
	s.wantApproved(s.open("/tx/pay"), "GET /tx/pay", "")
}

// Attack: a signed-in person, or a script in their name, fills the storage by asking. Asking writes nothing at all.
func TestAttackAskingFillsNoStorage(t *testing.T) {
	s := newShop(t)
	before := s.storage.Calls("store")
	keys := len(s.storage.Keys())
	for range 500 {
		s.asked(s.xhr("/tx/a", "{}"))
		s.get(s.asked(s.open("/tx/b")))
	}
	if after := s.storage.Calls("store"); after != before || len(s.storage.Keys()) != keys {
		t.Errorf("asking stored %d items, %d stay", after-before, len(s.storage.Keys())-keys)
	}
}
