package caddyauth

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-cognito/passwordless/internal/session"
)

// inAnotherProcess is the guard in a process that shares the storage and nothing else.
func (g *guarded) inAnotherProcess(config Guard) *Guard {
	g.tb.Helper()
	other := *g
	other.rt = g.open(g.rt.config, g.rt.name)
	other.app = &App{Realms: g.app.Realms, opened: map[string]*realm{g.rt.name: other.rt}}
	return other.guard(config)
}

// atOnce sends the same request to both guards at the same moment, several times each, and counts the answers by status.
func (g *guarded) atOnce(guards [2]*Guard, request func() *http.Request, next caddyhttp.Handler) map[int]int {
	g.tb.Helper()
	start := make(chan struct{})
	answers := make(chan int, 16)
	var group sync.WaitGroup
	for i := range cap(answers) {
		group.Go(func() {
			r, w := request(), httptest.NewRecorder()
			r.AddCookie(g.nonce)
			r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil)
			<-start
			if err := guards[i%2].ServeHTTP(w, r, next); err != nil {
				g.tb.Error(err)
			}
			answers <- w.Code
		})
	}
	close(start)
	group.Wait()
	close(answers)
	count := map[int]int{}
	for status := range answers {
		count[status]++
	}
	return count
}

// Attack: the approved request is sent many times at once, to two processes. It passes once.
func TestAttackOneApprovalInTwoProcesses(t *testing.T) {
	g := newGuarded(t)
	g.withNonce()
	config := Guard{StepUp: eachTime()}
	guards := [2]*Guard{g.guard(config), g.inAnotherProcess(config)}
	s, cookie := g.signIn("alice", appOrigin)
	pay := func() *http.Request {
		r := jsonPost(appOrigin+"/pay", `{"amount":5}`)
		r.AddCookie(cookie)
		return r
	}
	flow := g.stepUpFlow(g.serve(navigation(appOrigin+"/pay", cookie), guards[0]).Header().Get("Location"))
	flow.StepUp.Transaction.Request = requestDigest(http.MethodPost, appOrigin, "/pay", digestOf(pay().Header, []byte(`{"amount":5}`)))
	g.approved(flow, s, session.Passkey)
	var paid atomic.Int32
	answers := g.atOnce(guards, pay, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
		paid.Add(1)
		return nil
	}))
	if paid.Load() != 1 || answers[http.StatusOK] != 1 || answers[http.StatusUnauthorized] != 15 {
		t.Errorf("paid %d times: %v", paid.Load(), answers)
	}
}

// Attack: the code of a handoff is posted many times at once, to two processes. One answer has the session, and the confirmation that came with
// the code becomes one approval.
func TestAttackOneHandoffInTwoProcesses(t *testing.T) {
	g := newGuarded(t)
	g.withNonce()
	config := Guard{StepUp: eachTime()}
	guards := [2]*Guard{g.guard(config), g.inAnotherProcess(config)}
	s, cookie := g.signIn("alice", appOrigin)
	flow := g.stepUpFlow(g.serve(navigation(appOrigin+"/pay", cookie), guards[0]).Header().Get("Location"))
	flow.StepUp = flow.StepUp.again()
	if err := flow.transaction().begin(g.rt); err != nil {
		t.Fatal(err)
	}
	if err := g.rt.confirm(t.Context(), &flow, &s, []session.Factor{session.Passkey}); err != nil {
		t.Fatal(err)
	}
	location, err := g.rt.finish(t.Context(), flow, s)
	if err != nil {
		t.Fatal(err)
	}
	code, ok := handoffCode(location, appOrigin)
	if !ok {
		t.Fatalf("leads to %q", location)
	}
	refuse := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
		t.Error("a handoff went upstream")
		return nil
	})
	if answers := g.atOnce(guards, func() *http.Request { return post(appOrigin, code) }, refuse); answers[http.StatusOK] != 1 || answers[http.StatusForbidden] != 15 {
		t.Errorf("the handoffs: %v", answers)
	}
	open := func() *http.Request { return navigation(appOrigin+"/pay", cookie) }
	pass := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	if answers := g.atOnce(guards, open, pass); answers[http.StatusOK] != 1 || answers[http.StatusFound] != 15 {
		t.Errorf("the requests: %v", answers)
	}
	for _, key := range g.storage.Keys() {
		if strings.Contains(key, code) {
			t.Errorf("the storage names the code: %s", key)
		}
	}
}
