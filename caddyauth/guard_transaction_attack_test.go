package caddyauth

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-cognito/passwordless/internal/session"
)

// withNonce makes all further requests those of one browser, which has a nonce cookie.
func (g *guarded) withNonce() {
	g.tb.Helper()
	nonce, err := newNonce(nil)
	if err != nil {
		g.tb.Fatal(err)
	}
	g.nonce = &http.Cookie{Name: g.rt.nonceCookie.Name, Value: nonce.String()}
}

// approved is what portal and handoff do once factors have passed on a flow's page.
func (g *guarded) approved(flow Flow, s session.Session, passed ...session.Factor) {
	g.tb.Helper()
	flow.StepUp = flow.StepUp.again()
	if err := flow.transaction().begin(g.rt); err != nil {
		g.tb.Fatal(err)
	}
	if err := g.rt.confirm(g.tb.Context(), &flow, &s, passed); err != nil {
		g.tb.Fatal(err)
	}
	if err := g.rt.activateApproval(g.tb.Context(), handoff{Session: s, NonceHash: flow.NonceHash, Transaction: flow.confirmedTransaction()}); err != nil {
		g.tb.Fatal(err)
	}
}

// Two rules, of one guard or of two, that both want each request approved, by different factors: the approval that came by a text message
// must not serve the rule that wants a passkey, even where a passkey has passed a moment ago for something else, and who has both gets through
// instead of being asked in turns for ever.
func TestAttackApprovalByTheFactorOfAnotherRule(t *testing.T) {
	rule := func(factor string) StepUpRule {
		return StepUpRule{MaxAge: caddy.Duration(5 * time.Minute), Factors: []string{factor}, Transaction: true}
	}
	for name, each := range map[string][]Guard{
		"one guard":  {{StepUp: []StepUpRule{rule("passkey"), rule("sms")}}},
		"two guards": {{StepUp: []StepUpRule{rule("passkey")}}, {StepUp: []StepUpRule{rule("sms")}}},
		"turned":     {{StepUp: []StepUpRule{rule("sms")}}, {StepUp: []StepUpRule{rule("passkey")}}},
	} {
		for when, age := range map[string]time.Duration{"old passkey": time.Hour, "passkey of just now": time.Second} {
			t.Run(name+", "+when, func(t *testing.T) {
				g := newGuarded(t)
				g.withNonce()
				var guards []*Guard
				for _, config := range each {
					guards = append(guards, g.guard(config))
				}
				s, _ := g.signIn("alice", appOrigin)
				g.clock.Advance(age)
				s, cookie := g.steppedUp(s, session.MagicLink)
				var passed []session.Factor
				for range 4 {
					w := g.serve(navigation(appOrigin+"/release", cookie), guards...)
					if w.Code == http.StatusOK {
						break
					}
					flow := g.stepUpFlow(w.Header().Get("Location"))
					g.clock.Advance(time.Second)
					s, cookie = g.steppedUp(s, flow.StepUp.Factors[0])
					g.approved(flow, s, flow.StepUp.Factors[0])
					passed = append(passed, flow.StepUp.Factors[0])
				}
				if g.reached == nil || g.reached.Header.Get(headerTransaction) == "" {
					t.Fatalf("asked for %v and still not through", passed)
				}
				if !slices.Contains(passed, session.Passkey) || !slices.Contains(passed, session.SMS) {
					t.Errorf("let through after %v", passed)
				}
				if w := g.serve(navigation(appOrigin+"/release", cookie), guards...); w.Code != http.StatusFound {
					t.Errorf("the approval served twice: %d", w.Code)
				}
			})
		}
	}
}

// A weaker factor than the rule's, another person, and another session confirm nothing.
func TestAttackApprovalByTheWrongFactorOrPerson(t *testing.T) {
	g := newGuarded(t)
	g.withNonce()
	guard := g.guard(Guard{StepUp: eachTime()})
	s, cookie := g.signIn("alice", appOrigin)
	flow := g.stepUpFlow(g.serve(navigation(appOrigin+"/release", cookie), guard).Header().Get("Location"))
	flow.StepUp = flow.StepUp.again()
	if err := flow.transaction().begin(g.rt); err != nil {
		t.Fatal(err)
	}
	if err := g.rt.confirm(t.Context(), &flow, &s, []session.Factor{session.EmailCode}); err == nil || flow.confirmed {
		t.Errorf("by a code in a mail: %v", err)
	}
	bob, _ := g.signIn("bob", appOrigin)
	other, others := g.signIn("alice", appOrigin)
	for name, who := range map[string]session.Session{"bob": bob, "another session": other} {
		if err := g.rt.confirm(t.Context(), &flow, &who, []session.Factor{session.Passkey}); err != nil || flow.confirmed {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]*http.Cookie{"the one that asked": cookie, "the other": others} {
		if w := g.serve(navigation(appOrigin+"/release", c), guard); w.Code != http.StatusFound || g.reached != nil {
			t.Errorf("%s is let through: %d", name, w.Code)
		}
	}
	g.approved(flow, s, session.Passkey)
	if w := g.serve(navigation(otherOrigin+"/release", g.cookie(s, otherOrigin)), guard); w.Code != http.StatusFound || g.reached != nil {
		t.Errorf("on another host: %d", w.Code)
	}
	if w := g.serve(navigation(appOrigin+"/release", cookie), guard); w.Code != http.StatusOK {
		t.Errorf("the request itself: %d", w.Code)
	}
}

// A confirmation that comes over with another session than the one in which it was given becomes no approval, for either.
func TestAttackConfirmationInAnotherSessionsHandoff(t *testing.T) {
	g := newGuarded(t)
	g.withNonce()
	guard := g.guard(Guard{StepUp: eachTime()})
	s, cookie := g.signIn("alice", appOrigin)
	other, others := g.signIn("alice", appOrigin)
	flow := g.stepUpFlow(g.serve(navigation(appOrigin+"/release", cookie), guard).Header().Get("Location"))
	flow.StepUp = flow.StepUp.again()
	if err := flow.transaction().begin(g.rt); err != nil {
		t.Fatal(err)
	}
	if err := g.rt.confirm(t.Context(), &flow, &s, []session.Factor{session.Passkey}); err != nil || !flow.confirmed {
		t.Fatalf("confirmed %t: %v", flow.confirmed, err)
	}
	if err := g.rt.activateApproval(t.Context(), handoff{Session: other, NonceHash: flow.NonceHash, Transaction: flow.confirmedTransaction()}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*http.Cookie{"the session that confirmed": cookie, "the other": others} {
		if w := g.serve(navigation(appOrigin+"/release", c), guard); w.Code != http.StatusFound || g.reached != nil {
			t.Errorf("%s is let through: %d", name, w.Code)
		}
	}
}

// An approval is worth nothing without the factor that it stands for: not to a copy of the session's cookie from before the step-up.
func TestAttackApprovalForAnOldCookie(t *testing.T) {
	g := newGuarded(t)
	g.withNonce()
	guard := g.guard(Guard{StepUp: []StepUpRule{{MaxAge: caddy.Duration(5 * time.Minute), Factors: []string{"sms"}, Transaction: true}}})
	s, stolen := g.signIn("alice", appOrigin)
	flow := g.stepUpFlow(g.serve(navigation(appOrigin+"/release", stolen), guard).Header().Get("Location"))
	g.clock.Advance(time.Second)
	s, cookie := g.steppedUp(s, session.SMS)
	g.approved(flow, s, session.SMS)
	if w := g.serve(navigation(appOrigin+"/release", stolen), guard); w.Code != http.StatusFound || g.reached != nil {
		t.Errorf("by the old cookie: %d", w.Code)
	}
	if w := g.serve(navigation(appOrigin+"/release", cookie), guard); w.Code != http.StatusOK {
		t.Errorf("the person: %d", w.Code)
	}
}

// A page that never closes, as one whose links are sent again and again, confirms nothing after an hour.
func TestAttackTransactionIsKeptAlive(t *testing.T) {
	g := newGuarded(t)
	g.withNonce()
	guard := g.guard(Guard{StepUp: eachTime()})
	s, cookie := g.signIn("alice", appOrigin)
	flow := g.stepUpFlow(g.serve(navigation(appOrigin+"/release", cookie), guard).Header().Get("Location"))
	if err := flow.transaction().begin(g.rt); err != nil {
		t.Fatal(err)
	}
	g.clock.Advance(flowLifetime + time.Second)
	if err := g.rt.confirm(t.Context(), &flow, &s, []session.Factor{session.SMS}); err != nil || flow.confirmed {
		t.Errorf("confirmed after an hour: %v", err)
	}
}

// One page, two ceremonies that pass at the same moment, each before it could see the other: one approval comes of it, under one ID.
func TestAttackTransactionConfirmedTwiceAtOnce(t *testing.T) {
	g := newGuarded(t)
	g.withNonce()
	guard := g.guard(Guard{StepUp: eachTime()})
	s, cookie := g.signIn("alice", appOrigin)
	flow := g.stepUpFlow(g.serve(navigation(appOrigin+"/release", cookie), guard).Header().Get("Location"))
	if err := flow.transaction().begin(g.rt); err != nil {
		t.Fatal(err)
	}
	var confirmed atomic.Int32
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			own := flow
			if err := g.rt.confirm(t.Context(), &own, &s, []session.Factor{session.SMS}); err != nil {
				t.Error(err)
			}
			if own.confirmed {
				confirmed.Add(1)
			}
		})
	}
	group.Wait()
	if n := confirmed.Load(); n != 1 {
		t.Errorf("confirmed %d times", n)
	}
}

// What a page shows of an address must not read as another one.
func TestAttackReadableTargetDeceives(t *testing.T) {
	long := "/" + strings.Repeat("a", 300) + "/delete"
	for target, want := range map[string]string{
		"/tx/delete?id=5":                      "/tx/delete?id=5",
		"/b%C3%BCcher/%E6%9C%AC":               "/bücher/本",
		"/a%2Fb%3Fc%26d%20e":                   "/a%2Fb%3Fc%26d%20e", // delimiters stay what they are
		"/%E2%80%AEeteled/x":                   "/%E2%80%AEeteled/x", // right-to-left override
		"/%E2%81%A6%D7%90/1":                   "/%E2%81%A6%D7%90/1", // isolate, Hebrew
		"/pay%0Aupload%00":                     "/pay%0Aupload%00",
		"/a%E2%80%8B%E3%85%A4%EF%BE%A0b":       "/a%E2%80%8B%E3%85%A4%EF%BE%A0b", // zero width, fillers
		"/a%EF%BC%8Fb%E2%80%A6":                "/a%EF%BC%8Fb%E2%80%A6",          // another slash, an ellipsis
		"/e%CC%81":                             "/e%CC%81",
		"/%FF%C3%28%zz%":                       "/%FF%C3%28%zz%",
		"/a b\x7f\u202e":                       "/a%20b%7F%E2%80%AE",
		"/?q=%D9%A1":                           "/?q=%D9%A1", // Arabic digits
		long:                                   "/" + strings.Repeat("a", 59) + "…" + strings.Repeat("a", 32) + "/delete",
		"/" + strings.Repeat("%E6%9C%AC", 150): "/" + strings.Repeat("本", 59) + "…" + strings.Repeat("本", 39),
	} {
		if got := readableTarget(target); got != want {
			t.Errorf("%q reads %q, want %q", target, got, want)
		}
	}
}

func FuzzReadableTarget(f *testing.F) {
	for _, seed := range []string{"/tx/delete?id=5", "/%E6%9C%AC/%2F", "/%E2%80%AE", "/\u202ex", "%", "/%e6%9c", strings.Repeat("%E6%9C%AC", 100)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		shown := []rune(readableTarget(target))
		if len(shown) > shownHead+1+shownTail {
			t.Errorf("%q: %d characters", target, len(shown))
		}
		for i, r := range shown {
			if (r <= ' ' || r >= 0x7f) && !isPlainLetter(r) && (r != '…' || i != shownHead) {
				t.Errorf("%q shows %U", target, r)
			}
		}
	})
}
