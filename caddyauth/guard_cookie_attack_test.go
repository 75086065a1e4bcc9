package caddyauth

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
)

// A cookie counts in its realm, on its host, whole and alone, whatever is sent beside it or in its place.
func TestAttackCookiesAtTheGuard(t *testing.T) {
	g := newGuarded(t)
	staff := &Realm{Portal: "https://staff-auth.example.com/auth/", Applications: []string{appOrigin}, Session: new(Session)}
	if err := staff.parseOrigins(); err != nil {
		t.Fatal(err)
	}
	g.app.Realms["staff"] = staff
	g.app.opened["staff"] = g.open(staff, "staff")
	guard, staffGuard := g.guard(Guard{}), g.guard(Guard{Realm: "staff"})
	s, good := g.signIn("alice", appOrigin)
	_, onPortal := g.signIn("alice", portalOrigin)
	value := good.Value
	middle := len(value) / 2
	flow, err := g.rt.sealFlow(Flow{Return: appOrigin + "/"})
	if err != nil {
		t.Fatal(err)
	}
	for name, forged := range map[string]string{
		"a tail":             value + "AAAA",
		"a valid tail":       strings.Repeat("A", 64) + value,
		"twice":              value + value,
		"cut":                value[:middle],
		"halves swapped":     value[middle:] + value[:middle],
		"padded":             value + "=",
		"huge":               strings.Repeat(value, 40),
		"another host's":     onPortal.Value,
		"a flow's":           flow,
		"empty":              "",
		"version downgraded": "A" + value[1:],
	} {
		cookie := &http.Cookie{Name: good.Name, Value: forged}
		w := g.serve(script(appOrigin+"/", cookie), guard)
		if forged != value && (w.Code != http.StatusUnauthorized || g.reached != nil) {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	if w := g.serve(script(appOrigin+"/", good), staffGuard); w.Code != http.StatusUnauthorized || g.reached != nil {
		t.Errorf("another realm's: %d", w.Code)
	}
	// The same sid, another name of the cookie: what only a __Host- cookie may carry is not read from one that a sibling can toss.
	tossed := &http.Cookie{Name: strings.TrimPrefix(good.Name, "__Host-"), Value: value}
	if w := g.serve(script(appOrigin+"/", tossed), guard); w.Code != http.StatusUnauthorized {
		t.Errorf("tossed by a sibling: %d", w.Code)
	}
	if w := g.serve(script(appOrigin+"/", g.cookie(s, appOrigin)), guard); w.Code != http.StatusOK {
		t.Errorf("the good one: %d", w.Code)
	}
}

// The old cookie of a session that has stepped up stays what it is: it does not become fresh by the other's factor.
func TestAttackOldCookieAfterAStepUp(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{StepUp: fiveMinutes("sms")})
	s, old := g.signIn("alice", appOrigin)
	_, fresh := g.steppedUp(s, session.SMS)
	if w := g.serve(script(appOrigin+"/", fresh), guard); w.Code != http.StatusOK {
		t.Fatalf("the new cookie: %d", w.Code)
	}
	if w := g.serve(script(appOrigin+"/", old), guard); w.Code != http.StatusUnauthorized {
		t.Errorf("the old cookie: %d", w.Code)
	}
}

// A factor that passed in somebody else's session, or in another one of the same person, steps up nobody.
func TestAttackFactorOfAnotherSession(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{StepUp: fiveMinutes("sms")})
	_, mallorys := g.signIn("mallory", appOrigin)
	first, _ := g.signIn("alice", appOrigin)
	_, second := g.signIn("alice", appOrigin)
	g.steppedUp(first, session.SMS)
	g.clock.Advance(time.Second)
	for name, cookie := range map[string]*http.Cookie{"another person": mallorys, "another session": second} {
		if w := g.serve(script(appOrigin+"/", cookie), guard); w.Code != http.StatusUnauthorized || g.reached != nil {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	if _, err := g.rt.sessions.StepUp(t.Context(), first, g.pool.SignIn("mallory"), session.SMS); err == nil {
		t.Error("mallory's tokens step alice up")
	}
}

// Answers for one person must not be handed to another by a cache in between, by cookie or by token.
func TestAttackCachedPrivatePage(t *testing.T) {
	g := newGuarded(t)
	_, cookie := g.signIn("alice", appOrigin)
	guard := g.guard(Guard{UpstreamBearer: "access"})
	g.upstream = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=3600")
		_, _ = w.Write([]byte("alice's"))
	}
	w := g.serve(script(appOrigin+"/", cookie), guard)
	if !strings.Contains(strings.Join(w.Header().Values("Cache-Control"), ","), "private") || !strings.Contains(w.Header().Get("Vary"), "Cookie") {
		t.Errorf("%v", w.Header())
	}
}

// FuzzCookieAtTheGuard: what is no cookie of ours never reaches the upstream.
func FuzzCookieAtTheGuard(f *testing.F) {
	g := newGuarded(f)
	guard := g.guard(Guard{Allow: []Rule{{Groups: []string{"staff"}}}})
	g.pool.Groups = []string{"staff"}
	_, good := g.signIn("alice", appOrigin)
	for _, seed := range []string{good.Value, good.Value[1:], good.Value + "=", "", "A", strings.Repeat("A", 100)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		r := script(appOrigin + "/")
		r.Header["Cookie"] = []string{good.Name + "=" + value}
		own := *g
		own.tb = t
		w := own.serve(r, guard)
		through := own.reached != nil
		if through != (w.Code == http.StatusOK) || through && strings.Trim(value, " \t\"") != good.Value && !strings.HasPrefix(value, good.Value+";") {
			t.Errorf("%q: %d", value, w.Code)
		}
	})
}
