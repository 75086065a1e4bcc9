package caddyauth

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/ratelimit"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
	"github.com/caddy-cognito/passwordless/userpool"
)

// Attack: the pool is asked for far too many mails: the address split by IPv6 suffix, the account by case, tag, dots and spaces.
func TestMessageLimits(t *testing.T) {
	spellings := []string{"some.body@gmail.com", "SOMEBODY+3@gmail.com", "somebody@gmail.com", "somebody+1@gmail.com", " somebody+2@googlemail.com ", "s.omebody@GMAIL.com",
		"somebody+4@gmail.com", "some.b.ody@gmail.com", "SomeBody@googlemail.com", "so.mebody+5@gmail.com", "somebod.y@gmail.com"}
	p := newPortal(t)
	device := passkeytest.NewAuthenticator(portalOrigin)
	setup := p.browser()
	setup.signInByLink(anna)
	setup.addPasskey(device)
	limited := 0
	var last *httptest.ResponseRecorder
	for i, email := range spellings {
		b := p.browser()
		b.address = fmt.Sprintf("203.0.%d.1", i) // an attacker with many addresses
		calls := len(p.pool.calls)
		w := b.submit("/auth/sign-in", "flow", p.found(b.get("/auth/sign-in"), flowField), "email", email)
		if w.Code == http.StatusTooManyRequests {
			limited++
			last = w
			if len(p.pool.calls) != calls {
				t.Error("the pool was asked beyond the limit")
			}
		}
	}
	if limited != 1 || last.Header().Get("Retry-After") == "" || !strings.Contains(last.Body.String(), "Try again in") {
		t.Fatalf("%d of %d were limited", limited, len(spellings))
	}
	// One /64 is one address.
	p.portal.limits.Counters = ratelimit.NewMemory()
	limited = 0
	for i := range 70 {
		b := p.browser()
		b.address = fmt.Sprintf("2001:db8:1:2:%x::1", i)
		if w := b.submit("/auth/sign-in", "flow", p.found(b.get("/auth/sign-in"), flowField), "email", fmt.Sprintf("user%d@example.com", i)); w.Code == http.StatusTooManyRequests {
			limited++
		}
	}
	if limited != 10 {
		t.Errorf("%d of 70 were limited, want 10", limited)
	}
	// Passkeys work all the same, from that very address.
	b := p.browser()
	b.address = "2001:db8:1:2::9"
	b.signInByPasskey(device)
	p.clock.Advance(time.Minute)
	if w := p.browser(); w.submit("/auth/sign-in", "flow", p.found(w.get("/auth/sign-in"), flowField), "email", "later@example.com").Code != http.StatusSeeOther {
		t.Error("the limit does not end")
	}
}

func TestAccountsShareABucketByMailbox(t *testing.T) {
	for account, want := range map[string]string{
		" A.B+x@Gmail.com": "ab@gmail.com", "a.b+x@example.com.": "a.b@example.com", "+x@example.com": "+x@example.com", "no address": "noaddress",
	} {
		if got := accountBucket(account); got != want {
			t.Errorf("%q falls into %q", account, got)
		}
	}
}

// Attack: X-Forwarded-For names another address at every request. Caddy's client IP decides, and says so only for trusted proxies.
func TestForwardedForDoesNotSplitLimits(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	limited := false
	for i := range 150 {
		r := posted("/auth/fido2/sign-in-challenge", "application/json", "")
		r.Header.Set("X-Forwarded-For", fmt.Sprintf("198.51.100.%d", i))
		limited = limited || b.send(r).Code == http.StatusTooManyRequests
	}
	if !limited {
		t.Error("never limited")
	}
}

// Sign-ups that come to the pool past the portal use up what the portal has for strangers, by address and overall, and leave the reserve.
func TestSignUpsPastThePortalShareItsLimits(t *testing.T) {
	p := newPortal(t, func(r *Realm, _ *Portal) { r.SMSCallingCodes = []string{"+49"} })
	p.rt.limits = p.portal.limits
	settings := p.rt.settings()
	if !slices.Equal(settings.SMSCallingCodes, []string{"+49"}) {
		t.Errorf("the pool is told of the countries %q", settings.SMSCallingCodes)
	}
	for i := range 60 {
		if wait := settings.SignUpWait("127.0.0.1"); wait > 0 {
			t.Fatalf("sign-up %d waits %s", i, wait)
		}
	}
	if p.rt.signUpWait("127.0.0.1") == 0 {
		t.Error("an address has no limit")
	}
	b := p.browser()
	b.address = "127.0.0.1"
	if w := b.submit("/auth/sign-in", "flow", p.found(b.get("/auth/sign-in"), flowField), "email", anna); w.Code != http.StatusTooManyRequests {
		t.Errorf("the portal gives the same address %d", w.Code)
	}
	for i := range 2000 {
		p.rt.signUpWait(fmt.Sprintf("203.%d.%d.1", i>>8, i&255))
	}
	if p.rt.signUpWait("198.51.100.1") == 0 {
		t.Error("there is no overall limit")
	}
	if wait := p.portal.limits.SignedIn(p.clock.Now(), ratelimit.Mails, "192.0.2.9", "subject"); wait > 0 {
		t.Errorf("the reserve is gone for %s", wait)
	}
}

// sealedText finds the fields of an answer that differ by chance: everything else must be equal.
var sealedText = regexp.MustCompile(`[A-Za-z0-9_-]{43,}`)

// Attack: find out who has an account, from answers and from what the pool is asked (rule 6).
func TestKnownAndUnknownAreTheSame(t *testing.T) {
	type trace struct{ form, options, calls string }
	observe := func(t *testing.T, mode, email string) trace {
		p := newPortal(t, func(r *Realm, _ *Portal) { r.SignUp.Mode = mode })
		b := p.browser()
		flow := p.found(b.get("/auth/sign-in"), flowField)
		form := b.submit("/auth/sign-in", "flow", flow, "email", email)
		waiting := b.get(form.Header().Get("Location"))
		options := b.call("/auth/passkey/options", map[string]string{"flow": flow, "email": email})
		shape := func(w *httptest.ResponseRecorder) string {
			body := strings.ReplaceAll(w.Body.String(), email, "EMAIL")
			h := w.Header().Clone()
			for _, name := range []string{"Location", "Set-Cookie"} {
				for i := range h[name] {
					h[name][i] = sealedText.ReplaceAllString(h[name][i], "SEALED")
				}
			}
			return fmt.Sprint(w.Code, h, sealedText.ReplaceAllString(body, "SEALED"))
		}
		return trace{shape(form) + shape(waiting), shape(options), strings.Join(p.pool.calls, ", ")}
	}
	for _, mode := range []string{SignUpOpen, SignUpClosed} {
		known, unknown := observe(t, mode, anna), observe(t, mode, "nobody@example.com")
		if known != unknown {
			t.Errorf("%s:\nknown   %+v\nunknown %+v", mode, known, unknown)
		}
		want := "Initiate, Respond MAGIC_LINK, Initiate"
		if mode == SignUpOpen {
			want = "SignUp, " + want
		}
		if known.calls != want {
			t.Errorf("%s: calls %s", mode, known.calls)
		}
	}
}

// A pool that refuses says nothing about accounts either; one that is down is told, and what was typed stays.
func TestPoolThatRefusesOrFails(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		status int
	}{
		"refuses": {userpool.ErrNotAuthorized, http.StatusSeeOther}, "down": {userpool.ErrUnavailable, http.StatusServiceUnavailable},
		"throttled": {userpool.ErrThrottled, http.StatusTooManyRequests}, "misconfigured": {userpool.ErrNotConfigured, http.StatusInternalServerError},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPortal(t)
			p.pool.initiate = func(string) (userpool.Challenge, error) { return userpool.Challenge{}, c.err }
			b := p.browser()
			w := b.submit("/auth/sign-in", "flow", p.found(b.get("/auth/sign-in"), flowField), "email", anna)
			if w.Code != c.status {
				t.Fatalf("got %d, want %d: %s", w.Code, c.status, w.Body)
			}
			if c.status >= 500 && !strings.Contains(w.Body.String(), `value="`+anna+`"`) {
				t.Error("what was typed is gone")
			}
			if c.status == http.StatusTooManyRequests {
				if page := b.get(p.found(w, dataHref)); !strings.Contains(page.Body.String(), `value="`+anna+`"`) {
					t.Error("what was typed is gone")
				}
			}
			if c.status == http.StatusServiceUnavailable && w.Header().Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		})
	}
}
