package caddyauth

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-cognito/passwordless/internal/session"
)

// steppedUp is the session after a fresh factor at the portal, with its cookie for the application.
func (g *guarded) steppedUp(s session.Session, factor session.Factor) (session.Session, *http.Cookie) {
	g.tb.Helper()
	s, err := g.rt.sessions.StepUp(g.tb.Context(), s, g.pool.SignIn(s.Subject), factor)
	if err != nil {
		g.tb.Fatal(err)
	}
	return s, g.cookie(s, appOrigin)
}

// stepUpFlow opens the sealed state in an address of the portal's step-up page.
func (g *guarded) stepUpFlow(address string) Flow {
	g.tb.Helper()
	location, err := url.Parse(address)
	if err != nil || !strings.HasPrefix(address, g.rt.portal.String()+"step-up?") {
		g.tb.Fatalf("not the address of the step-up page: %q", address)
	}
	flow, err := g.rt.openFlow(location.Query().Get("flow"))
	if err != nil || flow.StepUp == nil {
		g.tb.Fatalf("flow %+v: %v", flow, err)
	}
	return flow
}

func fiveMinutes(factors ...string) []StepUpRule {
	return []StepUpRule{{MaxAge: caddy.Duration(5 * time.Minute), Factors: factors}}
}

func TestOldFactorStepsUpAndComesBackToTheSameAddress(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{StepUp: fiveMinutes("passkey", "sms")})
	s, cookie := g.signIn("alice", appOrigin)
	if w := g.serve(navigation(appOrigin+"/admin?tab=2", cookie), guard); w.Code != http.StatusOK {
		t.Fatalf("a passkey of just now: %d %s", w.Code, w.Body)
	}
	g.clock.Advance(5*time.Minute + time.Second)
	w := g.serve(navigation(appOrigin+"/admin?tab=2", cookie), guard)
	if w.Code != http.StatusFound || w.Header().Get("Cache-Control") != "no-store" || g.reached != nil {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	flow := g.stepUpFlow(w.Header().Get("Location"))
	if flow.Return != appOrigin+"/admin?tab=2" || flow.Host != appOrigin || flow.NonceHash == "" {
		t.Errorf("flow %+v", flow)
	}
	asked := flow.StepUp
	if asked.Subject != "alice" || asked.Session != session.PublicID(s) || asked.MaxAge != 5*time.Minute || !slices.Equal(asked.Factors, []session.Factor{session.Passkey, session.SMS}) {
		t.Errorf("asked for %+v", asked)
	}
	// A link by mail is fresh but not what was asked for.
	s, cookie = g.steppedUp(s, session.MagicLink)
	g.stepUpFlow(g.serve(navigation(appOrigin+"/admin", cookie), guard).Header().Get("Location"))
	_, cookie = g.steppedUp(s, session.SMS)
	if w := g.serve(navigation(appOrigin+"/admin", cookie), guard); w.Code != http.StatusOK {
		t.Errorf("after the code: %d", w.Code)
	}
}

// Whoever is not signed in, or not allowed at all, is not asked for a factor.
func TestStepUpComesAfterSignInAndRules(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{StepUp: fiveMinutes("sms"), Deny: []Rule{{Groups: []string{"suspended"}}}})
	g.flowOf(g.serve(navigation(appOrigin+"/"), guard))
	g.pool.Groups = []string{"suspended"}
	_, cookie := g.signIn("mallory", appOrigin)
	if w := g.serve(navigation(appOrigin+"/", cookie), guard); w.Code != http.StatusForbidden {
		t.Errorf("denied: %d %v", w.Code, w.Header())
	}
}

// Scripts and API clients get RFC 9470's challenge and an address to open; the return target is taken from no script.
func TestStepUpChallengesScripts(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{StepUp: fiveMinutes("passkey", "sms")})
	s, _ := g.signIn("alice", appOrigin)
	_, cookie := g.steppedUp(s, session.EmailCode)
	g.clock.Advance(6 * time.Minute)
	post := httptest.NewRequest(http.MethodPost, appOrigin+"/api/pay", strings.NewReader("{}"))
	post.Header.Set("Content-Type", "application/json")
	post.AddCookie(cookie)
	socket := script(appOrigin+"/socket", cookie)
	socket.Header.Set("Upgrade", "websocket")
	socket.Header.Set("Origin", appOrigin)
	for name, r := range map[string]*http.Request{"fetch": script(appOrigin+"/api", cookie), "JSON": post, "WebSocket": socket} {
		w := g.serve(r, guard)
		var answer struct {
			Error     string `json:"error"`
			Reason    string `json:"reason"`
			ACRValues string `json:"acr_values"`
			MaxAge    int    `json:"max_age"`
			StepUpURL string `json:"step_up_url"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusUnauthorized || g.reached != nil {
			t.Fatalf("%s: %d %s", name, w.Code, w.Body)
		}
		if answer.Error != insufficientAuthentication || answer.Reason != "step_up" || answer.ACRValues != "passkey sms" || answer.MaxAge != 300 {
			t.Errorf("%s: %+v", name, answer)
		}
		const challenge = `Bearer realm="default", error="insufficient_user_authentication", error_description="a more recent authentication is needed", acr_values="passkey sms", max_age="300"`
		if got := w.Header().Get("WWW-Authenticate"); got != challenge || w.Header().Get("Location") != "" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", name, w.Header())
		}
		if flow := g.stepUpFlow(answer.StepUpURL); flow.Return != appOrigin+"/" {
			t.Errorf("%s: returns to %s", name, flow.Return)
		}
	}
}

// A method that needs no step-up must not become one that does behind the guard, in whatever spelling.
func TestAttackMethodOverrideAroundStepUp(t *testing.T) {
	g := newGuarded(t)
	rules := fiveMinutes("sms")
	rules[0].Methods = []string{"POST", "DELETE"}
	guard := g.guard(Guard{StepUp: rules})
	_, cookie := g.signIn("alice", appOrigin)
	r := script(appOrigin+"/orders/1", cookie)
	for _, name := range []string{
		"X-Http-Method-Override", "X-Method-Override", "X-Http-Method", "X_HTTP_Method_Override", "x.method.override", "X-HTTP_METHOD",
	} {
		r.Header[name] = []string{"DELETE"}
	}
	if w := g.serve(r, guard); w.Code != http.StatusOK {
		t.Fatalf("GET: %d", w.Code)
	}
	for name := range g.reached.Header {
		if strings.Contains(strings.ToLower(name), "method") {
			t.Errorf("%s went upstream", name)
		}
	}
	for _, method := range []string{"DELETE", "delete", "Post"} {
		r := script(appOrigin+"/orders/1", cookie)
		r.Method = method
		if w := g.serve(r, guard); w.Code != http.StatusUnauthorized || g.reached != nil {
			t.Errorf("%s: %d", method, w.Code)
		}
	}
}

// A browser that refuses the stepped-up cookie must not be sent back and forth for ever.
func TestStepUpDoesNotLoop(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{StepUp: fiveMinutes("sms")})
	_, cookie := g.signIn("alice", appOrigin)
	nonce, err := newNonce(nil)
	if err != nil {
		t.Fatal(err)
	}
	for range loopTries {
		nonce = nonce.tried(g.clock.Now())
	}
	looping := &http.Cookie{Name: g.rt.nonceCookie.Name, Value: nonce.String()}
	if w := g.serve(navigation(appOrigin+"/", cookie, looping), guard); w.Code != http.StatusForbidden || w.Header().Get("Location") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	g.clock.Advance(time.Minute)
	g.stepUpFlow(g.serve(navigation(appOrigin+"/", cookie, looping), guard).Header().Get("Location"))
}

// Somebody steps up again and again, quickly: that is no loop. A browser that keeps no session brings the same factor every time.
func TestQuickStepUpsAreNoLoop(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{StepUp: fiveMinutes("sms")})
	s, cookie := g.signIn("alice", appOrigin)
	secret, err := newNonce(nil)
	if err != nil {
		t.Fatal(err)
	}
	nonce := &http.Cookie{Name: g.rt.nonceCookie.Name, Value: secret.String()}
	round := func() int {
		w := g.serve(navigation(appOrigin+"/pay", cookie, nonce), guard)
		if w.Code != http.StatusFound {
			return w.Code
		}
		next, err := g.rt.finish(t.Context(), g.stepUpFlow(w.Header().Get("Location")), s)
		if err != nil {
			t.Fatal(err)
		}
		_, code, _ := strings.Cut(next, "#")
		w = g.serve(post(appOrigin, code, nonce), guard)
		nonce = cookieSet(w, g.rt.nonceCookie.Name)
		return w.Code
	}
	for i := range 3 * loopTries {
		g.clock.Advance(2 * time.Second)
		s, _ = g.steppedUp(s, session.SMS)
		if status := round(); status != http.StatusOK {
			t.Fatalf("step-up %d: %d", i, status)
		}
	}
	for i := range loopTries {
		g.clock.Advance(time.Second)
		want := http.StatusOK
		if i == loopTries-1 {
			want = http.StatusForbidden
		}
		if status := round(); status != want {
			t.Errorf("try %d of a browser that keeps no session: %d, want %d", i, status, want)
		}
	}
}

// Guards are cumulative in this, too: one that is content lifts nothing.
func TestStepUpOfEveryGuardCounts(t *testing.T) {
	g := newGuarded(t)
	lax, strict := g.guard(Guard{StepUp: fiveMinutes()}), g.guard(Guard{StepUp: fiveMinutes("sms")})
	s, cookie := g.signIn("alice", appOrigin)
	if w := g.serve(script(appOrigin+"/", cookie), lax); w.Code != http.StatusOK {
		t.Errorf("any factor: %d", w.Code)
	}
	if w := g.serve(script(appOrigin+"/", cookie), lax, strict); w.Code != http.StatusUnauthorized {
		t.Errorf("both: %d", w.Code)
	}
	_, cookie = g.steppedUp(s, session.SMS)
	if w := g.serve(script(appOrigin+"/", cookie), strict, lax); w.Code != http.StatusOK {
		t.Errorf("after the code: %d", w.Code)
	}
}
