package e2e

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

const annasPhone = "+4915112345678"

// deployStepUp is the example with paths that need a fresh factor.
func deployStepUp(t *testing.T) *deployment {
	t.Helper()
	return deploy(t,
		"\t\tmagic_link\n", "\t\tmagic_link\n\t\tsms_step_up\n",
		"\tpasswordless_guard\n", `	passwordless_guard /admin* {
		step_up 5m passkey
	}
	passwordless_guard /reports* {
		step_up 5m sms
	}
	passwordless_guard
`)
}

// album is where pictures go.
func album(t *testing.T) string {
	t.Helper()
	if *screens != "" {
		return *screens
	}
	return t.TempDir()
}

var codePattern = regexp.MustCompile(`\b\d{6}\b`)

// code waits for the SMS to a number that follows the first `known` ones.
func (d *deployment) code(t *testing.T, to string, known int) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var found string
	eventually(ctx, func() bool {
		texts := d.messages(t, to)
		if len(texts) <= known {
			return false
		}
		found = codePattern.FindString(texts[0].Text)
		return found != ""
	}, func() { t.Fatalf("no code came to %s: %+v", to, d.messages(t, to)) })
	return found
}

// later lets the server forget what it notes for minutes only, as if these had passed.
func (d *deployment) later(t *testing.T) {
	t.Helper()
	notes := filepath.Join(filepath.Dir(d.caddyfile), "data", "caddy", "passwordless", "default", "sessions", "once")
	if _, err := os.Stat(notes); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(notes); err != nil {
		t.Fatal(err)
	}
}

// A guard asks for a passkey: back to the very page, with query and fragment.
func TestStepUpByPasskey(t *testing.T) {
	t.Parallel()
	d, folder := deployStepUp(t), album(t)
	b := browse(t)
	b.withoutAutofill()
	b.open(d.app + "/")
	d.signInByLink(b, anna, d.app+"/")
	device := attach(b)
	b.open(d.portal + "/auth/account")
	b.click("#add-passkey")
	b.see(".passkey[data-id]")

	b.open(d.app + "/admin?tab=2#q3")
	b.arriveBelow(d.portal + "/auth/step-up")
	b.see("#passkey-button")
	b.picture(folder, "step-up-passkey")
	if ask[bool](b, "!!document.querySelector('#send-link, #send-code')") {
		t.Error("less than a passkey is offered")
	}
	device.verifies(false)
	b.click("#passkey-button")
	b.noticed()
	device.verifies(true)
	b.click("#passkey-button")
	b.arrive(d.app + "/admin?tab=2#q3")
	b.greets(anna, "/admin?tab=2", "#q3")
	b.open(d.app + "/admin?tab=3")
	b.arrive(d.app + "/admin?tab=3")
}

// Who has nothing of what is asked for is offered a fresh link.
func TestStepUpOffersAFreshLink(t *testing.T) {
	t.Parallel()
	d, folder := deployStepUp(t), album(t)
	b := browse(t)
	b.withoutAutofill()
	b.open(d.app + "/")
	d.signInByLink(b, anna, d.app+"/")
	b.open(d.app + "/reports?year=2026#q3")
	b.arriveBelow(d.portal + "/auth/step-up")
	b.see("#instead")
	b.picture(folder, "step-up-link")
	// The pool writes once a minute at most, and this person has had a link to sign in: here they may know. On a slow machine the minute is over.
	b.click("#send-link")
	b.until("document.body.textContent.includes('too many') || location.pathname.endsWith('/check-mail')")
	want := 1
	if ask[bool](b, "location.pathname.endsWith('/check-mail')") {
		want = 2
	} else {
		b.picture(folder, "step-up-link-too-soon")
	}
	if mails := len(d.messages(t, anna)); mails != want {
		t.Errorf("%d mails, want %d", mails, want)
	}
}

// A phone number is added, verified, and used: not at once, for a thief of the session could have added it.
func TestStepUpBySMS(t *testing.T) {
	t.Parallel()
	d, folder := deployStepUp(t), album(t)
	b := browse(t)
	b.withoutAutofill()
	b.open(d.app + "/")
	d.signInByLink(b, anna, d.app+"/")

	b.open(d.portal + "/auth/account")
	b.click("#change-phone")
	b.fill("#phone", "0151 12345678")
	b.click("#phone-send")
	b.noticed()
	b.picture(folder, "phone-form")
	b.fill("#phone", "+49 (151) 123-45678")
	b.click("#phone-send")
	b.see("#phone-code")
	b.picture(folder, "phone-code")
	b.fill("#phone-code", d.code(t, annasPhone, 0))
	b.click("#phone-verify")
	b.arriveBelow(d.portal + "/auth/account?notice=phone_verified")
	b.picture(folder, "account-phone")

	b.open(d.app + "/reports")
	b.arriveBelow(d.portal + "/auth/step-up")
	if ask[bool](b, "!!document.querySelector('#send-code')") {
		t.Error("a number of a moment ago is offered")
	}

	d.later(t)
	b.open(d.app + "/reports?year=2026#q3")
	b.arriveBelow(d.portal + "/auth/step-up")
	b.see("#send-code")
	b.picture(folder, "step-up-sms")
	known := len(d.messages(t, annasPhone))
	b.click("#send-code")
	b.see("#code")
	code := d.code(t, annasPhone, known)
	wrong := "000000"
	if code == wrong {
		wrong = "111111"
	}
	b.fill("#code", wrong)
	b.click("#verify-code")
	b.until("document.querySelector('#notice').className.includes('error')")
	b.picture(folder, "step-up-code")
	b.fill("#code", code[:3]+" "+code[3:])
	b.click("#verify-code")
	b.arrive(d.app + "/reports?year=2026#q3")
	b.greets(anna, "/reports?year=2026", "#q3")

	b.open(d.portal + "/auth/account")
	b.click("#remove-phone")
	b.arriveBelow(d.portal + "/auth/account?notice=phone_removed")
}
