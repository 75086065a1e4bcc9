package caddyauth

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap/zapcore"
)

// begun opens a page as a browser that keeps its nonce, n times, and returns the flow of the last redirect.
func (g *guarded) begun(guard *Guard, n int) (last Flow) {
	g.tb.Helper()
	for range n {
		w := g.serve(navigation(appOrigin+"/page"), guard)
		last = g.flowOf(w)
		if c := cookieSet(w, g.rt.nonceCookie.Name); c != nil {
			g.nonce = c
		}
		g.clock.Advance(100 * time.Millisecond)
	}
	return last
}

// A redirect over the handoff leads browsers back to the guarded page: the guard notes since when.
func TestGuardNotesSignInsThatNeverComeBack(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{})
	began := g.clock.Now().Truncate(time.Millisecond)
	if flow := g.begun(guard, lostBegun-1); !flow.Lost.IsZero() {
		t.Errorf("after %d: %s", lostBegun-1, flow.Lost)
	}
	if flow := g.begun(guard, 1); !flow.Lost.Equal(began) {
		t.Errorf("the flow says %s, want %s", flow.Lost, began)
	}
	if flow := g.begun(guard, 1); !flow.Lost.IsZero() {
		t.Error("the count does not start afresh")
	}
}

// Many pages opened in a row, also slowly, or with a handoff among them, are no circle.
func TestPagesOpenedInARowAreNoCircle(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{})
	for i := range 3 * lostBegun {
		if flow := g.begun(guard, 1); !flow.Lost.IsZero() {
			t.Fatalf("slowly, after %d", i)
		}
		g.clock.Advance(lostWindow / (lostBegun - 2))
	}
	for i := range 4 {
		if flow := g.begun(guard, lostBegun-1); !flow.Lost.IsZero() {
			t.Fatalf("in round %d", i)
		}
		w := g.serve(navigation(appOrigin+"/auth/handoff"), guard)
		c := cookieSet(w, g.rt.nonceCookie.Name)
		if w.Code != http.StatusOK || c == nil || strings.Contains(c.Value, "~") {
			t.Fatalf("the handoff leaves %v (%d)", c, w.Code)
		}
		g.nonce = c
	}
	// Scripts that poll follow no redirect.
	_, cookie := g.signIn("anna", appOrigin)
	fresh := g.guard(Guard{StepUp: []StepUpRule{{MaxAge: caddy.Duration(5 * time.Minute)}}})
	g.clock.Advance(time.Hour)
	for range lostBegun {
		if w := g.serve(script(appOrigin+"/page", cookie), fresh); w.Code != http.StatusUnauthorized || cookieSet(w, g.rt.nonceCookie.Name) != nil {
			t.Fatalf("a script gets %d %v", w.Code, w.Header())
		}
	}
}

// The portal ends the circle with a page, and the log says what to mend. A factor that passed since is a person, who goes on.
func TestCircleOfSignInsEndsInAPageThatSaysWhy(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	p.clock.Advance(time.Second)
	b.signInByLink(anna)
	open := func(flow Flow) *httptest.ResponseRecorder {
		flow.Return, flow.Host, flow.NonceHash = otherOrigin+"/x", otherOrigin, "n"
		location, err := p.rt.flowURL("sign-in", flow)
		if err != nil {
			t.Fatal(err)
		}
		return b.get(location)
	}
	if w := open(Flow{Lost: p.clock.Now().Add(-time.Minute)}); !strings.HasPrefix(p.passedOn(w), otherOrigin+"/auth/handoff?flow=") {
		t.Errorf("before the sign-in: %d", w.Code)
	}
	p.clock.Advance(time.Second)
	w := open(Flow{Lost: p.clock.Now()})
	if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "This site cannot finish signing you in") {
		t.Fatalf("sent round again: %d %s", w.Code, w.Body)
	}
	found := p.logs.FilterLevelExact(zapcore.ErrorLevel).FilterMessageSnippet("this site never answers /auth/handoff").All()
	if len(found) != 1 || found[0].ContextMap()["application"] != otherOrigin || !strings.Contains(found[0].Message, "passwordless_guard /auth/*") {
		t.Errorf("the log says %v", found)
	}
	if to := p.passedOn(b.get(p.found(w, dataHref))); !strings.HasPrefix(to, otherOrigin+"/auth/handoff?flow=") {
		t.Errorf("the page's button leads to %q", to)
	}
}

func TestNonceCookieCountsBothWays(t *testing.T) {
	nonce, err := newNonce(nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.UnixMilli(1770000000123)
	begun, _ := nonce.tried(now).begin(now.Add(time.Second))
	only, _ := nonce.begin(now)
	for _, want := range []nonceValue{begun, only, nonce.tried(now), nonce} {
		if got := parseNonce(want.String()); got != want {
			t.Errorf("%q: %+v, want %+v", want, got, want)
		}
	}
	for _, tail := range []string{"~", ".~", ".~x.1", ".~1.x", ".~-1.5", ".~999.1", ".1.5~~1.1"} {
		if got := parseNonce(nonce.secret + tail); got.begun != 0 {
			t.Errorf("%q: %+v", tail, got)
		}
	}
}
