package caddyauth

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-cognito/passwordless/internal/ratelimit"
	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

// Attack: links made up in the name of an account, from several addresses, under the address of a mail that the attacker has got. The
// owner's good link works all the same, and the pool is asked nothing.
func TestForgedLinksChargeTheirSender(t *testing.T) {
	p := newPortal(t)
	victim, attacker := p.browser(), p.browser()
	victim.address = "203.0.113.7"
	_, mailed := victim.askForLink(anna, appOrigin+"/")
	good := p.pool.lastLink
	_, attackersMail := attacker.askForLink(bob, appOrigin+"/")
	flow := p.found(attacker.get(attackersMail), flowField)
	calls, refused := len(p.pool.calls), map[int]int{}
	for i := range 400 {
		attacker.address = fmt.Sprintf("198.51.100.%d", i%3)
		refused[attacker.submit("/auth/link", "flow", flow, "link", p.newLink(poolUser{annaSub, anna}, p.clock.Now())).Code]++
	}
	if refused[http.StatusForbidden] != 180 || refused[http.StatusTooManyRequests] != 220 {
		t.Errorf("answers %v, want 60 for each address and no more", refused)
	}
	if len(p.pool.calls) != calls {
		t.Errorf("the pool was asked %v", p.pool.calls[calls:calls+3])
	}
	if w := victim.useLink(mailed, good); p.passedOn(w) == "" {
		t.Errorf("the owner's good link: %d", w.Code)
	}
}

// Attack: a page of one's own that waits for a link to somebody else's address is not the address in that mail.
func TestWaitingPageIsNoMail(t *testing.T) {
	p := newPortal(t)
	attacker := p.browser()
	waiting, _ := attacker.askForLink(anna, appOrigin+"/")
	calls := len(p.pool.calls)
	forged := p.newLink(poolUser{annaSub, anna}, p.clock.Now())
	if w := attacker.submit("/auth/link", "flow", waiting, "link", forged); w.Code != http.StatusBadRequest || len(p.pool.calls) != calls {
		t.Errorf("got %d, and the pool was asked %v", w.Code, p.pool.calls[calls:])
	}
}

// Attack: a real mail's address is used to try out links. Each costs the pool a call, so there are few of them.
func TestAttemptsOfOneMailAreFew(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	_, mailed := b.askForLink(anna, appOrigin+"/")
	flow := p.found(b.get(mailed), flowField)
	calls := len(p.pool.calls)
	for i := range 100 {
		b.address = fmt.Sprintf("203.0.%d.1", i)
		forged := p.newLink(poolUser{annaSub, anna}, p.clock.Now())
		delete(p.pool.links, forged)
		b.submit("/auth/link", "flow", flow, "link", forged)
	}
	if got := len(p.pool.calls) - calls; got != 20 { // two for each
		t.Errorf("the pool was asked %d times, want 20", got)
	}
}

// Attack: 59 addresses of one network ask for four challenges a second each, of every kind that needs no account.
func TestChallengeFloodLeavesOthersAlone(t *testing.T) {
	p := newPortal(t)
	owner, device := p.browser(), passkeytest.NewAuthenticator(portalOrigin)
	owner.address = "203.0.113.7"
	owner.signInByLink(anna)
	owner.addPasskey(device)
	flooder := p.browser()
	flow := p.found(flooder.get("/auth/sign-in"), flowField)
	for second := range 5 {
		for i := range 59 * 4 {
			p.clock.Advance(time.Second / 59 / 4)
			flooder.address = fmt.Sprintf("198.51.100.%d", i%59)
			flooder.call("/auth/fido2/sign-in-challenge", nil)
			flooder.call("/auth/passkey/options", map[string]string{"flow": flow})
			flooder.call("/auth/passkey/options", map[string]string{"flow": flow, "email": fmt.Sprintf("made-up-%d@example.com", i)})
		}
		honest := p.browser()
		honest.address = fmt.Sprintf("192.0.2.%d", second)
		page := p.found(honest.get("/auth/sign-in"), flowField)
		for _, body := range []map[string]string{{"flow": page}, {"flow": page, "email": anna}} {
			if w := honest.call("/auth/passkey/options", body); w.Code != http.StatusOK {
				t.Errorf("second %d: honest options %d", second, w.Code)
			}
		}
		honest.signInByPasskey(device)
		if w := owner.call("/auth/reauthenticate/options", map[string]string{"purpose": proofAdd}); w.Code != http.StatusOK {
			t.Errorf("second %d: re-authentication %d", second, w.Code)
		}
	}
}

// One at a time: every act of a stranger or of somebody signed in has its limit; the answer says when to try again.
func TestEveryActHasALimit(t *testing.T) {
	one := &RateLimit{Burst: 1, Every: caddy.Duration(100 * time.Second)}
	tight := func(r *Realm, _ *Portal) {
		r.SMSStepUp, r.MagicLink.Code = true, true
		r.Limits = new(Limits)
		for _, budget := range r.Limits.budgets() {
			*budget = &Budget{Address: one}
		}
	}
	flowOf := func(b *browser) string { return b.found(b.get("/auth/sign-in"), flowField) }
	for name, try := range map[string]func(b *browser) func() *httptest.ResponseRecorder{
		"a mail": func(b *browser) func() *httptest.ResponseRecorder {
			return func() *httptest.ResponseRecorder {
				return b.submit("/auth/sign-in", "flow", flowOf(b), "email", "one@example.com")
			}
		},
		"a passkey's challenge": func(b *browser) func() *httptest.ResponseRecorder {
			return func() *httptest.ResponseRecorder {
				return b.call("/auth/passkey/options", map[string]string{"flow": flowOf(b)})
			}
		},
		"a named challenge": func(b *browser) func() *httptest.ResponseRecorder {
			return func() *httptest.ResponseRecorder {
				return b.call("/auth/passkey/options", map[string]string{"flow": flowOf(b), "email": anna})
			}
		},
		"a stored challenge": func(b *browser) func() *httptest.ResponseRecorder {
			return func() *httptest.ResponseRecorder { return b.call("/auth/fido2/sign-in-challenge", nil) }
		},
		"a bearer": func(b *browser) func() *httptest.ResponseRecorder {
			return func() *httptest.ResponseRecorder {
				return b.call("/auth/fido2/authenticators/list", nil, "Authorization", "Bearer e30.e30.e30")
			}
		},
		"an assertion": func(b *browser) func() *httptest.ResponseRecorder {
			device := passkeytest.NewAuthenticator(portalOrigin)
			device.Create(b, passkey.CreationOptions{RP: passkey.OptionsRelyingParty{ID: "auth.example.com"}, User: passkey.OptionsUser{ID: annaSub}, Challenge: "AAAA"})
			return func() *httptest.ResponseRecorder { return b.call("/auth/passkey/sign-in", b.pagePasskey(device)) }
		},
		"a link": func(b *browser) func() *httptest.ResponseRecorder {
			_, mailed := b.askForLink(anna, appOrigin+"/")
			link := b.pool.lastLink
			delete(b.pool.links, link)
			return func() *httptest.ResponseRecorder { return b.useLink(mailed, link) }
		},
		"a code by mail": func(b *browser) func() *httptest.ResponseRecorder {
			waiting, _ := b.askForLink(anna, appOrigin+"/")
			return func() *httptest.ResponseRecorder {
				return b.call("/auth/check-mail/code", map[string]string{"flow": waiting, "code": "BCDFGHJK"})
			}
		},
		"a re-authentication": func(b *browser) func() *httptest.ResponseRecorder {
			b.signInByLink(anna)
			return func() *httptest.ResponseRecorder {
				return b.call("/auth/reauthenticate/options", map[string]string{"purpose": proofAdd})
			}
		},
		"a step-up by passkey": func(b *browser) func() *httptest.ResponseRecorder {
			s := b.signInByLink(anna)
			b.later()
			flow := b.stepUpPage(b.stepUpURL(s, session.Passkey))
			return func() *httptest.ResponseRecorder {
				return b.call("/auth/step-up/passkey/options", map[string]string{"flow": flow})
			}
		},
		"a verified number": func(b *browser) func() *httptest.ResponseRecorder {
			b.signInByLink(anna)
			return func() *httptest.ResponseRecorder {
				return b.call("/auth/phone/verify", map[string]string{"code": "123456"})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPortal(t, tight)
			b := p.browser()
			again := try(b)
			if w := again(); w.Code == http.StatusTooManyRequests {
				t.Fatalf("the first was limited: %s", w.Body)
			}
			w := again()
			if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "100" {
				t.Fatalf("the second: %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
			}
			if body := w.Body.String(); !strings.Contains(body, "Try again in 100 seconds.") && !strings.Contains(body, `{"message":"Too many requests"}`) {
				t.Errorf("the answer does not say when: %s", body)
			}
			p.clock.Advance(100 * time.Second)
			if w := again(); w.Code == http.StatusTooManyRequests {
				t.Errorf("the limit does not end: %s", w.Body)
			}
		})
	}
}

// A reload with other limits keeps what was counted, and the new limits hold at once.
func TestLimitsSurviveReloads(t *testing.T) {
	const name = "limits that survive"
	settings := func(burst int) *App {
		r := &Realm{Limits: &Limits{Mails: &Budget{Account: &RateLimit{Burst: burst, Every: caddy.Duration(time.Hour)}}}}
		if err := r.parseLimits(); err != nil {
			t.Fatal(err)
		}
		return &App{Realms: map[string]*Realm{name: r}}
	}
	start := func(burst int) *Portal {
		portal := &Portal{Realm: name, logger: zap.NewNop()}
		if err := portal.bind(settings(burst)); err != nil {
			t.Fatal(err)
		}
		return portal
	}
	stop := func(p *Portal) {
		if err := p.Cleanup(); err != nil {
			t.Error(err)
		}
	}
	now := time.Unix(1_800_000_000, 0)
	take := func(p *Portal) bool {
		now = now.Add(time.Second)
		return p.limits.Proven(now, ratelimit.Mails, "somebody") == 0
	}
	twice := func(p *Portal) bool {
		first := take(p)
		return take(p) && first
	}
	before := start(2)
	if !twice(before) || take(before) {
		t.Fatal("the first limit is not 2")
	}
	after := start(4)
	stop(before)
	if !twice(after) || take(after) {
		t.Error("4 less the 2 before are 2")
	}
	tighter := start(1)
	stop(after)
	defer stop(tighter)
	if take(tighter) {
		t.Log("a bucket beyond the new size is full again: it says nothing about the new limit")
	}
	if take(tighter) {
		t.Error("the tighter limit does not hold")
	}
}

// A limit in the Caddyfile or JSON that cannot work is refused, by name.
func TestLimitOptionsThatCannotWork(t *testing.T) {
	number := func(n int) *int { return &n }
	for want, l := range map[string]Limits{
		"limits: mails: address: burst and every":            {Mails: &Budget{Address: &RateLimit{Burst: 5}}},
		"limits: mails: address: it is off and":              {Mails: &Budget{Address: &RateLimit{Burst: 5, Every: 1, Off: true}}},
		"limits: codes: overall: it cannot be off":           {Codes: &Budget{Overall: &RateLimit{Off: true}}},
		"limits: links: network is tighter than address":     {Links: &Budget{Network: &RateLimit{Burst: 5, Every: caddy.Duration(time.Second)}}},
		"limits: texts: daily: -5 is not":                    {Texts: &Budget{Daily: number(-5)}},
		"limits: reserve: 100% is not between 0% and 90%":    {Reserve: number(100)},
		`limits: trusted_networks: "office" is not a net`:    {TrustedNetworks: []string{"office"}},
		"limits: trusted_networks: 0.0.0.0/0 trusts every":   {TrustedNetworks: []string{"0.0.0.0/0"}},
		"limits: trusted_networks: 0.0.0.0/0 trusts ever":    {TrustedNetworks: []string{"::ffff:0:0/96"}},
		"limits: trusted_networks: 192.0.2.7/24 has bits be": {TrustedNetworks: []string{"192.0.2.7/24"}},
	} {
		if err := (&Realm{Limits: &l}).parseLimits(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s…", err, want)
		}
	}
	for i, act := range ratelimit.Acts() { // each option sets the budget of its name
		l := new(Limits)
		*l.budgets()[i] = &Budget{Account: &RateLimit{Burst: 77, Every: caddy.Duration(time.Second)}}
		r := &Realm{Limits: l}
		if err := r.parseLimits(); err != nil || r.limits.Budgets[act].Account.Burst != 77 {
			t.Errorf("%s: %+v, %v", act, r.limits.Budgets[act], err)
		}
	}
	r := &Realm{Limits: &Limits{TrustedNetworks: []string{"192.0.2.7", "2001:db8::/48", "::ffff:198.51.100.0/120", "::ffff:203.0.113.9"}, Reserve: number(0)}}
	if err := r.parseLimits(); err != nil || fmt.Sprint(r.limits.Trusted) != "[192.0.2.7/32 2001:db8::/48 198.51.100.0/24 203.0.113.9/32]" || r.limits.Reserve != 0 {
		t.Errorf("%v %g, %v", r.limits.Trusted, r.limits.Reserve, err)
	}
}

// An office behind one address is an option.
func TestOfficeBehindOneAddress(t *testing.T) {
	p := newPortal(t, func(r *Realm, _ *Portal) { r.Limits = &Limits{TrustedNetworks: []string{"192.0.2.0/24"}} })
	for i := range 200 {
		b := p.browser()
		if w := b.submit("/auth/sign-in", "flow", p.found(b.get("/auth/sign-in"), flowField), "email", fmt.Sprintf("person%d@example.com", i)); w.Code != http.StatusSeeOther {
			t.Fatalf("person %d: %d", i, w.Code)
		}
	}
}

// The office is a network around the proxy in front, which trusted_proxies does not name: every client comes from the proxy's address. A
// stranger must not get by that what the office gets; the log says what to mend. With trusted_proxies the office's people are trusted.
func TestOfficeBehindAnUnknownProxy(t *testing.T) {
	for _, header := range []string{"X-Forwarded-For", "Forwarded", "X-Real-Ip"} {
		for _, known := range []bool{false, true} {
			core, logs := observer.New(zapcore.WarnLevel)
			p := newPortal(t, func(r *Realm, portal *Portal) {
				r.Limits = &Limits{TrustedNetworks: []string{"192.0.2.0/24"}}
				portal.logger = zap.New(core)
			})
			b := p.browser()
			b.proxied = known
			refused := 0
			for range 150 {
				r := posted("/auth/fido2/sign-in-challenge", "application/json", "")
				r.Header.Set(header, "198.51.100.7")
				if b.send(r).Code == http.StatusTooManyRequests {
					refused++
				}
			}
			if known != (refused == 0) || known != (logs.Len() == 0) || logs.Len() > 1 {
				t.Errorf("%s, a known proxy %t: %d of 150 refused, %d lines logged", header, known, refused, logs.Len())
			}
		}
	}
}
