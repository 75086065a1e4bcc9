package caddyauth

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

// offered are the addresses on the sign-in page, and those whose last sign-in was by passkey.
func (b *browser) offered() (all, byPasskey []string) {
	b.Helper()
	for part := range strings.SplitSeq(b.get("/auth/sign-in").Body.String(), `<li class="person" data-email="`) {
		email, rest, _ := strings.Cut(part, `"`)
		if !strings.Contains(email, "@") || len(email) > 50 {
			continue // what is before the first
		}
		all = append(all, email)
		if strings.HasPrefix(rest, ` data-passkey`) {
			byPasskey = append(byPasskey, email)
		}
	}
	return all, byPasskey
}

func (b *browser) forget(email string) int {
	b.Helper()
	return b.call("/auth/people/forget", map[string]string{"flow": b.found(b.get("/auth/sign-in"), flowField), "email": email}).Code
}

func wantPeople(t *testing.T, b *browser, want ...string) {
	t.Helper()
	if got, _ := b.offered(); !slices.Equal(got, want) {
		t.Errorf("offered %q, want %q", got, want)
	}
}

// Who signed in with this browser is offered there, newest first, until they are forgotten.
func TestPeopleAreRemembered(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	wantPeople(t, b)
	b.signInByLink(anna)
	device := passkeytest.NewAuthenticator(portalOrigin)
	b.addPasskey(device)
	b.submit("/auth/sign-out")
	wantPeople(t, b, anna)
	b.signInByLink(bob)
	b.submit("/auth/sign-out")
	wantPeople(t, b, bob, anna)
	b.signInByPasskey(device)
	b.submit("/auth/sign-out")
	if all, byPasskey := b.offered(); !slices.Equal(all, []string{anna, bob}) || !slices.Equal(byPasskey, []string{anna}) {
		t.Errorf("offered %q, by passkey %q", all, byPasskey)
	}
	wantPeople(t, p.browser())
	if code := b.forget(strings.ToUpper(anna)); code != http.StatusOK {
		t.Errorf("forgetting: %d", code)
	}
	wantPeople(t, b, bob)
	b.forget(bob)
	wantPeople(t, b)
	if _, ok := b.cookies[p.rt.peopleCookie.Name]; ok {
		t.Error("an empty list is kept")
	}
}

// The list is short and gets old.
func TestFewPeopleAreRemembered(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	var last []string
	for _, name := range []string{"a", "b", "c", "d"} {
		email := name + "@example.com"
		p.pool.users[email] = poolUser{"sub-" + name, email}
		p.pool.users["sub-"+name] = p.pool.users[email]
		b.signInByLink(email)
		b.submit("/auth/sign-out")
		last = slices.Insert(last, 0, email)
	}
	wantPeople(t, b, last[:DefaultRememberedUsers]...)
	p.clock.Advance(peopleLifetime + time.Hour)
	wantPeople(t, b)
}

func TestNobodyIsRemembered(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	b.signInByLink(anna)
	b.submit("/auth/sign-out")
	none := 0
	p.rt.config.RememberedUsers = &none
	wantPeople(t, b)
	b.signInByLink(anna)
	if _, ok := b.cookies[p.rt.peopleCookie.Name]; ok {
		t.Error("the list is still kept")
	}
}

// Attack: plant a list, alter one, bring another site's or another purpose's; let another site forget people; read who was here.
func TestRememberedPeopleAreAttacked(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	b.signInByLink(anna)
	b.submit("/auth/sign-out")
	name := p.rt.peopleCookie.Name
	good := b.cookies[name]
	if strings.Contains(good, "anna") {
		t.Error("the cookie can be read")
	}
	seal := func(purpose, host string) string {
		value, err := p.rt.sessions.Keys.Seal(session.Binding{Purpose: purpose, Realm: p.rt.name, Host: host}, []byte(`[{"e":"evil@example.com","t":"2999-01-01T00:00:00Z"}]`))
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	for attack, value := range map[string]string{
		"plain": `[{"e":"evil@example.com"}]`, "altered": good[:len(good)-2] + "AA", "another host": seal(peoplePurpose, "app.example.com"),
		"another purpose": seal(flowPurpose, p.rt.portal.Host), "from the future": seal(peoplePurpose, p.rt.portal.Host), "": "",
	} {
		b.cookies[name] = value
		if got, _ := b.offered(); len(got) > 0 {
			t.Errorf("%s: offered %q", attack, got)
		}
	}
	b.cookies[name] = good
	r := posted("/auth/people/forget", "application/json", `{"flow":"`+b.found(b.get("/auth/sign-in"), flowField)+`","email":"`+anna+`"}`)
	r.Header.Set("Origin", "https://evil.example")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	if w := b.send(r); w.Code != http.StatusForbidden {
		t.Errorf("another site's request: %d", w.Code)
	}
	wantPeople(t, b, anna)
	// The cookie opens nothing, and no application gets it.
	h := http.Header{"Cookie": {name + "=" + good + "; theme=dark"}}
	if session.StripCookies(h); h.Get("Cookie") != "theme=dark" {
		t.Errorf("the upstream gets %q", h.Get("Cookie"))
	}
}

func TestRememberedUsersOption(t *testing.T) {
	for text, want := range map[string]string{
		"off": "", "5": "", "6": "not between 0 and 5", "-1": "not between 0 and 5", "some": "takes off or a number", "": "takes one value",
	} {
		r := new(Realm)
		d := caddyfile.NewTestDispenser("remembered_users " + text)
		d.Next()
		err := r.unmarshalOption(d, "remembered_users")
		if err == nil {
			err = r.parseSession()
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
