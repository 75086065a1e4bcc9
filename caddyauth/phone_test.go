package caddyauth

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/passkey"
)

// freshProof is the proof of who signed in by link a moment ago and has no passkey.
func (b *browser) freshProof() string {
	b.Helper()
	var fresh struct{ Proof string }
	b.decode(b.call("/auth/reauthenticate/options", map[string]string{"purpose": proofPhone}), http.StatusOK, &fresh)
	return fresh.Proof
}

func (b *browser) enterPhone(number, proof string) *httptest.ResponseRecorder {
	b.Helper()
	return b.call("/auth/phone", map[string]string{"phone": number, "proof": proof})
}

func (b *browser) verifyPhone(code string) *httptest.ResponseRecorder {
	b.Helper()
	return b.call("/auth/phone/verify", map[string]string{"code": code})
}

func (p *portalTest) lastText() sentCode { return p.pool.phones.texts[len(p.pool.phones.texts)-1] }

func TestPhoneIsAddedVerifiedUsedAndRemoved(t *testing.T) {
	p := newPortal(t, withSMS)
	b := p.browser()
	s := b.signInByLink(anna)
	if page := b.get("/auth/account").Body.String(); !strings.Contains(page, "change-phone") || strings.Contains(page, "remove-phone") {
		t.Error("the account page offers no phone number to add")
	}
	var sent struct{ Phone string }
	p.decode(b.enterPhone("0049 (151) 1234-5678", b.freshProof()), http.StatusOK, &sent)
	if text := p.lastText(); text.to != "+4915112345678" || sent.Phone != "+*******5678" {
		t.Errorf("sent to %s, shown as %s", text.to, sent.Phone)
	}
	if page := b.get("/auth/account").Body.String(); !strings.Contains(page, "Not verified") || !strings.Contains(page, "verify-phone") {
		t.Error("the account page does not say that a code is awaited")
	}
	p.wantError(b.verifyPhone("000000"), http.StatusForbidden, "code_wrong")
	p.wantError(b.verifyPhone("no code"), http.StatusUnprocessableEntity, "code_wrong")
	if w := b.verifyPhone(p.lastText().code); w.Code != http.StatusOK {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	page := b.get("/auth/account?notice=phone_verified").Body.String()
	if !strings.Contains(page, "*******5678") || !strings.Contains(page, ">Verified<") || !strings.Contains(page, "is verified") || strings.Contains(page, "15112345678") {
		t.Error("the account page does not show the number")
	}

	b.later()
	flow := b.stepUpPage(b.stepUpURL(s, session.SMS))
	code, answer := b.sendCode(flow)
	if w := b.typeCode(flow, code.State, answer); w.Code != http.StatusOK {
		t.Errorf("the number steps nobody up: %d %s", w.Code, w.Body)
	}

	b = p.browser()
	b.signInByLink(anna)
	if w := b.call("/auth/phone/remove", map[string]string{"proof": b.freshProof()}); w.Code != http.StatusOK {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	if p.pool.phones.numbers[annaSub] != "" || strings.Contains(b.get("/auth/account").Body.String(), "5678") {
		t.Error("the number is still there")
	}
	if got := strings.Join(p.told, ", "); got != annaSub+" phone changed 78, "+annaSub+" phone removed " {
		t.Errorf("told by mail: %q", got)
	}
}

// Attack: somebody with a stolen session adds a phone of their own, and passes the step-up by SMS.
func TestNewPhonePassesNoStepUp(t *testing.T) {
	p := newPortal(t, withSMS)
	b := p.browser()
	s := b.signInByLink(anna)
	address := b.stepUpURL(s, session.SMS)
	if w := b.enterPhone("+4915112345678", b.freshProof()); w.Code != http.StatusOK {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	if w := b.verifyPhone(p.lastText().code); w.Code != http.StatusOK {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	for _, wait := range []time.Duration{0, newPhone - time.Second} {
		p.clock.Advance(wait)
		w := b.get(address)
		if strings.Contains(w.Body.String(), "send-code") {
			t.Error("the new number is offered")
		}
		p.wantError(b.call("/auth/step-up/sms/send", map[string]string{"flow": b.found(w, dataField("flow"))}), http.StatusForbidden, "invalid")
	}
	p.clock.Advance(2 * time.Second)
	if !strings.Contains(b.get(address).Body.String(), "send-code") {
		t.Error("the number never counts")
	}
}

// Attack: a stolen session changes or removes the number without any proof, with one that was given for something else, or twice.
func TestPhoneNeedsAProof(t *testing.T) {
	p := newPortal(t, withSMS)
	b, _, device := p.annaWithPasskey()
	p.pool.hasPhone(annaSub, "+4915112345678")
	refused := func(w *httptest.ResponseRecorder) {
		t.Helper()
		p.wantError(w, http.StatusForbidden, "reauthentication_required")
	}
	refused(b.call("/auth/phone", map[string]string{"phone": "+4915199999999"}))
	refused(b.call("/auth/phone/remove", map[string]string{}))
	prove := func(purpose string) string {
		t.Helper()
		var asked struct {
			PublicKey passkey.RequestOptions
			State     string
			Fresh     bool
		}
		p.decode(b.call("/auth/reauthenticate/options", map[string]string{"purpose": purpose}), http.StatusOK, &asked)
		if asked.Fresh {
			t.Fatal("who has a passkey was let off without")
		}
		var given struct{ Proof string }
		p.decode(b.call("/auth/reauthenticate", map[string]any{"state": asked.State, "answer": device.Get(t, asked.PublicKey)}), http.StatusOK, &given)
		return given.Proof
	}
	refused(b.enterPhone("+4915199999999", prove(proofAdd)))
	good := prove(proofPhone)
	if w := b.enterPhone("+4915188888888", good); w.Code != http.StatusOK {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	refused(b.enterPhone("+4915199999999", good))
	if p.pool.phones.numbers[annaSub] != "+4915188888888" || p.pool.phones.verified[annaSub] {
		t.Errorf("the number is %s, verified %t", p.pool.phones.numbers[annaSub], p.pool.phones.verified[annaSub])
	}

	stale := p.browser()
	stale.signInByLink(bob)
	stale.later()
	refused(stale.call("/auth/reauthenticate/options", map[string]string{"purpose": proofPhone}))
}

// Attack: messages to a number without end: from one account, or from many to one number.
func TestPhoneIsNoMessagePump(t *testing.T) {
	p := newPortal(t, withSMS)
	b := p.browser()
	b.signInByLink(anna)
	if w := b.enterPhone("+4915112345678", b.freshProof()); w.Code != http.StatusOK {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	limited := 0
	for range 20 {
		if w := b.call("/auth/phone/resend", map[string]string{}); w.Code == http.StatusTooManyRequests && w.Header().Get("Retry-After") != "" {
			limited++
		}
	}
	other := p.browser()
	other.address = "203.0.113.9"
	other.signInByLink(bob)
	p.wantError(other.enterPhone("+4915112345678", other.freshProof()), http.StatusTooManyRequests, "too_many")
	if n := len(p.pool.phones.texts); limited == 0 || n > 4 {
		t.Errorf("%d messages to one number", n)
	}
	// Messages cost money: the operator sees each.
	asked, refused := p.logs.FilterMessage("code_requested").Len(), p.logs.FilterMessage("code_refused").Len()
	if asked != len(p.pool.phones.texts)-1 || refused != limited+1 {
		t.Errorf("the audit log has %d messages after the first and %d refusals", asked, refused)
	}
}

// Attack: a code is guessed until the number of somebody else counts as verified.
func TestPhoneCodesCannotBeGuessed(t *testing.T) {
	p := newPortal(t, withSMS)
	b := p.browser()
	b.signInByLink(anna)
	if w := b.enterPhone("+4915112345678", b.freshProof()); w.Code != http.StatusOK {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	tries := 0
	for range 100 {
		if w := b.verifyPhone("000000"); w.Code == http.StatusForbidden {
			tries++
		}
	}
	if tries == 0 || tries > 12 {
		t.Errorf("%d guesses", tries)
	}
	if n := p.logs.FilterMessage("phone_verification_failed").Len(); n != 100 {
		t.Errorf("the audit log has %d of 100 attempts", n)
	}
}

func TestPhoneWhereSMSIsOff(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	b.signInByLink(anna)
	if strings.Contains(b.get("/auth/account").Body.String(), "phone-section") {
		t.Error("the account page asks for a phone number")
	}
	for _, address := range []string{"/auth/phone", "/auth/phone/resend", "/auth/phone/verify", "/auth/phone/remove"} {
		p.wantError(b.call(address, map[string]string{}), http.StatusNotFound, "not_found")
		p.wantError(p.browser().call(address, map[string]string{}), http.StatusUnauthorized, "expired_flow")
	}
}

func TestParsePhone(t *testing.T) {
	for typed, want := range map[string]string{
		"+4915112345678": "+4915112345678", " +49 (0151) 1234-5678": "+49015112345678", "0049.151/12345678": "+4915112345678",
		"015112345678": "", "+0151123456": "", "+49": "", "+1234567890123456": "", "+49151abc45678": "", "": "", "+": "", "+４９１５１１２３４": "",
	} {
		if number, ok := parsePhone(typed); ok != (want != "") || number != want {
			t.Errorf("%q reads as %q, %t", typed, number, ok)
		}
	}
}

func FuzzParsePhone(f *testing.F) {
	f.Add("+49 151 12345678")
	f.Fuzz(func(t *testing.T, typed string) {
		number, ok := parsePhone(typed)
		if ok != (number != "") {
			t.Fatalf("%q: %q, %t", typed, number, ok)
		}
		if again, same := parsePhone(number); ok && (!same || again != number || len(number) > 16) {
			t.Errorf("%q reads as %q, and that as %q", typed, number, again)
		}
	})
}

// Attack: a number of a country where messages cost a fortune, added and verified before the operator listed countries, too.
func TestPhoneOfAnotherCountry(t *testing.T) {
	p := newPortal(t, withSMS, func(r *Realm, _ *Portal) { r.SMSCallingCodes = []string{"+49", "+1"} })
	b := p.browser()
	b.signInByLink(anna)
	for number, status := range map[string]int{"+4915112345678": http.StatusOK, "+88212345678": http.StatusUnprocessableEntity, "+4415112345678": http.StatusUnprocessableEntity} {
		if w := b.enterPhone(number, b.freshProof()); w.Code != status {
			t.Errorf("%s: %d %s", number, w.Code, w.Body)
		}
	}
	if err := (&Realm{SMSCallingCodes: []string{"49"}}).parseSession(); err == nil || !strings.Contains(err.Error(), "write it as +49") {
		t.Errorf("got %v", err)
	}
}
