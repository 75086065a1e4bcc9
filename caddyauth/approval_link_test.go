package caddyauth

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// newLinkShop is a shop where transactions are confirmed by a fresh link.
func newLinkShop(t *testing.T) *shop {
	t.Helper()
	s := newShop(t)
	s.tx = s.guard(Guard{StepUp: []StepUpRule{{MaxAge: caddy.Duration(time.Hour), Factors: []string{"magic_link"}, Transaction: true}}})
	return s
}

// lastLink is the address and the fragment of the newest mail.
func (s *shop) lastLink() (address, fragment string) {
	return s.pool.mails[len(s.pool.mails)-1].ClientMetadata["redirectUri"], s.pool.lastLink
}

// The page of the link says what it confirms, the page that waits says that it is done, and a button that was pressed twice is pressed once.
func TestLinkConfirmsATransaction(t *testing.T) {
	s := newLinkShop(t)
	waiting, mailed := s.askForFreshLink(s.asked(s.xhr("/tx/transfer", "{}")))
	page := s.get(mailed)
	for _, word := range []string{"<dd>Send</dd>", ">/tx/transfer<", ">app.example.com<"} {
		if !strings.Contains(page.Body.String(), word) {
			t.Errorf("the page of the link does not say what it confirms: no %s", word)
		}
	}
	if state, _ := s.status(waiting); state != "waiting" {
		t.Errorf("the page that waits reads %s", state)
	}
	s.wantAsked("before the button", s.xhr("/tx/transfer", "{}"), 0)
	_, fragment := s.lastLink()
	s.useLink(mailed, fragment) // the browser drops this answer: the button was pressed again
	again := s.useLink(mailed, fragment)
	if again.Code != http.StatusSeeOther || !strings.HasPrefix(again.Header().Get("Location"), "/auth/sign-in?flow=") {
		t.Fatalf("pressed twice: %d to %q", again.Code, again.Header().Get("Location"))
	}
	s.wantAsked("before the handoff", s.xhr("/tx/transfer", "{}"), 0)
	s.handOver(s.passedOn(s.get(again.Header().Get("Location"))))
	s.wantApproved(s.xhr("/tx/transfer", "{}"), "POST /tx/transfer", "{}")
	s.wantAsked("again", s.xhr("/tx/transfer", "{}"), 1)

	// The tab that waited stays where it is: were it to go on, it would send the request once more, or ask once more.
	if state, location := s.status(waiting); state != "confirmed" || location != "" {
		t.Errorf("the page that waited reads %s, %q", state, location)
	}
	// And what it held confirms nothing.
	if to := s.passedOn(s.get("/auth/sign-in?flow=" + url.QueryEscape(waiting))); strings.Contains(to, "/handoff?") {
		s.handOver(to)
	}
	s.wantAsked("by the tab that waited", s.xhr("/tx/transfer", "{}"), 1)
}

// Attack: the link is opened in another browser, signed in or not. It confirms nothing there, and still works where it was asked for.
func TestAttackTransactionsLinkElsewhere(t *testing.T) {
	s := newLinkShop(t)
	_, mailed := s.askForFreshLink(s.asked(s.open("/tx/delete")))
	_, fragment := s.lastLink()
	stranger := s.portalTest.browser()
	thief := s.thief()
	for name, b := range map[string]*browser{"nobody": stranger, "a copied session": thief.browser} {
		if name != "nobody" {
			b.cookies[s.rt.sessionCookie.Name] = s.cookies[s.rt.sessionCookie.Name]
		}
		u, err := url.Parse(mailed)
		if err != nil {
			t.Fatal(err)
		}
		if w := b.submit("/auth/link", "flow", u.Query().Get("flow"), "link", fragment); w.Code != http.StatusForbidden {
			t.Errorf("%s: %d to %q", name, w.Code, w.Header().Get("Location"))
		}
	}
	s.wantAsked("the request", s.open("/tx/delete"), 0)
	s.handOver(s.passedOn(s.useLink(mailed, fragment)))
	s.wantApproved(s.open("/tx/delete"), "GET /tx/delete", "")
}

// Attack: two transactions wait for links. The one whose link was used is confirmed, and the other is not.
func TestAttackLinkOfAnotherTransaction(t *testing.T) {
	s := newLinkShop(t)
	pay, _ := s.askForFreshLink(s.asked(s.open("/tx/pay")))
	s.clock.Advance(resendAfter)
	remove, mailed := s.askForFreshLink(s.asked(s.open("/tx/delete")))
	_, fragment := s.lastLink()
	s.handOver(s.passedOn(s.useLink(mailed, fragment)))
	if state, _ := s.status(pay); state != "waiting" {
		t.Errorf("the other page reads %s", state)
	}
	if state, _ := s.status(remove); state != "confirmed" {
		t.Errorf("its own page reads %s", state)
	}
	s.wantAsked("the other", s.open("/tx/pay"), 0)
	s.wantApproved(s.open("/tx/delete"), "GET /tx/delete", "")
}
