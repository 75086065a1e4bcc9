package caddyauth

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

var actionLink = regexp.MustCompile(`id="action" class="button primary" href="([^"]+)"`)

// Somebody may not open a page with this account. "Use another account" signs out, after asking, and leads back to that very page.
func TestSwitchingAccountsComesBackToTheRefusedPage(t *testing.T) {
	g := newGuarded(t)
	_, cookie := g.signIn("alice", appOrigin)
	w := g.serve(navigation(appOrigin+"/reports?year=2026&q=%2F", cookie), g.guard(Guard{Allow: []Rule{{Groups: []string{"admins"}}}}))
	m := actionLink.FindStringSubmatch(w.Body.String())
	if w.Code != http.StatusForbidden || m == nil {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	address, err := url.Parse(html.UnescapeString(m[1]))
	if err != nil || address.Scheme+"://"+address.Host+address.Path != portalOrigin+"/auth/sign-out" {
		t.Fatalf("the button leads to %s", m[1])
	}
	if opened, err := g.rt.openFlow(address.Query().Get("flow")); err != nil || opened.Return != appOrigin+"/reports?year=2026&q=%2F" {
		t.Errorf("sealed %+v, %v", opened, err)
	}

	p := newPortal(t)
	b := p.browser()
	b.signInByLink(anna)
	sealed, err := p.rt.sealFlow(Flow{Return: appOrigin + "/reports?year=2026"})
	if err != nil {
		t.Fatal(err)
	}
	page := b.get("/auth/sign-out?flow=" + url.QueryEscape(sealed))
	if _, ok := b.session(); !ok {
		t.Fatal("opening the page signed out")
	}
	done := b.submit("/auth/sign-out", "flow", b.found(page, flowField))
	if last := b.get(b.lastPage(done)).Body.String(); !strings.Contains(last, `href="`+appOrigin+`/reports?year=2026"`) {
		t.Errorf("from the last page nothing leads back: %s", last)
	}
}

// Attack: name a page of one's own, or one inside an application that does something, as where to go after the sign-out.
func TestAttackReturnAfterSignOut(t *testing.T) {
	p := newPortal(t)
	foreign, err := p.rt.sealFlow(Flow{Return: "https://evil.example/"}) // as if the list of applications had been longer
	if err != nil {
		t.Fatal(err)
	}
	b := p.browser()
	for name, query := range map[string]url.Values{
		"another site": {"return": {"https://evil.example/"}}, "a script": {"return": {"javascript:alert(1)"}}, "an altered seal": {"flow": {foreign[:len(foreign)-2] + "AA"}},
		"a seal for a site that is not listed": {"flow": {foreign}}, "two seals": {"flow": {"x", foreign}},
	} {
		p.clock.Advance(time.Minute) // links are limited
		b.signInByLink(anna)
		w := b.submit("/auth/sign-out", flatten(query)...)
		if location := w.Header().Get("Location"); w.Code != http.StatusSeeOther || location != "/auth/signed-out" {
			t.Errorf("%s: %d to %q", name, w.Code, location)
		}
	}
	p.clock.Advance(time.Minute)
	b.signInByLink(anna)
	w := b.submit("/auth/sign-out", "return", appOrigin+"/delete?all=yes")
	if page := b.get(b.lastPage(w)).Body.String(); strings.Contains(page, "delete") || !strings.Contains(page, `href="`+appOrigin+`/"`) {
		t.Errorf("an address that was not sealed is kept: %s", page)
	}
}

func flatten(values url.Values) (pairs []string) {
	for name, list := range values {
		for _, value := range list {
			pairs = append(pairs, name, value)
		}
	}
	return pairs
}
