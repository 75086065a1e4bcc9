package caddyauth

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/userpool"
)

const recentLink = "We sent a link a moment ago."

// ask types an address into a fresh page and returns the page that waits, and its flow.
func (b *browser) askAgain(email string) (page *httptest.ResponseRecorder, flow string) {
	b.Helper()
	w := b.submit("/auth/sign-in", "flow", b.found(b.get("/auth/sign-in"), flowField), "email", email)
	if w.Code != http.StatusSeeOther {
		b.Fatalf("got %d %s", w.Code, w.Body)
	}
	location := w.Header().Get("Location")
	u, err := url.Parse(location)
	if err != nil {
		b.Fatal(err)
	}
	return b.get(location), u.Query().Get("flow")
}

// A second request within a minute says that the link of the first is to be used, whether or not there is an account, in this browser or
// another, by the form or the button; no mail is claimed that is not sent.
func TestSecondLinkWithinAMinute(t *testing.T) {
	for _, mode := range []string{SignUpOpen, SignUpClosed} {
		for _, email := range []string{anna, "nobody@example.com"} {
			p := newPortal(t, func(r *Realm, _ *Portal) { r.SignUp.Mode = mode })
			first, other := p.browser(), p.browser()
			page, flow := first.askAgain(email)
			if strings.Contains(page.Body.String(), recentLink) || first.found(page, dataField("after")) != "60" {
				t.Errorf("%s: the first request: %s", email, page.Body)
			}
			mails, calls := len(p.pool.mails), len(p.pool.calls)
			p.clock.Advance(20 * time.Second)
			for what, again := range map[string]*httptest.ResponseRecorder{
				"same browser":  first.only(first.askAgain(email)),
				"other browser": other.only(other.askAgain(strings.ToUpper(email[:1]) + email[1:])),
				"button":        first.get(first.submit("/auth/check-mail/resend", "flow", flow).Header().Get("Location")),
			} {
				if !strings.Contains(again.Body.String(), recentLink) {
					t.Errorf("%s, %s: %s", email, what, again.Body)
				}
				if after := p.found(again, dataField("after")); after != "40" {
					t.Errorf("%s, %s: another link in %s seconds, want 40", email, what, after)
				}
			}
			if len(p.pool.mails) != mails || len(p.pool.calls) != calls {
				t.Errorf("%s: the pool was asked %v", email, p.pool.calls[calls:])
			}
			p.clock.Advance(40 * time.Second)
			if page, _ := other.askAgain(email); strings.Contains(page.Body.String(), recentLink) || len(p.pool.calls) == calls {
				t.Errorf("%s: a minute later: %s", email, page.Body)
			}
		}
	}
}

// The pool counts its minute from when it sends, which may be seconds after it was asked. The portal's minute is not over before: a request in
// between would claim a mail that the pool does not send.
func TestSecondLinkAfterASlowFirst(t *testing.T) {
	const slow = 4 * time.Second
	p := newPortal(t)
	b := p.browser()
	p.pool.signUp = func(userpool.SignUp) error {
		p.clock.Advance(slow)
		return userpool.ErrUserExists
	}
	page, flow := b.askAgain(anna)
	if after := b.found(page, dataField("after")); after != "60" {
		t.Errorf("another link in %s seconds, want 60", after)
	}
	p.pool.signUp = nil
	p.clock.Advance(resendAfter - time.Second)
	again := b.get(b.submit("/auth/check-mail/resend", "flow", flow).Header().Get("Location"))
	if !strings.Contains(again.Body.String(), recentLink) || b.found(again, dataField("after")) != "1" || len(p.pool.mails) != 1 {
		t.Errorf("a second too early: %d mails, %s", len(p.pool.mails), again.Body)
	}
	p.clock.Advance(time.Second)
	b.submit("/auth/check-mail/resend", "flow", flow)
	if len(p.pool.mails) != 2 {
		t.Errorf("after the pool's minute: %d mails, want 2", len(p.pool.mails))
	}
}

func (b *browser) only(page *httptest.ResponseRecorder, _ string) *httptest.ResponseRecorder {
	return page
}

// The tab that asked again in the same browser waits for the link of the first, and takes its code. One in another browser does not.
func TestSecondTabWaitsForTheFirstLink(t *testing.T) {
	p := newPortal(t, func(r *Realm, _ *Portal) { r.MagicLink.Code = true })
	b, other := p.browser(), p.browser()
	b.askAgain(anna)
	code := p.pool.lastCode
	_, stranger := other.askAgain(anna)
	other.wantError(other.giveMailCode(stranger, code), http.StatusForbidden, "code_spent")
	_, second := b.askAgain(anna)
	if w := b.giveMailCode(second, code); w.Code != http.StatusOK {
		t.Errorf("the code in the second tab: %d %s", w.Code, w.Body)
	}
}

// What was not sent keeps nobody from asking again: the pool was down, or a limit was met.
func TestRequestThatFailedMayBeRepeated(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	p.pool.initiate = func(string) (userpool.Challenge, error) { return userpool.Challenge{}, userpool.ErrUnavailable }
	if w := b.submit("/auth/sign-in", "flow", p.found(b.get("/auth/sign-in"), flowField), "email", anna); w.Code != http.StatusServiceUnavailable {
		t.Fatalf("got %d", w.Code)
	}
	p.pool.initiate = nil
	if page, _ := b.askAgain(anna); strings.Contains(page.Body.String(), recentLink) || len(p.pool.mails) != 1 {
		t.Errorf("%d mails, %s", len(p.pool.mails), page.Body)
	}
}

// Two requests at once are one mail: the second comes while the pool still works on the first.
func TestTwoRequestsAtOnceAreOneMail(t *testing.T) {
	p := newPortal(t)
	b, other := p.browser(), p.browser()
	flow := p.found(other.get("/auth/sign-in"), flowField)
	var second *httptest.ResponseRecorder
	p.pool.signUp = func(userpool.SignUp) error {
		p.pool.mu.Unlock()
		defer p.pool.mu.Lock()
		if second == nil {
			second = httptest.NewRecorder()
			second = other.submit("/auth/sign-in", "flow", flow, "email", anna)
		}
		return userpool.ErrUserExists
	}
	b.askAgain(anna)
	if second == nil || !strings.HasSuffix(second.Header().Get("Location"), "&notice=link_recent") || len(p.pool.mails) != 1 {
		t.Errorf("%d mails; the second request got %+v", len(p.pool.mails), second)
	}
}
