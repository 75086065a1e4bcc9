package caddyauth

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

func TestLinkSignsInAndLeadsBackByHandoff(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	flow, mailed := b.askForLink(anna, appOrigin+"/reports?year=2026")
	if page := b.get("/auth/check-mail?flow=" + url.QueryEscape(flow)); page.Code != http.StatusOK || !strings.Contains(page.Body.String(), anna) {
		t.Errorf("the waiting page: %d %s", page.Code, page.Body)
	}
	status := func(want string) string {
		t.Helper()
		var answer struct{ State, Location string }
		p.decode(b.ask("/auth/check-mail/status?flow="+url.QueryEscape(flow)), http.StatusOK, &answer)
		if answer.State != want {
			t.Errorf("the waiting tab hears %q, want %q", answer.State, want)
		}
		return answer.Location
	}
	status("waiting")
	w := b.useLink(mailed, p.pool.lastLink)
	if location := p.passedOn(w); !strings.HasPrefix(location, appOrigin+"/auth/handoff?flow=") {
		t.Fatalf("got %d to %q", w.Code, location)
	}
	s, ok := b.session()
	if !ok || s.Email != anna || s.Factors.At(session.MagicLink).IsZero() || len(s.Factors) != 1 {
		t.Fatalf("session %+v", s)
	}
	next := status("done")
	if w := b.get(next); !strings.HasPrefix(p.passedOn(w), appOrigin+"/auth/handoff?flow=") {
		t.Errorf("the waiting tab goes to %d %q", w.Code, w.Header().Get("Location"))
	}
	if n := p.logs.FilterMessage("signed_in").FilterField(zapOutcome("success")).Len(); n != 1 {
		t.Errorf("%d audit lines of the sign-in", n)
	}
}

func TestLinkInAnotherBrowserSignsInThatOneOnly(t *testing.T) {
	p := newPortal(t)
	asking, reading := p.browser(), p.browser()
	flow, mailed := asking.askForLink(anna, appOrigin+"/reports")
	page := reading.get(mailed)
	if !strings.Contains(page.Body.String(), anna) || !strings.Contains(page.Body.String(), "another browser") {
		t.Errorf("the page does not say whom and where: %s", page.Body)
	}
	w := reading.useLink(mailed, p.pool.lastLink)
	if got := p.passedOn(w); got != appOrigin+"/reports#q3" {
		t.Errorf("got %d to %q: only the browser that asked has the nonce of a handoff", w.Code, got)
	}
	if _, ok := asking.session(); ok {
		t.Error("the browser that asked is signed in")
	}
	var answer struct{ State string }
	for range 2 {
		p.decode(asking.ask("/auth/check-mail/status?flow="+url.QueryEscape(flow)), http.StatusOK, &answer)
		if answer.State != "elsewhere" {
			t.Errorf("the browser that asked hears %q", answer.State)
		}
	}
}

func TestPasskeyFromRegistrationToUsernamelessSignInAndDeletion(t *testing.T) {
	p := newPortal(t)
	device := passkeytest.NewAuthenticator(portalOrigin)
	b := p.browser()
	b.signInByLink(anna)
	id := b.addPasskey(device)
	if len(p.told) != 1 || p.told[0] != annaSub+" created Passkey" {
		t.Errorf("told %q", p.told)
	}

	// Another browser signs in with the passkey alone, by the challenge that came with the page.
	c := p.browser()
	c.signInByPasskey(device)
	s, ok := c.session()
	if !ok || s.Email != anna || s.Factors.At(session.Passkey).IsZero() || len(s.Factors) != 1 {
		t.Fatalf("session %+v", s)
	}
	if page := c.get("/auth/account"); !strings.Contains(page.Body.String(), id) {
		t.Errorf("the account page lacks the passkey: %d %s", page.Code, page.Body)
	}
	if w := c.call("/auth/fido2/authenticators/update", map[string]string{"credentialId": id, "friendlyName": "My <b>key</b>"}); w.Code != http.StatusOK || w.Body.Len() != 0 {
		t.Errorf("renaming: %d %s", w.Code, w.Body)
	}
	if page := c.get("/auth/account").Body.String(); strings.Contains(page, "<b>key") || !strings.Contains(page, "My &lt;b&gt;key") {
		t.Error("the name stands unescaped on the page, or not at all")
	}
	if w := c.call("/auth/fido2/authenticators/delete", map[string]string{"credentialId": id, "proof": c.prove(device, proofDelete, id)}); w.Code != http.StatusNoContent {
		t.Errorf("deleting: %d %s", w.Code, w.Body)
	}
	if len(p.told) != 2 || p.told[1] != annaSub+" deleted My <b>key</b>" {
		t.Errorf("told %q", p.told)
	}
	p.wantError(p.browser().tryPasskey(device), http.StatusForbidden, "unknown_credential")
}

func TestPasskeyWithTypedAddress(t *testing.T) {
	p := newPortal(t)
	device := passkeytest.NewAuthenticator(portalOrigin)
	b := p.browser()
	b.signInByLink(anna)
	b.addPasskey(device)
	c := p.browser()
	flow := p.found(c.get("/auth/sign-in"), flowField)
	var asked struct {
		PublicKey passkey.RequestOptions
		State     string
	}
	p.decode(c.call("/auth/passkey/options", map[string]any{"flow": flow, "email": " " + anna}), http.StatusOK, &asked)
	var done struct{ Location string }
	p.decode(c.call("/auth/passkey/sign-in", map[string]any{"flow": flow, "state": asked.State, "answer": device.Get(t, asked.PublicKey)}), http.StatusOK, &done)
	if done.Location != "/auth/account" {
		t.Errorf("leads to %q", done.Location)
	}
}

// One sign-in, many hosts, until a browser turns out to keep no cookie.
func TestLiveSessionMovesOnButNotInCircles(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	b.signInByLink(anna)
	flow := Flow{Return: otherOrigin + "/x", Host: otherOrigin, NonceHash: "n", Attempt: loopTries - 1}
	location, err := p.rt.flowURL("sign-in", flow)
	if err != nil {
		t.Fatal(err)
	}
	// A redirect to the code's fragment would drop that of the address asked for.
	if w := b.get(location); w.Code != http.StatusOK || !strings.HasPrefix(p.passedOn(w), otherOrigin+"/auth/handoff?flow=") {
		t.Errorf("got %d to %q", w.Code, p.passedOn(w))
	}
	if w := b.ask(location); w.Code != http.StatusOK || strings.Contains(w.Body.String(), "handoff") {
		t.Errorf("a script was handed a code: %d", w.Code)
	}
	flow.Attempt = loopTries
	if location, err = p.rt.flowURL("sign-in", flow); err != nil {
		t.Fatal(err)
	}
	w := b.get(location)
	if w.Code != http.StatusForbidden {
		t.Fatalf("sent round again: %d", w.Code)
	}
	action := p.found(w, dataHref)
	if to := p.passedOn(b.get(action)); !strings.HasPrefix(to, otherOrigin+"/auth/handoff?flow=") {
		t.Errorf("the page's button leads to %q", to)
	}
}

func TestSignOutDeniesTheSession(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	s := b.signInByLink(anna)
	stolen := b.cookies[p.rt.sessionCookie.Name]
	if page := b.get("/auth/sign-out?return=" + url.QueryEscape(appOrigin+"/")); page.Code != http.StatusOK || !strings.Contains(page.Body.String(), anna) {
		t.Errorf("the page: %d %s", page.Code, page.Body)
	}
	if _, ok := b.session(); !ok {
		t.Fatal("opening the page signed out")
	}
	w := b.submit("/auth/sign-out", "return", appOrigin+"/private?x=1")
	if page := b.get(b.lastPage(w)); !strings.Contains(page.Body.String(), `href="`+appOrigin+`/"`) {
		t.Errorf("no way back in: %s", page.Body)
	}
	if _, err := p.rt.sessions.Open(stolen, p.rt.portal.Host); err == nil {
		t.Error("a copy of the cookie still opens")
	}
	if list, err := p.rt.sessions.List(t.Context(), s.Subject); err != nil || len(list) != 0 {
		t.Errorf("sessions left: %v %v", list, err)
	}
}

// A sign-out that cannot be stored is not claimed.
func TestSignOutWithoutStorage(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	b.signInByLink(anna)
	p.storage.Fail(func(op, _ string) error {
		if op == "store" {
			return http.ErrHandlerTimeout
		}
		return nil
	})
	if w := b.submit("/auth/sign-out"); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("got %d", w.Code)
	}
}

func TestSessionsAreListedAndEnded(t *testing.T) {
	p := newPortal(t)
	p.rt.sessions.Refresher = poolRefresher{p.rt}
	b, c, stranger := p.browser(), p.browser(), p.browser()
	b.signInByLink(anna)
	p.clock.Advance(time.Minute)
	second := c.signInByLink(anna)
	other := stranger.signInByLink(bob)
	id := session.PublicID(second)
	if page := b.get("/auth/account"); !strings.Contains(page.Body.String(), id) || strings.Contains(page.Body.String(), session.PublicID(other)) {
		t.Errorf("the account page: %s", page.Body)
	}
	// Attack: end somebody else's session by its public ID.
	if w := b.submit("/auth/sessions/end", "id", session.PublicID(other)); w.Code != http.StatusNotFound {
		t.Errorf("another person's session: %d", w.Code)
	}
	if _, ok := stranger.session(); !ok {
		t.Error("another person's session was ended")
	}
	if w := b.submit("/auth/sessions/end", "id", id); w.Code != http.StatusSeeOther {
		t.Errorf("got %d", w.Code)
	}
	if _, ok := c.session(); ok {
		t.Error("the session lives on")
	}
	if w := b.submit("/auth/sessions/end-all"); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/auth/signed-out" {
		t.Errorf("got %d to %q", w.Code, w.Header().Get("Location"))
	}
	if n := len(p.pool.everywhere); n != 1 || p.pool.everywhere[0] == "" {
		t.Errorf("the pool was asked %d times to end the tokens of other clients", n)
	}
	if w := b.get("/auth/account"); w.Code != http.StatusSeeOther || !strings.HasPrefix(w.Header().Get("Location"), "/auth/sign-in?flow=") {
		t.Errorf("signed out, the account page is %d", w.Code)
	}
}

// A sign-in page that stood open over lunch: nothing is to be typed again, and the way still leads where it led.
func TestExpiredFlowStartsAfresh(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	address := "/auth/sign-in?flow=" + url.QueryEscape(p.appFlow(appOrigin+"/reports?q=1"))
	page := b.get(address)
	p.clock.Advance(flowLifetime + time.Minute)
	w := b.submit("/auth/sign-in", "flow", p.found(page, flowField), "email", anna, "fragment", "q3")
	if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `value="`+anna+`"`) {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	if again, err := p.rt.openFlow(p.found(w, flowField)); err != nil || again.Fragment != "q3" {
		t.Errorf("the fragment is lost: %+v, %v", again, err)
	}
	for name, fresh := range map[string]*httptest.ResponseRecorder{"the form": w, "the page opened again": b.get(address)} {
		flow := p.found(fresh, flowField)
		if w := b.submit("/auth/sign-in", "flow", flow, "email", anna); w.Code != http.StatusSeeOther {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		opened, err := p.rt.openFlow(flow)
		if err != nil || opened.Return != appOrigin+"/reports?q=1" || opened.Host != appOrigin || opened.NonceHash == "" {
			t.Errorf("%s leads to %+v, %v", name, opened, err)
		}
	}
}

func TestOtherRequestsPass(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	for _, target := range []string{"/", "/authx/sign-in", appOrigin + "/auth/sign-in", "http://auth.example.com/auth/sign-in"} {
		if b.get(target); !b.passed {
			t.Errorf("%s did not pass", target)
		}
	}
	for target, status := range map[string]int{
		"/auth": http.StatusFound, "/auth/nothing": http.StatusNotFound, "/auth//sign-in": http.StatusBadRequest, "/auth/%2e%2e/x": http.StatusBadRequest,
	} {
		if w := b.get(target); b.passed || w.Code != status {
			t.Errorf("%s: passed %v, %d", target, b.passed, w.Code)
		}
	}
}

func TestPortalCaddyfile(t *testing.T) {
	for text, want := range map[string][2]string{
		"passwordless_portal":             {},
		"passwordless_portal realm staff": {"staff"},
		"passwordless_portal {\nrealm staff\nfido2_origins https://spa.example.com\n}": {"staff", "https://spa.example.com"},
	} {
		var got Portal
		err := got.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
		if err != nil || got.Realm != want[0] || strings.Join(got.FIDO2Origins, " ") != want[1] {
			t.Errorf("%s: realm %q, origins %q, %v", text, got.Realm, got.FIDO2Origins, err)
		}
	}
	for text, want := range map[string]string{
		"passwordless_portal staff":                                         "realm <name>",
		"passwordless_portal realm":                                         "realm <name>",
		"passwordless_portal {\nrelm staff\n}":                              `unknown option "relm"`,
		"passwordless_portal {\nrealm\n}":                                   "one name",
		"passwordless_portal realm a {\nrealm b\n}":                         "twice",
		"passwordless_portal {\nfido2_origins https://*.example.com\n}":     "each origin",
		"passwordless_portal {\nfido2_origins http://spa.example.com\n}":    "https",
		"passwordless_portal {\nfido2_origins\n}":                           "at least one",
		"passwordless_portal {\nfido2_origins https://a.example {\nx\n}\n}": "no block",
	} {
		err := new(Portal).UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "Testfile:") {
			t.Errorf("%s: %v, want %q with file and line", text, err, want)
		}
	}
}

// pagePasskey answers the challenge that comes with the sign-in page.
func (b *browser) pagePasskey(device *passkeytest.Authenticator, forge ...passkeytest.Forge) map[string]any {
	b.Helper()
	page := b.get("/auth/sign-in")
	var options passkey.RequestOptions
	b.unmarshal(b.found(page, dataField("challenge")), &options)
	return map[string]any{
		"flow": b.found(page, flowField), "state": b.found(page, dataField("state")), "answer": device.Get(b, options, forge...),
	}
}

func (b *browser) tryPasskey(device *passkeytest.Authenticator, forge ...passkeytest.Forge) *httptest.ResponseRecorder {
	b.Helper()
	return b.call("/auth/passkey/sign-in", b.pagePasskey(device, forge...))
}

func (b *browser) signInByPasskey(device *passkeytest.Authenticator) {
	b.Helper()
	var done struct{ Location string }
	b.decode(b.tryPasskey(device), http.StatusOK, &done)
}

// prove re-authenticates by passkey.
func (b *browser) prove(device *passkeytest.Authenticator, purpose, credential string) string {
	b.Helper()
	asked := b.proofOptions(purpose, credential)
	var given struct{ Proof string }
	b.decode(b.call("/auth/reauthenticate", map[string]any{"state": asked.State, "answer": device.Get(b, asked.PublicKey)}), http.StatusOK, &given)
	return given.Proof
}

type askedProof struct {
	PublicKey passkey.RequestOptions
	State     string
}

func (b *browser) proofOptions(purpose, credential string) (asked askedProof) {
	b.Helper()
	b.decode(b.call("/auth/reauthenticate/options", map[string]string{"purpose": purpose, "credentialId": credential}), http.StatusOK, &asked)
	if len(asked.PublicKey.AllowCredentials) == 0 || asked.State == "" {
		b.Fatalf("options %+v", asked)
	}
	return asked
}

func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{anna, " Anna@EXAMPLE.com ", "a@b", "@", "a@@b.c", "ä@bücher.example", "a@b.c\r\nBcc: x@y.z", "a@[::1]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		address, ok := parseAddress(typed)
		if !ok {
			if address != "" && len(address) <= maxAddress {
				t.Errorf("%q beside a refusal", address)
			}
			return
		}
		if again, ok := parseAddress(address); !ok || again != address || strings.ContainsAny(address, " \t\r\n<>\",;") {
			t.Errorf("%q became %q, then %q", typed, address, again)
		}
	})
}

// The script's answer and every sealed state come from outside: whatever they hold, nobody is signed in and nothing panics.
func FuzzPasskeyAnswer(f *testing.F) {
	f.Add(`{"credentialIdB64":"AA","authenticatorDataB64":"","clientDataJSON_B64":"","signatureB64":""}`)
	f.Add(`null`)
	f.Add(`{"userHandleB64":null}`)
	f.Fuzz(func(t *testing.T, raw string) {
		answer, err := challenge.ParsePasskeyAnswer(raw)
		if err == nil && factorOf(answer) == "" {
			t.Error("no factor")
		}
	})
}
