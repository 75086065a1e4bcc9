package caddyauth

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

// askForFreshLink presses the button on the step-up page and returns the waiting page's flow and the address in the mail.
func (b *browser) askForFreshLink(address string) (flow, mailed string) {
	b.Helper()
	w := b.submit("/auth/step-up/link", "flow", b.stepUpPage(address), "fragment", "#q3")
	location, err := url.Parse(w.Header().Get("Location"))
	if err != nil || w.Code != http.StatusSeeOther || location.Path != "/auth/check-mail" {
		b.Fatalf("got %d to %v %s", w.Code, location, w.Body)
	}
	if page := b.get(location.String()); page.Code != http.StatusOK || strings.Contains(page.Body.String(), "other-address") {
		b.Errorf("the page that waits offers another address: %d", page.Code)
	}
	return location.Query().Get("flow"), b.pool.mails[len(b.pool.mails)-1].ClientMetadata[challenge.KeyRedirectURI]
}

// status is what the waiting page learns.
func (b *browser) status(flow string) (state, location string) {
	b.Helper()
	var answer struct{ State, Location string }
	b.decode(b.ask("/auth/check-mail/status?flow="+url.QueryEscape(flow)), http.StatusOK, &answer)
	return answer.State, answer.Location
}

func TestFreshLinkStepsUp(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	before := b.signInByLink(anna)
	b.later()
	calls := len(p.pool.calls)
	waiting, mailed := b.askForFreshLink(b.stepUpURL(before, session.MagicLink))
	for _, call := range p.pool.calls[calls:] {
		if call == "SignUp" {
			t.Error("somebody who is signed in was signed up")
		}
	}
	if state, _ := b.status(waiting); state != "waiting" {
		t.Errorf("the page reads %s", state)
	}
	w := b.useLink(mailed, p.pool.lastLink)
	after, _ := b.session()
	if after.ID != before.ID || !after.Factors.At(session.MagicLink).After(before.Factors.At(session.MagicLink)) || len(after.Factors) != 1 {
		t.Errorf("stepped up to %+v", after)
	}
	if taken := p.handedOff(p.passedOn(w)); taken.Location != "/admin?tab=2#q3" {
		t.Errorf("leads to %q", taken.Location)
	}
	state, location := b.status(waiting)
	if state != "done" {
		t.Errorf("the page reads %s", state)
	}
	p.handedOff(p.passedOn(b.get(location)))
}

// Who has nothing of what the guard wants steps up by a fresh link, and that counts for this guard only.
func TestFreshLinkStandsInForWhatIsMissing(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	s := b.signInByLink(anna)
	b.later()
	_, mailed := b.askForFreshLink(b.stepUpURL(s, session.Passkey))
	if w := b.useLink(mailed, p.pool.lastLink); p.passedOn(w) == "" {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	s, _ = b.session()
	asks := func(factors ...session.Factor) bool {
		d := demand{factors: factors, maxAge: time.Minute}
		return !d.met(&s, p.clock.Now())
	}
	if asks(session.Passkey) || asks(session.MagicLink) || !asks(session.SMS) || !asks(session.EmailCode) {
		t.Errorf("factors %v", s.Factors)
	}
	if s.Factors.Has(session.Passkey) {
		t.Error("the link was recorded as a passkey")
	}
}

// The pool writes once a minute. Who is signed in is told so, instead of waiting for a mail that does not come.
func TestFreshLinkTooSoon(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	s := b.signInByLink(anna)
	p.clock.Advance(20 * time.Second)
	mails := len(p.pool.mails)
	w := b.submit("/auth/step-up/link", "flow", b.stepUpPage(b.stepUpURL(s, session.Passkey)))
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "40" || len(p.pool.mails) != mails {
		t.Errorf("got %d, Retry-After %s", w.Code, w.Header().Get("Retry-After"))
	}
	if back := p.found(w, dataHref); !strings.HasPrefix(back, "/auth/sign-in?flow=") {
		t.Errorf("leads back to %q", back)
	}
}

// It stands in where a transaction is approved, too: the person is not asked for ever.
func TestFreshLinkApprovesATransaction(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	s := b.signInByLink(anna)
	b.later()
	address, err := p.rt.flowURL("step-up", Flow{
		Return: appOrigin + "/", Host: appOrigin, NonceHash: "n",
		StepUp: &StepUp{Factors: []session.Factor{session.Passkey}, MaxAge: time.Minute, Subject: s.Subject, Session: session.PublicID(s), Transaction: &Transaction{Request: "digest", Method: "DELETE", Target: "/orders/17"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, mailed := b.askForFreshLink(address)
	p.handedOff(p.passedOn(b.useLink(mailed, p.pool.lastLink)))
}

func TestFreshLinkPassesForACodeByMail(t *testing.T) {
	p := newPortal(t)
	b, s, _ := p.annaWithPasskey()
	_, mailed := b.askForFreshLink(b.stepUpURL(s, session.EmailCode))
	p.handedOff(p.passedOn(b.useLink(mailed, p.pool.lastLink)))
}

// Attack: whoever has a passkey is not asked for less. Nor does it help to get a passkey deleted or the link asked for before one was added.
func TestFreshLinkDoesNotReplaceAPasskey(t *testing.T) {
	p := newPortal(t)
	b, s, _ := p.annaWithPasskey()
	w := b.get(b.stepUpURL(s, session.Passkey))
	if strings.Contains(w.Body.String(), "send-link") {
		t.Error("a link is offered")
	}
	flow := b.found(w, dataField("flow"))
	if w := b.submit("/auth/step-up/link", "flow", flow); w.Code != http.StatusForbidden {
		t.Errorf("got %d", w.Code)
	}

	other := p.browser()
	s = other.signInByLink(bob)
	p.clock.Advance(resendAfter)
	_, mailed := other.askForFreshLink(other.stepUpURL(s, session.Passkey))
	other.addPasskey(passkeytest.NewAuthenticator(portalOrigin))
	if w := other.useLink(mailed, p.pool.lastLink); w.Code != http.StatusForbidden {
		t.Errorf("got %d to %q", w.Code, w.Header().Get("Location"))
	}
}

// Attack: somebody with a stolen session has a link mailed to its owner, who opens it; or the owner forwards it.
func TestFreshLinkOpenedInAnotherBrowser(t *testing.T) {
	p := newPortal(t)
	thief := p.browser()
	s := thief.signInByLink(anna)
	thief.later()
	waiting, mailed := thief.askForFreshLink(thief.stepUpURL(s, session.MagicLink))
	link := p.pool.lastLink

	owner := p.browser()
	for _, sign := range []func(){func() {}, func() { owner.signInByLink(bob) }} {
		sign()
		if w := owner.get(mailed); w.Code != http.StatusForbidden || strings.Contains(w.Body.String(), `id="continue"`) {
			t.Errorf("the page: %d", w.Code)
		}
		before, had := owner.session()
		w := owner.submit("/auth/link", "flow", p.found(thief.get(mailed), flowField), "link", link)
		if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "other browser") {
			t.Errorf("got %d", w.Code)
		}
		if after, has := owner.session(); has != had || after.ID != before.ID {
			t.Error("the other browser was signed in")
		}
	}
	if after, _ := thief.session(); after.Factors.At(session.MagicLink).After(s.Factors.At(session.MagicLink)) {
		t.Error("the thief's session was stepped up")
	}
	if state, _ := thief.status(waiting); state == "done" {
		t.Error("the page that waits was told so")
	}
}

// Attack: another person's link in the right session; a link used twice.
func TestFreshLinkOfAnotherPerson(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	s := b.signInByLink(anna)
	b.later()
	_, mailed := b.askForFreshLink(b.stepUpURL(s, session.MagicLink))
	annas := p.pool.lastLink
	p.browser().askForLink(bob, appOrigin+"/")
	if w := b.useLink(mailed, p.pool.lastLink); w.Code != http.StatusForbidden {
		t.Errorf("got %d to %q", w.Code, w.Header().Get("Location"))
	}
	if after, _ := b.session(); after.Generation != s.Generation || after.Subject != annaSub {
		t.Error("the session changed")
	}
	if w := b.useLink(mailed, annas); p.passedOn(w) == "" {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	// Pressed twice it goes on.
	if w := b.submit("/auth/link", "flow", p.found(b.get(mailed), flowField), "link", annas); w.Code != http.StatusSeeOther {
		t.Errorf("got %d", w.Code)
	}
}
