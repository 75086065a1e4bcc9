package caddyauth

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

// stepUpURL is where a guard of the application sends somebody for one of the factors.
func (b *browser) stepUpURL(s session.Session, factors ...session.Factor) string {
	b.Helper()
	location, err := b.rt.flowURL("step-up", Flow{
		Return: appOrigin + "/admin?tab=2", Host: appOrigin, NonceHash: "the nonce of this browser",
		StepUp: &StepUp{Factors: factors, MaxAge: 5 * time.Minute, Subject: s.Subject, Session: session.PublicID(s)},
	})
	if err != nil {
		b.Fatal(err)
	}
	return location
}

// later is a quarter of an hour on: whatever passed before is stale.
func (b *browser) later() { b.clock.Advance(15 * time.Minute) }

// annaWithPasskey is signed in since a while, and has a passkey.
func (p *portalTest) annaWithPasskey() (*browser, session.Session, *passkeytest.Authenticator) {
	p.Helper()
	b, device := p.browser(), passkeytest.NewAuthenticator(portalOrigin)
	s := b.signInByLink(anna)
	b.addPasskey(device)
	b.later()
	return b, s, device
}

// askedPasskey is what the page's script gets for its prompt.
type askedPasskey struct {
	PublicKey passkey.RequestOptions
	State     string
}

func (b *browser) passkeyPrompt(flow string) (asked askedPasskey) {
	b.Helper()
	b.decode(b.call("/auth/step-up/passkey/options", map[string]string{"flow": flow}), http.StatusOK, &asked)
	return asked
}

func (b *browser) passkeyAnswer(flow string, asked askedPasskey, answer challenge.PasskeyAnswer) *httptest.ResponseRecorder {
	b.Helper()
	return b.call("/auth/step-up/passkey", map[string]any{"flow": flow, "fragment": "#q3", "state": asked.State, "answer": answer})
}

// stepUpPage opens the page and returns its flow.
func (b *browser) stepUpPage(address string) string {
	b.Helper()
	w := b.get(address)
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "app.example.com") && !strings.Contains(w.Body.String(), hostOf(appOrigin)) {
		b.Fatalf("no step-up page that names the application: %d to %q %s", w.Code, w.Header().Get("Location"), w.Body)
	}
	return b.found(w, dataField("flow"))
}

// handedOff takes the code of a handoff, as the application does.
func (p *portalTest) handedOff(location string) handoff {
	p.Helper()
	code, ok := handoffCode(location, appOrigin)
	if !ok {
		p.Fatalf("leads to %q", location)
	}
	taken, err := p.rt.takeHandoff(p.Context(), code)
	if err != nil {
		p.Fatal(err)
	}
	return taken
}

func TestPasskeyStepUpKeepsTheSessionAndLeadsBack(t *testing.T) {
	p := newPortal(t)
	b, before, device := p.annaWithPasskey()
	flow := b.stepUpPage(b.stepUpURL(before, session.Passkey, session.SMS))
	asked := b.passkeyPrompt(flow)
	if len(asked.PublicKey.AllowCredentials) != 1 || asked.PublicKey.UserVerification != "required" || asked.PublicKey.RPID != "auth.example.com" {
		t.Errorf("asked for %+v", asked.PublicKey)
	}
	var done struct{ Location string }
	p.decode(b.passkeyAnswer(flow, asked, device.Get(t, asked.PublicKey)), http.StatusOK, &done)
	after, ok := b.session()
	if !ok || after.ID != before.ID || after.Subject != before.Subject || !after.Started.Equal(before.Started) || !after.Ends.Equal(before.Ends) {
		t.Fatalf("the session is not the same one: %+v", after)
	}
	if after.Generation != before.Generation+1 || !after.Factors.At(session.Passkey).Equal(p.clock.Now().UTC().Truncate(time.Millisecond)) {
		t.Errorf("the factor is not recorded: %+v", after)
	}
	if taken := p.handedOff(done.Location); taken.Host != appOrigin || taken.Location != "/admin?tab=2#q3" || taken.Session.Factors.At(session.Passkey).IsZero() {
		t.Errorf("handed over %+v", taken)
	}
	if p.logs.FilterMessage("stepped_up").FilterField(zapOutcome("success")).Len() != 1 {
		t.Error("the audit log does not tell")
	}
	// The same address opened again goes on at once, for a while.
	if to := p.passedOn(b.get(b.stepUpURL(before, session.Passkey))); !strings.HasPrefix(to, appOrigin+"/auth/handoff?flow=") {
		t.Errorf("it goes to %q", to)
	}
	b.later()
	b.stepUpPage(b.stepUpURL(before, session.Passkey))
}

// The portal's session is gone: sign in, and step up only if that was not proof enough.
func TestStepUpAfterSigningInAgain(t *testing.T) {
	p := newPortal(t)
	b, before, device := p.annaWithPasskey()
	address := b.stepUpURL(before, session.Passkey)
	delete(b.cookies, p.rt.sessionCookie.Name)
	w := b.get(address)
	location := w.Header().Get("Location")
	if w.Code != http.StatusSeeOther || !strings.HasPrefix(location, "/auth/sign-in?flow=") {
		t.Fatalf("got %d to %q", w.Code, location)
	}
	w = b.submit("/auth/sign-in", "flow", b.found(b.get(location), flowField), "email", anna)
	if w.Code != http.StatusSeeOther {
		t.Fatalf("no link: %d", w.Code)
	}
	last := p.pool.mails[len(p.pool.mails)-1].ClientMetadata[challenge.KeyRedirectURI]
	w = b.useLink(last, p.pool.lastLink)
	location = w.Header().Get("Location")
	if w.Code != http.StatusSeeOther || !strings.HasPrefix(location, "/auth/step-up?flow=") {
		t.Fatalf("a link is no passkey, and leads to %q", location)
	}
	flow := b.stepUpPage(location)
	asked := b.passkeyPrompt(flow)
	var done struct{ Location string }
	p.decode(b.passkeyAnswer(flow, asked, device.Get(t, asked.PublicKey)), http.StatusOK, &done)
	if taken := p.handedOff(done.Location); taken.Session.ID == before.ID || taken.Session.Factors.At(session.Passkey).IsZero() {
		t.Errorf("handed over %+v", taken.Session)
	}
}

// Attack: somebody gets another person to finish their step-up, or finishes it for them.
func TestStepUpFinishedByAnotherPerson(t *testing.T) {
	p := newPortal(t)
	b, s, _ := p.annaWithPasskey()
	address := b.stepUpURL(s, session.Passkey)
	flow := b.stepUpPage(address)

	mallory, device := p.browser(), passkeytest.NewAuthenticator(portalOrigin)
	mallory.signInByLink(bob)
	mallory.addPasskey(device)
	if w := mallory.get(address); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "another account") {
		t.Errorf("the page of another person: %d", w.Code)
	}
	p.wantError(mallory.call("/auth/step-up/passkey/options", map[string]string{"flow": flow}), http.StatusBadRequest, "expired_flow")
	// Even in the same browser, with everything that is in the page.
	asked := b.passkeyPrompt(flow)
	mallory.cookies[p.rt.browserCookie.Name] = b.cookies[p.rt.browserCookie.Name]
	theirs := device.Get(t, passkey.RequestOptions{Challenge: asked.PublicKey.Challenge, RPID: asked.PublicKey.RPID})
	p.wantError(mallory.passkeyAnswer(flow, asked, theirs), http.StatusForbidden, "step_up_other")
	// And another person's passkey in the right person's session.
	p.wantError(b.passkeyAnswer(flow, asked, theirs), http.StatusForbidden, "unknown_credential")
	if after, _ := b.session(); !after.Factors.At(session.Passkey).IsZero() {
		t.Error("the factor was recorded")
	}
}

// Attack: what one tab was asked is answered in another, from another browser, twice, or late.
func TestStepUpAnswersInTheWrongPlace(t *testing.T) {
	p := newPortal(t)
	b, s, device := p.annaWithPasskey()
	one, two := b.stepUpPage(b.stepUpURL(s, session.Passkey)), b.stepUpPage(b.stepUpURL(s, session.Passkey))
	asked := b.passkeyPrompt(one)
	p.wantError(b.passkeyAnswer(two, asked, device.Get(t, asked.PublicKey)), http.StatusForbidden, "invalid")

	other := p.browser()
	other.cookies[p.rt.sessionCookie.Name] = b.cookies[p.rt.sessionCookie.Name]
	p.wantError(other.passkeyAnswer(one, asked, device.Get(t, asked.PublicKey)), http.StatusBadRequest, "expired_flow")

	guards, err := url.Parse(b.stepUpURL(s, session.Passkey))
	if err != nil {
		t.Fatal(err)
	}
	p.wantError(b.passkeyAnswer(guards.Query().Get("flow"), asked, device.Get(t, asked.PublicKey)), http.StatusBadRequest, "expired_flow")

	p.clock.Advance(stepUpPasskeyLifetime + time.Second)
	p.wantError(b.passkeyAnswer(one, asked, device.Get(t, asked.PublicKey)), http.StatusBadRequest, "expired_flow")

	asked = b.passkeyPrompt(one)
	answer := device.Get(t, asked.PublicKey)
	if w := b.passkeyAnswer(one, asked, answer); w.Code != http.StatusOK {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	p.wantError(b.passkeyAnswer(one, asked, answer), http.StatusBadRequest, "expired_flow")

	p.clock.Advance(flowLifetime + time.Second)
	p.wantError(b.call("/auth/step-up/passkey/options", map[string]string{"flow": one}), http.StatusBadRequest, "expired_flow")
	if w := b.get(guards.String()); !strings.HasPrefix(w.Header().Get("Location"), "/auth/sign-in?flow=") {
		t.Errorf("an expired flow: %d to %q", w.Code, w.Header().Get("Location"))
	}
}

// A step-up page that stood open over lunch leads back to where it led, and the guard there asks anew.
func TestExpiredStepUpStartsAfresh(t *testing.T) {
	p := newPortal(t)
	b, s, _ := p.annaWithPasskey()
	old, err := p.rt.sealFlow(Flow{
		Return: appOrigin + "/reports?q=1", Host: appOrigin, NonceHash: "nonce", Issued: p.clock.Now().Add(-flowLifetime - time.Minute),
		StepUp: &StepUp{MaxAge: time.Minute, Subject: s.Subject, Session: session.PublicID(s)},
	})
	if err != nil {
		t.Fatal(err)
	}
	w := b.get("/auth/step-up?flow=" + url.QueryEscape(old))
	next := p.passedOn(b.get(w.Header().Get("Location")))
	if taken := p.handedOff(next); taken.Host != appOrigin || taken.Location != "/reports?q=1" {
		t.Errorf("it leads to %q, %+v", next, taken)
	}
}

// Attack: the guard asks for one factor and the client gives another, or less than it.
func TestStepUpIsNotDowngraded(t *testing.T) {
	p := newPortal(t)
	b, s, device := p.annaWithPasskey()
	flow := b.stepUpPage(b.stepUpURL(s, session.Passkey))
	asked := b.passkeyPrompt(flow)
	device.Flags = passkeytest.FlagUserPresent | passkeytest.FlagBackupEligible | passkeytest.FlagBackupState
	p.wantError(b.passkeyAnswer(flow, asked, device.Get(t, asked.PublicKey)), http.StatusForbidden, "invalid")

	flow = b.stepUpPage(b.stepUpURL(s, session.SMS))
	p.wantError(b.call("/auth/step-up/passkey/options", map[string]string{"flow": flow}), http.StatusForbidden, "invalid")

	signIn, err := p.rt.sealFlow(Flow{ID: "a sign-in", Browser: p.rt.browserHash(b.cookies[p.rt.browserCookie.Name])})
	if err != nil {
		t.Fatal(err)
	}
	p.wantError(b.call("/auth/step-up/passkey/options", map[string]string{"flow": signIn}), http.StatusBadRequest, "expired_flow")
	p.wantError(b.call("/auth/step-up/passkey/options", map[string]string{"flow": "forged"}), http.StatusBadRequest, "expired_flow")
}

// What is approved is shown to the person, and reaches the pool with the proof.
func TestStepUpNamesWhatIsApproved(t *testing.T) {
	p := newPortal(t)
	b, s, device := p.annaWithPasskey()
	address, err := p.rt.flowURL("step-up", Flow{
		Return: appOrigin + "/", Host: appOrigin, NonceHash: "n",
		StepUp: &StepUp{MaxAge: 5 * time.Minute, Subject: s.Subject, Session: session.PublicID(s), Transaction: &Transaction{Request: "digest", Method: "DELETE", Target: "/orders/17"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	page := b.get(address)
	for _, word := range []string{"<dd>Delete</dd>", ">/orders/17<", ">app.example.com<"} {
		if !strings.Contains(page.Body.String(), word) {
			t.Errorf("the page does not say what is approved: no %s", word)
		}
	}
	flow := b.found(page, dataField("flow"))
	asked := b.passkeyPrompt(flow)
	if w := b.passkeyAnswer(flow, asked, device.Get(t, asked.PublicKey)); w.Code != http.StatusOK {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	if opened, err := p.rt.openFlow(flow); err != nil || p.pool.answered[keyTransaction] != opened.transaction().ID {
		t.Errorf("the pool got %v", p.pool.answered)
	}
}

// Attack: the session is stolen back: after sign-out its step-up is worth nothing.
func TestStepUpOfASessionThatEnded(t *testing.T) {
	p := newPortal(t)
	b, s, device := p.annaWithPasskey()
	flow := b.stepUpPage(b.stepUpURL(s, session.Passkey))
	asked := b.passkeyPrompt(flow)
	if err := p.rt.sessions.EndAll(t.Context(), s.Subject); err != nil {
		t.Fatal(err)
	}
	p.wantError(b.passkeyAnswer(flow, asked, device.Get(t, asked.PublicKey)), http.StatusUnauthorized, "expired_flow")
	if _, ok := b.session(); ok {
		t.Error("the session lives")
	}
}

// Attack: a step-up for one application is used to get into another.
func TestStepUpLeadsToNoOtherHost(t *testing.T) {
	p := newPortal(t)
	b, s, device := p.annaWithPasskey()
	address, err := p.rt.flowURL("step-up", Flow{
		Return: otherOrigin + "/", Host: appOrigin, NonceHash: "n",
		StepUp: &StepUp{MaxAge: 5 * time.Minute, Subject: s.Subject, Session: session.PublicID(s)},
	})
	if err != nil {
		t.Fatal(err)
	}
	flow := b.found(b.get(address), dataField("flow"))
	asked := b.passkeyPrompt(flow)
	var done struct{ Location string }
	p.decode(b.passkeyAnswer(flow, asked, device.Get(t, asked.PublicKey)), http.StatusOK, &done)
	if done.Location != "/auth/account" {
		t.Errorf("leads to %q", done.Location)
	}
}
