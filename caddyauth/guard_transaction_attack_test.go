package caddyauth

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-cognito/passwordless/internal/session"
)

// Two rules, of one guard or of two, that both want each request approved, by different factors: the approval that came by a text message
// must not serve the rule that wants a passkey, and who has both gets through instead of being asked in turns for ever.
func TestAttackApprovalByTheFactorOfAnotherRule(t *testing.T) {
	rule := func(factor string) StepUpRule {
		return StepUpRule{MaxAge: caddy.Duration(5 * time.Minute), Factors: []string{factor}, Transaction: true}
	}
	for name, each := range map[string][]Guard{
		"one guard":  {{StepUp: []StepUpRule{rule("passkey"), rule("sms")}}},
		"two guards": {{StepUp: []StepUpRule{rule("passkey")}}, {StepUp: []StepUpRule{rule("sms")}}},
		"turned":     {{StepUp: []StepUpRule{rule("sms")}}, {StepUp: []StepUpRule{rule("passkey")}}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuarded(t)
			var guards []*Guard
			for _, config := range each {
				guards = append(guards, g.guard(config))
			}
			s, _ := g.signIn("alice", appOrigin)
			g.clock.Advance(time.Hour) // its passkey is old
			s, cookie := g.steppedUp(s, session.MagicLink)
			var passed []session.Factor
			for range 4 {
				w := g.serve(navigation(appOrigin+"/release", cookie), guards...)
				if w.Code == http.StatusOK {
					break
				}
				flow := g.stepUpFlow(w.Header().Get("Location"))
				flow.Issued = g.clock.Now()
				g.clock.Advance(time.Second)
				s, cookie = g.steppedUp(s, flow.StepUp.Factors[0])
				g.finished(flow, s)
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

// An approval is worth nothing without the factor that it stands for: not to a copy of the session's cookie from before the step-up.
func TestAttackApprovalForAnOldCookie(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{StepUp: []StepUpRule{{MaxAge: caddy.Duration(5 * time.Minute), Factors: []string{"sms"}, Transaction: true}}})
	s, stolen := g.signIn("alice", appOrigin)
	flow := g.stepUpFlow(g.serve(navigation(appOrigin+"/release", stolen), guard).Header().Get("Location"))
	g.clock.Advance(time.Second)
	s, cookie := g.steppedUp(s, session.SMS)
	g.finished(flow, s)
	if w := g.serve(navigation(appOrigin+"/release", stolen), guard); w.Code != http.StatusFound || g.reached != nil {
		t.Errorf("by the old cookie: %d", w.Code)
	}
	if w := g.serve(navigation(appOrigin+"/release", cookie), guard); w.Code != http.StatusOK {
		t.Errorf("the person: %d", w.Code)
	}
}

// Another session of the same person finishes the step-up that this one asked for: it approves nothing, in neither of the two.
func TestAttackApprovalFinishedByAnotherSession(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{StepUp: eachTime()})
	_, asking := g.signIn("alice", appOrigin)
	flow := g.stepUpFlow(g.serve(navigation(appOrigin+"/release", asking), guard).Header().Get("Location"))
	g.clock.Advance(time.Second)
	other, _ := g.signIn("alice", appOrigin)
	other, others := g.steppedUp(other, session.SMS)
	g.finished(flow, other)
	for name, cookie := range map[string]*http.Cookie{"the one that asked": asking, "the one that finished": others} {
		if w := g.serve(navigation(appOrigin+"/release", cookie), guard); w.Code != http.StatusFound || g.reached != nil {
			t.Errorf("%s is let through: %d", name, w.Code)
		}
	}
}
