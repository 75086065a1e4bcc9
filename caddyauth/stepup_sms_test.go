package caddyauth

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
)

func withSMS(r *Realm, _ *Portal) { r.SMSStepUp = true }

// annaWithPhone is signed in since a while, and has a number.
func annaWithPhone(t *testing.T) (*browser, session.Session) {
	t.Helper()
	p := newPortal(t, withSMS)
	p.pool.hasPhone(annaSub, "+4915112345678")
	b := p.browser()
	s := b.signInByLink(anna)
	b.later()
	return b, s
}

// sentState is what the page's script learns of a code that is on its way.
type sentState struct {
	State, Phone string
	ResendAfter  int
}

func (b *browser) sendCode(flow string) (sent sentState, code string) {
	b.Helper()
	b.decode(b.call("/auth/step-up/sms/send", map[string]string{"flow": flow}), http.StatusOK, &sent)
	return sent, b.pool.phones.texts[len(b.pool.phones.texts)-1].code
}

func (b *browser) typeCode(flow, state, code string) *httptest.ResponseRecorder {
	b.Helper()
	return b.call("/auth/step-up/sms", map[string]string{"flow": flow, "state": state, "code": code, "fragment": "#q3"})
}

func TestCodeBySMSStepsUp(t *testing.T) {
	b, before := annaWithPhone(t)
	flow := b.stepUpPage(b.stepUpURL(before, session.Passkey, session.SMS))
	sent, code := b.sendCode(flow)
	if !strings.HasSuffix(sent.Phone, "5678") || strings.Contains(sent.Phone, "1511") || sent.ResendAfter != 60 {
		t.Errorf("the page learns %+v", sent)
	}
	var wrong struct{ Error, State string }
	b.decode(b.typeCode(flow, sent.State, "000000"), http.StatusForbidden, &wrong)
	if wrong.Error != "code_wrong" || wrong.State == "" {
		t.Fatalf("a slip of the finger: %+v", wrong)
	}
	var done struct{ Location string }
	b.decode(b.typeCode(flow, wrong.State, code[:3]+" "+code[3:]), http.StatusOK, &done)
	after, _ := b.session()
	if after.ID != before.ID || !after.Factors.At(session.SMS).Equal(b.clock.Now().UTC().Truncate(time.Millisecond)) {
		t.Errorf("stepped up to %+v", after)
	}
	if taken := b.handedOff(done.Location); taken.Location != "/admin?tab=2#q3" {
		t.Errorf("leads to %q", taken.Location)
	}
	for _, entry := range b.logs.All() {
		if text := entry.Message + " " + strings.Join(fieldTexts(entry.Context), " "); strings.Contains(text, code) || strings.Contains(text, "5678") {
			t.Errorf("the log tells the code or the number: %s", text)
		}
	}
}

// Nobody without a verified number, and no realm without the option, is offered a code.
func TestCodeBySMSNeedsAVerifiedNumber(t *testing.T) {
	b, s := annaWithPhone(t)
	b.pool.phones.verified[annaSub] = false
	w := b.get(b.stepUpURL(s, session.SMS))
	if strings.Contains(w.Body.String(), "send-code") || !strings.Contains(w.Body.String(), "send-link") {
		t.Error("an unverified number is offered, or nothing instead")
	}
	b.wantError(b.call("/auth/step-up/sms/send", map[string]string{"flow": b.found(w, dataField("flow"))}), http.StatusForbidden, "invalid")

	b.pool.phones.verified[annaSub] = true
	b.rt.config.SMSStepUp = false
	if strings.Contains(b.get(b.stepUpURL(s, session.SMS)).Body.String(), "send-code") {
		t.Error("sms_step_up is off")
	}
	if len(b.pool.phones.texts) != 0 {
		t.Error("a message went out")
	}
}

// Attack: the guard asks for a passkey, and the client answers by SMS.
func TestCodeBySMSDoesNotReplaceAPasskey(t *testing.T) {
	b, s := annaWithPhone(t)
	allowed := b.stepUpPage(b.stepUpURL(s, session.SMS))
	sent, code := b.sendCode(allowed)
	strict := b.stepUpPage(b.stepUpURL(s, session.Passkey))
	b.wantError(b.call("/auth/step-up/sms/send", map[string]string{"flow": strict}), http.StatusForbidden, "invalid")
	b.wantError(b.typeCode(strict, sent.State, code), http.StatusForbidden, "invalid")
	if after, _ := b.session(); !after.Factors.At(session.SMS).IsZero() {
		t.Error("the code counted")
	}
}

// Attack: a code is typed in another tab than the one that asked, in another session of the same person, or by somebody else.
func TestCodeBySMSInTheWrongPlace(t *testing.T) {
	b, s := annaWithPhone(t)
	one, two := b.stepUpPage(b.stepUpURL(s, session.SMS)), b.stepUpPage(b.stepUpURL(s, session.SMS))
	sent, code := b.sendCode(one)
	b.wantError(b.typeCode(two, sent.State, code), http.StatusForbidden, "code_spent")
	b.wantError(b.typeCode(one, "forged", code), http.StatusForbidden, "code_spent")

	thief := b.browser()
	thief.signInByLink(anna)
	thief.cookies[b.rt.browserCookie.Name] = b.cookies[b.rt.browserCookie.Name]
	b.wantError(thief.typeCode(one, sent.State, code), http.StatusForbidden, "step_up_other")
	mallory := b.browser()
	mallory.signInByLink(bob)
	mallory.cookies[b.rt.browserCookie.Name] = b.cookies[b.rt.browserCookie.Name]
	b.wantError(mallory.typeCode(one, sent.State, code), http.StatusForbidden, "step_up_other")

	if w := b.typeCode(one, sent.State, code); w.Code != http.StatusOK {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	b.wantError(b.typeCode(one, sent.State, code), http.StatusForbidden, "code_spent")
}

// Attack: a code is guessed, three tries at a time, with new codes in between.
func TestCodesCannotBeGuessedOverSessions(t *testing.T) {
	b, s := annaWithPhone(t)
	tries, limited := 0, false
	for round := 0; round < 20 && !limited; round++ {
		flow := b.stepUpPage(b.stepUpURL(s, session.SMS))
		w := b.call("/auth/step-up/sms/send", map[string]string{"flow": flow})
		if w.Code == http.StatusTooManyRequests {
			limited = true
			break
		}
		var sent sentState
		b.decode(w, http.StatusOK, &sent)
		state, spent := sent.State, false
		for range codeTries {
			w := b.typeCode(flow, state, "000000")
			if limited = w.Code == http.StatusTooManyRequests; limited {
				break
			}
			var wrong struct{ Error, State string }
			b.decode(w, http.StatusForbidden, &wrong)
			tries++
			state, spent = wrong.State, wrong.Error == "code_spent"
		}
		if !limited && !spent {
			t.Error("a code may be tried more than three times")
		}
	}
	if !limited || tries > 12 {
		t.Errorf("%d guesses in a row", tries)
	}
}

// Attack: messages are sent without end, to cost money or to annoy.
func TestSMSPumping(t *testing.T) {
	b, s := annaWithPhone(t)
	flow := b.stepUpPage(b.stepUpURL(s, session.SMS))
	for range 50 {
		w := b.call("/auth/step-up/sms/send", map[string]string{"flow": flow})
		if w.Code == http.StatusOK {
			continue
		}
		b.wantError(w, http.StatusTooManyRequests, "too_many")
		if wait, err := strconv.Atoi(w.Header().Get("Retry-After")); err != nil || wait < 1 || wait > 300 {
			t.Errorf("Retry-After: %q", w.Header().Get("Retry-After"))
		}
	}
	if n := len(b.pool.phones.texts); n == 0 || n > 4 {
		t.Errorf("%d messages", n)
	}
	// Passkeys and links are not held up by it.
	if w := b.get(b.stepUpURL(s, session.MagicLink)); w.Code != http.StatusOK {
		t.Errorf("got %d", w.Code)
	}
}

func TestParseCode(t *testing.T) {
	for typed, want := range map[string]string{
		"123456": "123456", " 123 456 ": "123456", "12-34-56": "123456", "123\u00a0456": "123456",
		"": "", "123": "", "12345678901": "", "12345a": "", "１２３４５６": "", strings.Repeat(" ", 100) + "123456": "",
	} {
		if code, ok := parseCode(typed); ok != (want != "") || ok && code != want {
			t.Errorf("%q reads as %q, %t", typed, code, ok)
		}
	}
}

func FuzzParseCode(f *testing.F) {
	f.Add("123 456")
	f.Fuzz(func(t *testing.T, typed string) {
		if code, ok := parseCode(typed); ok && (len(code) < 4 || len(code) > 10 || strings.Trim(code, "0123456789") != "") {
			t.Errorf("%q reads as %q", typed, code)
		}
	})
}
