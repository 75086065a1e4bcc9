package caddyauth

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

var unsentAction = regexp.MustCompile(`id="action" class="button primary" href="([^"]*)" target="_blank" rel="noopener"`)

// Whoever filled in a long form while the session ended is told what to do, in words, and the browser keeps the form.
func TestFormOfSomebodyWhoseSessionEnded(t *testing.T) {
	g := newGuarded(t)
	_, cookie := g.signIn("alice", appOrigin)
	g.clock.Advance(366 * 24 * time.Hour)
	w := g.serve(form(appOrigin+"/orders?kind=express", urlencoded, "article=tea", cookie), g.guard(Guard{}))
	h := w.Header()
	if w.Code != http.StatusUnauthorized || g.calls != 0 || h.Get("Cache-Control") != "no-store" || !strings.HasPrefix(h.Get("Content-Type"), "text/html") ||
		h.Get("WWW-Authenticate") == "" || h.Get("Content-Security-Policy") != guardPolicy || !strings.Contains(w.Body.String(), "reload this page") {
		t.Fatalf("%d %v %s", w.Code, h, w.Body)
	}
	found := unsentAction.FindStringSubmatch(w.Body.String())
	if found == nil {
		t.Fatalf("no way to sign in: %s", w.Body)
	}
	u, err := url.Parse(found[1])
	if err != nil {
		t.Fatal(err)
	}
	flow, err := g.rt.openFlow(u.Query().Get("flow"))
	if err != nil || flow.Return != appOrigin+"/" || flow.Host != appOrigin || flow.NonceHash == "" {
		t.Errorf("it leads to %q: %+v, %v", found[1], flow, err)
	}
}

// Attack: another site posts a form in the hope that our page has the person send it. It gets no page of ours, nor does a script.
func TestAttackUnsentFormOfAnotherSite(t *testing.T) {
	g := newGuarded(t)
	g.acceptTokens()
	guard := g.guard(Guard{})
	for name, change := range map[string]func(http.Header){
		"another site":      func(h http.Header) { h.Set("Sec-Fetch-Site", "cross-site") },
		"a sibling":         func(h http.Header) { h.Set("Sec-Fetch-Site", "same-site") },
		"nobody says where": func(h http.Header) { h.Del("Sec-Fetch-Site") },
		"an older browser": func(h http.Header) {
			for _, name := range []string{"Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest"} {
				h.Del(name)
			}
			h.Set("Origin", "https://evil.example")
		},
		"a script": func(h http.Header) { h.Set("Sec-Fetch-Mode", "cors"); h.Set("Sec-Fetch-Dest", "empty") },
		"a token":  func(h http.Header) { h.Set("Authorization", "Bearer x") },
	} {
		t.Run(name, func(t *testing.T) {
			r := form(appOrigin+"/orders", urlencoded, "article=tea")
			change(r.Header)
			guards := []*Guard{guard}
			if name == "a token" {
				guards = []*Guard{g.guard(Guard{Bearer: "access"})}
			}
			w := g.serve(r, guards...)
			if w.Code != http.StatusUnauthorized || g.calls != 0 || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
			}
		})
	}
}
