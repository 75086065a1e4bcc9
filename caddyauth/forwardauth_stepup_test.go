package caddyauth

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/internal/token"
)

func TestForwardAuthStepsUpAndTakesTokens(t *testing.T) {
	g := newGuarded(t)
	g.acceptTokens()
	_, cookie := g.signIn("alice", appOrigin)
	stepUp := g.forwardAuth(ForwardAuth{Proxy: proxyTraefik, Guard: Guard{StepUp: fiveMinutes("sms")}})
	g.stepUpFlow(g.answer(stepUp, ask(proxyTraefik, navigation(appOrigin+"/x", cookie))).Header().Get("Location"))
	if w := g.answer(stepUp, ask(proxyTraefik, script(appOrigin+"/x", cookie))); w.Code != http.StatusUnauthorized || !strings.Contains(w.Header().Get("WWW-Authenticate"), insufficientAuthentication) {
		t.Errorf("script: %d %v", w.Code, w.Header())
	}
	// The proxy has the body, so a form cannot be kept; its sender is told so.
	if w := g.answer(stepUp, ask(proxyTraefik, form(appOrigin+"/x", urlencoded, "a=b", cookie))); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "step-up?flow=") {
		t.Errorf("form: %d %s", w.Code, w.Body)
	}
	tokens := g.forwardAuth(ForwardAuth{Proxy: proxyNginx, Guard: Guard{Bearer: "access", UpstreamBearer: "access"}})
	raw := g.token(token.Access, nil)
	if w := g.answer(tokens, ask(proxyNginx, client(appOrigin+"/x", raw))); w.Code != http.StatusOK || w.Header().Get("Authorization") != "Bearer "+raw {
		t.Errorf("token: %d %v", w.Code, w.Header())
	}
	r := client(appOrigin+"/x", raw)
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("Authorization", "Bearer x.y.z")
	if w := g.answer(tokens, ask(proxyNginx, r)); w.Code >= 200 && w.Code < 300 {
		t.Errorf("a gRPC refusal, which is a 200, reads as consent: %d", w.Code)
	}
}

// What the guard judges by its method, and a transaction's ID, must not be the client's to say where the proxy passes headers on.
func TestAttackForwardAuthMethodAndTransaction(t *testing.T) {
	g := newGuarded(t)
	_, cookie := g.signIn("alice", appOrigin)
	rules := fiveMinutes("sms")
	rules[0].Methods = []string{"DELETE"}
	byMethod := g.forwardAuth(ForwardAuth{Proxy: proxyTraefik, Guard: Guard{StepUp: rules}})
	r := script(appOrigin+"/x", cookie)
	if w := g.answer(byMethod, ask(proxyTraefik, r)); w.Code != http.StatusOK {
		t.Fatalf("GET: %d", w.Code)
	}
	r.Header.Set("X-HTTP-Method-Override", "DELETE")
	if w := g.answer(byMethod, ask(proxyTraefik, r)); w.Code != http.StatusForbidden {
		t.Errorf("GET that is to be read as DELETE: %d", w.Code)
	}
	forged := script(appOrigin+"/x", cookie)
	forged.Header.Set(headerTransaction, "forged")
	if w := g.answer(g.forwardAuth(ForwardAuth{Proxy: proxyTraefik}), ask(proxyTraefik, forged)); w.Code != http.StatusForbidden {
		t.Errorf("a transaction's ID that the proxy does not replace: %d", w.Code)
	}
	each := eachTime()
	each[0].Methods = []string{"DELETE"}
	w := g.answer(g.forwardAuth(ForwardAuth{Proxy: proxyTraefik, Guard: Guard{StepUp: each}}), ask(proxyTraefik, forged))
	if got := w.Header()[headerTransaction]; w.Code != http.StatusOK || len(got) != 1 || got[0] != "" {
		t.Errorf("where it is replaced: %d %v", w.Code, w.Header())
	}
	listening := &ForwardAuth{Proxy: proxyTraefik, Guard: Guard{UpstreamStepUp: true}}
	if err := listening.prepare(); err != nil {
		t.Fatal(err)
	}
	if err := listening.bind(g.app, g.rt.config); err == nil || !strings.Contains(err.Error(), "do not come this way") {
		t.Errorf("step_up upstream: %v", err)
	}
}

// The proxy has the body: an approval that cannot be bound to it is none.
func TestAttackForwardAuthApprovesAnUnseenBody(t *testing.T) {
	g := newGuarded(t)
	for _, methods := range [][]string{nil, {"POST"}, {"GET", "PUT"}} {
		each := eachTime()
		each[0].Methods = methods
		if err := (&ForwardAuth{Proxy: proxyTraefik, Guard: Guard{StepUp: each}}).prepare(); err == nil || !strings.Contains(err.Error(), "methods GET DELETE") {
			t.Errorf("%v: %v", methods, err)
		}
	}
	g.withNonce()
	each := eachTime()
	each[0].Methods = []string{"DELETE"}
	guard := g.forwardAuth(ForwardAuth{Proxy: proxyTraefik, Guard: Guard{StepUp: each}})
	s, cookie := g.signIn("alice", appOrigin)
	remove := func(length string) *http.Request {
		r := script(appOrigin+"/orders/5", cookie, g.nonce)
		r.Method = http.MethodDelete
		if length != "" {
			r.Header.Set("Content-Length", length)
		}
		return ask(proxyTraefik, r)
	}
	var answer struct {
		StepUpURL string `json:"step_up_url"`
	}
	if err := json.Unmarshal(g.answer(guard, remove("0")).Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	g.approved(g.stepUpFlow(answer.StepUpURL), s, session.Passkey)
	if w := g.answer(guard, remove("5")); w.Code != http.StatusForbidden {
		t.Errorf("with a body: %d %s", w.Code, w.Body)
	}
	if w := g.answer(guard, remove("")); w.Code != http.StatusOK || len(w.Header().Get(headerTransaction)) != 22 {
		t.Errorf("as approved: %d %s", w.Code, w.Body)
	}
	if w := g.answer(guard, remove("")); w.Code != http.StatusUnauthorized {
		t.Errorf("again: %d", w.Code)
	}
}
