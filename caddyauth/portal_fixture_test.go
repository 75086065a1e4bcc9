package caddyauth

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/ratelimit"
	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/internal/session/sessiontest"
	"github.com/caddy-cognito/passwordless/internal/token"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
	"github.com/caddy-cognito/passwordless/templates"
)

const (
	anna    = "anna@example.com"
	annaSub = "6a0f2f5e-1111-4222-8333-444455556666"
	bob     = "bob@example.com"
	bobSub  = "6a0f2f5e-2222-4222-8333-444455556666"
)

// portalTest is a portal over fakes.
type portalTest struct {
	*testing.T
	clock   *sessiontest.Clock
	storage *sessiontest.Storage
	store   *passkeytest.Store
	pool    *fakePool
	told    told
	logs    *observer.ObservedLogs
	rt      *realm
	portal  *Portal
	key     *rsa.PrivateKey
	passed  bool // the last request went on to the next handler
	paused  []time.Duration
}

var poolKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func newPortal(t *testing.T, change ...func(*Realm, *Portal)) *portalTest {
	t.Helper()
	key, err := poolKey()
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zapcore.DebugLevel)
	p := &portalTest{T: t, clock: sessiontest.NewClock(), storage: sessiontest.NewStorage(), store: passkeytest.NewStore(), logs: logs, key: key}
	p.pool = &fakePool{
		p: p, sessions: map[string]poolUser{}, offered: map[string]string{}, links: map[string]poolUser{}, codes: map[string]*mailedCode{},
		users: map[string]poolUser{anna: {annaSub, anna}, annaSub: {annaSub, anna}, bob: {bobSub, bob}, bobSub: {bobSub, bob}},
	}
	config := &Realm{
		Portal: portalOrigin + "/auth/", Applications: []string{appOrigin, otherOrigin},
		Passkeys:  &Passkeys{RelyingParties: []RelyingParty{{ID: "auth.example.com", Name: "Example Corp"}}},
		MagicLink: &MagicLink{}, SignUp: &SignUp{Mode: SignUpOpen},
	}
	portal := &Portal{logger: zap.NewNop()}
	for _, f := range change {
		f(config, portal)
	}
	for _, parse := range []func() error{config.parseOrigins, config.parsePasskeys, config.parseSession, config.parseLimits} {
		if err := parse(); err != nil {
			t.Fatal(err)
		}
	}
	manager := sessiontest.NewManager(t, p.storage, sessiontest.NewPool(p.clock))
	if err := manager.Poll(context.Background()); err != nil {
		t.Fatal(err)
	}
	pages, err := templates.New(templates.Options{Base: config.portalURL.Path, Branding: templates.Branding{Name: "Example Corp"}})
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := token.NewVerifier(token.Options{
		Issuer: "https://pool.example.com/p", JWKSURL: "https://pool.example.com/jwks", ClientIDs: []string{"client"},
		HTTPClient: &http.Client{Transport: roundTrip(p.jwks)}, Now: p.clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	p.rt = &realm{
		name: DefaultRealm, config: config, portal: config.portalURL, secure: true,
		pool: p.pool, verifier: verifier, credentials: p.store, notifier: &p.told,
		ceremonies: &passkey.Ceremonies{Settings: config.passkeys, Store: p.store, Now: p.clock.Now},
		sessions:   manager, pages: pages, logger: zap.New(core), now: p.clock.Now, rand: rand.Reader,
		pause: func(_ context.Context, d time.Duration) { p.paused = append(p.paused, d) },
	}
	p.rt.nameCookies()
	app := &App{Realms: map[string]*Realm{DefaultRealm: config}, opened: map[string]*realm{DefaultRealm: p.rt}}
	if err := portal.bind(app); err != nil {
		t.Fatal(err)
	}
	portal.limits.Counters = ratelimit.NewMemory()
	t.Cleanup(func() { _ = portal.Cleanup() })
	p.portal = portal
	return p
}

// browser is a person's browser: it keeps cookies of the portal.
type browser struct {
	*portalTest
	cookies map[string]string
	address string
	proxied bool // by a proxy that trusted_proxies names
}

func (p *portalTest) browser() *browser {
	return &browser{portalTest: p, cookies: map[string]string{}, address: "192.0.2.1"}
}

// send puts the cookies on, serves, and keeps the new ones.
func (b *browser) send(r *http.Request) *httptest.ResponseRecorder {
	b.Helper()
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil)
	caddyhttp.SetVar(r.Context(), caddyhttp.ClientIPVarKey, b.address)
	caddyhttp.SetVar(r.Context(), caddyhttp.TrustedProxyVarKey, b.proxied)
	b.passed = false
	err := b.portal.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
		b.passed = true
		return nil
	}))
	if err != nil {
		b.Fatalf("the portal failed: %v", err)
	}
	for _, c := range w.Result().Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c.Value
		}
	}
	return w
}

func absolute(target string) string {
	if strings.HasPrefix(target, "/") {
		return portalOrigin + target
	}
	return target
}

func (b *browser) get(target string) *httptest.ResponseRecorder {
	b.Helper()
	return b.send(navigation(absolute(target)))
}

// ask is a GET by a script.
func (b *browser) ask(target string) *httptest.ResponseRecorder {
	b.Helper()
	return b.send(script(absolute(target)))
}

// posted makes a same-origin POST.
func posted(target, contentType, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, absolute(target), strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Origin", portalOrigin)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return r
}

func (b *browser) submit(target string, fields ...string) *httptest.ResponseRecorder {
	b.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return b.send(posted(target, "application/x-www-form-urlencoded", form.Encode()))
}

// call posts JSON; headers come in pairs.
func (b *browser) call(target string, body any, headers ...string) *httptest.ResponseRecorder {
	b.Helper()
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			b.Fatal(err)
		}
	}
	r := posted(target, "application/json", string(text))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return b.send(r)
}

// session opens the browser's session cookie.
func (b *browser) session() (session.Session, bool) {
	value, ok := b.cookies[b.rt.sessionCookie.Name]
	if !ok {
		return session.Session{}, false
	}
	s, err := b.rt.sessions.Open(value, b.rt.sessionHost(b.rt.portal.Host))
	return s, err == nil
}

var (
	flowField = regexp.MustCompile(`name="flow" value="([^"]+)"`)
	dataField = func(name string) *regexp.Regexp { return regexp.MustCompile(`data-` + name + `="([^"]*)"`) }
)

func (p *portalTest) found(w *httptest.ResponseRecorder, pattern *regexp.Regexp) string {
	p.Helper()
	m := pattern.FindStringSubmatch(w.Body.String())
	if m == nil {
		p.Fatalf("no %s in %d %s", pattern, w.Code, w.Body)
	}
	return html.UnescapeString(m[1])
}

func (p *portalTest) decode(w *httptest.ResponseRecorder, status int, into any) {
	p.Helper()
	if w.Code != status {
		p.Fatalf("got %d %s, want %d", w.Code, w.Body, status)
	}
	if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
		p.Fatalf("%v in %s", err, w.Body)
	}
}

// wantError checks a script's answer.
func (p *portalTest) wantError(w *httptest.ResponseRecorder, status int, code string) {
	p.Helper()
	var answer struct{ Error, Message string }
	p.decode(w, status, &answer)
	if answer.Error != code || answer.Message == "" {
		p.Errorf("got %+v, want %s", answer, code)
	}
}

// appFlow is the sealed flow with which the guard sends somebody.
func (p *portalTest) appFlow(target string) string {
	p.Helper()
	nonce, err := newNonce(nil)
	if err != nil {
		p.Fatal(err)
	}
	sealed, err := p.rt.sealFlow(Flow{Return: target, Host: appOrigin, NonceHash: nonce.hash()})
	if err != nil {
		p.Fatal(err)
	}
	return sealed
}

// askForLink types an address and returns the waiting page's flow and the address in the mail.
func (b *browser) askForLink(email, target string) (flow, mailed string) {
	b.Helper()
	page := b.get("/auth/sign-in?flow=" + url.QueryEscape(b.appFlow(target)))
	ask := func() *httptest.ResponseRecorder {
		return b.submit("/auth/sign-in", "flow", b.found(page, flowField), "email", email, "fragment", "#q3")
	}
	w := ask()
	if strings.HasSuffix(w.Header().Get("Location"), "&notice=link_recent") {
		b.clock.Advance(resendAfter) // as the page says
		w = ask()
	}
	location := w.Header().Get("Location")
	if w.Code != http.StatusSeeOther || !strings.HasPrefix(location, "/auth/check-mail?flow=") {
		b.Fatalf("got %d to %q %s", w.Code, location, w.Body)
	}
	u, err := url.Parse(location)
	if err != nil {
		b.Fatal(err)
	}
	last := b.pool.mails[len(b.pool.mails)-1]
	return u.Query().Get("flow"), last.ClientMetadata[challenge.KeyRedirectURI]
}

// useLink opens a mailed link and presses Continue.
func (b *browser) useLink(mailed, link string) *httptest.ResponseRecorder {
	b.Helper()
	page := b.get(mailed)
	if page.Code != http.StatusOK {
		b.Fatalf("the link's page: %d %s", page.Code, page.Body)
	}
	return b.submit("/auth/link", "flow", b.found(page, flowField), "link", link)
}

// signInByLink does both.
func (b *browser) signInByLink(email string) session.Session {
	b.Helper()
	_, mailed := b.askForLink(email, appOrigin+"/")
	if w := b.useLink(mailed, b.pool.lastLink); w.Code >= 400 {
		b.Fatalf("got %d %s", w.Code, w.Body)
	}
	s, ok := b.session()
	if !ok {
		b.Fatal("not signed in")
	}
	return s
}

// addPasskey registers one by the page's own calls.
func (b *browser) addPasskey(a *passkeytest.Authenticator, proofs ...string) string {
	b.Helper()
	var code string
	if len(proofs) > 0 {
		code = proofs[0]
	} else {
		var fresh struct {
			Fresh bool
			Proof string
		}
		b.decode(b.call("/auth/reauthenticate/options", map[string]string{"purpose": "add"}), http.StatusOK, &fresh)
		code = fresh.Proof
	}
	var options passkey.CreationOptions
	b.decode(b.call("/auth/fido2/register-authenticator/start?rpId=auth.example.com", map[string]string{"proof": code}), http.StatusOK, &options)
	var added struct{ CredentialID string }
	b.decode(b.call("/auth/fido2/register-authenticator/complete", a.Create(b, options)), http.StatusOK, &added)
	return added.CredentialID
}

// onward finds where a page passes on to.
var onward = regexp.MustCompile(`<a id="onward" href="([^"]*)"`)

// passedOn is where an answer sends a browser on that is signed in already: by a redirect, or by a page that takes the fragment along.
func (p *portalTest) passedOn(w *httptest.ResponseRecorder) string {
	p.Helper()
	if w.Code == http.StatusSeeOther {
		return w.Header().Get("Location")
	}
	if w.Code != http.StatusOK || w.Header().Get("Cache-Control") != "no-store" {
		p.Errorf("passed on by %d %v", w.Code, w.Header())
	}
	return p.found(w, onward)
}

// dataHref finds the button of an error page.
var dataHref = regexp.MustCompile(`id="action" class="button primary" href="([^"]*)"`)

func (p *portalTest) unmarshal(text string, into any) {
	p.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		p.Fatalf("%v in %s", err, text)
	}
}

func zapOutcome(outcome string) zap.Field { return zap.String("outcome", outcome) }
