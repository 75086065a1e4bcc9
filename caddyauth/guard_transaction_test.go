package caddyauth

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-cognito/passwordless/internal/session"
)

func eachTime() []StepUpRule {
	return []StepUpRule{{MaxAge: caddy.Duration(5 * time.Minute), Factors: []string{"passkey", "sms"}, Transaction: true}}
}

// finished is what the portal does once a factor has passed for a flow.
func (g *guarded) finished(flow Flow, s session.Session) {
	g.tb.Helper()
	if _, err := g.rt.finish(g.tb.Context(), flow, s); err != nil {
		g.tb.Fatal(err)
	}
}

func TestTransactionIsApprovedOnce(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{StepUp: eachTime()})
	s, cookie := g.signIn("alice", appOrigin) // a passkey of just now, and asked all the same
	flow := g.stepUpFlow(g.serve(navigation(appOrigin+"/release?order=17", cookie), guard).Header().Get("Location"))
	if flow.StepUp.Transaction == "" {
		t.Fatalf("%+v", flow.StepUp)
	}
	g.clock.Advance(time.Second)
	flow.Issued = g.clock.Now()
	g.clock.Advance(time.Second)
	s, cookie = g.steppedUp(s, session.SMS)
	g.finished(flow, s)
	r := navigation(appOrigin+"/release?order=17", cookie)
	r.Header.Set(headerTransaction, "forged")
	if w := g.serve(r, guard); w.Code != http.StatusOK || g.reached.Header.Get(headerTransaction) != flow.StepUp.Transaction || len(g.reached.Header[headerTransaction]) != 1 {
		t.Fatalf("%d %v", w.Code, g.reached)
	}
	again := g.stepUpFlow(g.serve(navigation(appOrigin+"/release?order=17", cookie), guard).Header().Get("Location"))
	if again.StepUp.Transaction == flow.StepUp.Transaction {
		t.Error("two transactions have one ID")
	}
	if w := g.serve(navigation(appOrigin+"/", cookie), g.guard(Guard{})); w.Code != http.StatusOK || g.reached.Header.Get(headerTransaction) != "" {
		t.Error("an ID goes where nothing was approved")
	}
}

// What was approved is one request of one session: not another address, method or person, not twice by finishing the flow again, not by an
// older factor, and not for ever.
func TestAttackApprovalForSomethingElse(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{StepUp: eachTime()})
	s, cookie := g.signIn("alice", appOrigin)
	ask := func() Flow {
		g.clock.Advance(time.Second)
		return g.stepUpFlow(g.serve(navigation(appOrigin+"/release?order=17", cookie), guard).Header().Get("Location"))
	}
	refused := func(name string, r *http.Request) {
		t.Helper()
		if w := g.serve(r, guard); w.Code == http.StatusOK || g.reached != nil {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	stale := ask()
	stale.Issued = g.clock.Now().Add(time.Second)
	g.finished(stale, s)
	refused("an older factor", navigation(appOrigin+"/release?order=17", cookie))

	flow := ask()
	g.clock.Advance(time.Second)
	s, cookie = g.steppedUp(s, session.EmailCode)
	g.finished(flow, s)
	refused("another factor", navigation(appOrigin+"/release?order=17", cookie))
	g.clock.Advance(time.Second)
	s, cookie = g.steppedUp(s, session.SMS)
	bob, bobs := g.signIn("bob", appOrigin)
	g.finished(flow, bob)
	refused("another person", navigation(appOrigin+"/release?order=17", bobs))
	g.finished(flow, s)
	post := script(appOrigin+"/release?order=17", cookie)
	post.Method = http.MethodPost
	other, others := g.signIn("alice", appOrigin)
	_ = other
	for name, r := range map[string]*http.Request{
		"another query":   navigation(appOrigin+"/release?order=18", cookie),
		"another path":    navigation(appOrigin+"/delete?order=17", cookie),
		"another method":  post,
		"another session": navigation(appOrigin+"/release?order=17", others),
		"another host":    navigation(otherOrigin+"/release?order=17", g.cookie(s, otherOrigin)),
	} {
		refused(name, r)
	}
	if w := g.serve(navigation(appOrigin+"/release?order=17", cookie), guard); w.Code != http.StatusOK {
		t.Errorf("the request itself: %d", w.Code)
	}
	g.finished(flow, s) // the person reloads the portal's page
	refused("the flow finished again", navigation(appOrigin+"/release?order=17", cookie))

	late := ask()
	g.clock.Advance(time.Second)
	s, cookie = g.steppedUp(s, session.SMS)
	g.finished(late, s)
	g.clock.Advance(6 * time.Minute)
	refused("too late", navigation(appOrigin+"/release?order=17", cookie))
}

// An approval of a form is for what was in it: the same address with another body needs its own.
func TestAttackApprovalOfAnotherForm(t *testing.T) {
	g := newGuarded(t)
	bodies := g.received()
	guard := g.guard(Guard{StepUp: eachTime()})
	s, cookie := g.signIn("alice", appOrigin)
	flow := g.keptFlow(form(appOrigin+"/pay", urlencoded, "amount=5", cookie), guard)
	g.clock.Advance(time.Second)
	s, cookie = g.steppedUp(s, session.SMS)
	g.finished(flow, s)
	if w := g.serve(form(appOrigin+"/pay", urlencoded, "amount=5000", cookie), guard); w.Code != http.StatusSeeOther || len(*bodies) != 0 {
		t.Errorf("another body: %d %q", w.Code, *bodies)
	}
	if w := g.serve(g.sendAgain(flow, cookie, guard), guard); w.Code != http.StatusOK || len(*bodies) != 1 || !strings.HasSuffix((*bodies)[0], " amount=5") {
		t.Errorf("%d %q", w.Code, *bodies)
	}
	if g.reached.Header.Get(headerTransaction) != flow.StepUp.Transaction {
		t.Errorf("%v", g.reached.Header)
	}
}

// A flow for a transaction stays at the step-up page until a factor has passed for it, however fresh an older one is.
func TestTransactionIsPendingUntilItsOwnFactor(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{StepUp: eachTime()})
	s, cookie := g.signIn("alice", appOrigin)
	g.clock.Advance(time.Second)
	flow := g.stepUpFlow(g.serve(navigation(appOrigin+"/release", cookie), guard).Header().Get("Location"))
	if !flow.pending(&s, g.clock.Now()) {
		t.Error("an older factor finishes it")
	}
	s, _ = g.steppedUp(s, session.SMS)
	if flow.pending(&s, g.clock.Now()) {
		t.Error("its own factor does not")
	}
	if u, err := url.Parse(flow.Return); err != nil || u.Path != "/release" {
		t.Errorf("returns to %s", flow.Return)
	}
}
