package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// signInWithPasskey signs in by link, which is no step-up by passkey, and adds one.
func (d *deployment) signInWithPasskey(b *tab) *authenticator {
	b.t.Helper()
	b.withoutAutofill()
	b.open(d.app + "/")
	d.signInByLink(b, anna, d.app+"/")
	device := attach(b)
	b.open(d.portal + "/auth/account")
	b.click("#add-passkey")
	b.see(".passkey[data-id]")
	return device
}

// The application itself asks for a passkey, one in front of which nobody stands the first time: back to the very page, which the application
// now shows.
func TestUpstreamStepUpByPasskey(t *testing.T) {
	t.Parallel()
	d, folder := deploy(t), album(t)
	b := browse(t)
	device := d.signInWithPasskey(b)

	target := d.app + "/salary?year=2026&name=a%2Fb#q3"
	b.open(target)
	b.arriveBelow(d.portal + "/auth/step-up")
	b.see("#passkey-button")
	b.picture(folder, "step-up-upstream")
	if ask[bool](b, "!!document.querySelector('#send-link, #send-code')") {
		t.Error("less than a passkey is offered")
	}
	device.verifies(false)
	b.click("#passkey-button")
	b.noticed()
	device.verifies(true)
	b.click("#passkey-button")
	b.arrive(target)
	b.greets(anna, "/salary?year=2026&name=a%2Fb", "#q3")
	if title := b.text("h1"); title != "Salary" {
		t.Errorf("the application shows %q", title)
	}

	// It stays open for a while, and "back" leads into no circle.
	b.open(target + "-again")
	b.arrive(target + "-again")
	b.open(d.app + "/salary")
	b.arrive(d.app + "/salary")
	ask[bool](b, "history.back() || true")
	b.arrive(target + "-again")
}

// A form is sent to a page for which the application then asks for a passkey: it waits, and arrives once, when the person says so.
func TestFormOutlivesAStepUpOfTheUpstream(t *testing.T) {
	t.Parallel()
	d, folder := deploy(t, "\tpasswordless_guard /salary/account {", "\tpasswordless_guard /elsewhere {"), album(t) // only the application asks
	b := browse(t)
	d.signInWithPasskey(b)

	b.open(d.app + "/salary/account?why=moved")
	b.fill("[name=account]", "DE00 1234 & ä")
	b.click("#change-account")
	b.arriveBelow(d.portal + "/auth/step-up")
	b.click("#passkey-button")
	b.see("#send-again")
	b.picture(folder, "send-again-upstream")
	b.click("#send-again")
	b.see("#received")
	if got := received(b, "account"); got != "DE00 1234 & ä" {
		t.Errorf("the application got %q", got)
	}
	b.greets(anna, "/salary/account?from=form", "#sent")
	if fields := ask[int](b, "document.querySelectorAll('#received tr').length"); fields != 1 {
		t.Errorf("it got %d fields", fields)
	}
}

// A script is told what is asked for and where the person can do it, and is sent nowhere.
func TestScriptLearnsOfTheUpstreamsStepUp(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	b := browse(t)
	d.signInWithPasskey(b)
	b.open(d.app + "/")
	type answer struct {
		Status                int
		Redirected            bool
		Challenge, Error, URL string
	}
	fetched := func() answer {
		return ask[answer](b, `(async () => {
			const response = await fetch('/salary?year=2026');
			const body = response.ok ? {} : await response.json();
			return { Status: response.status, Redirected: response.redirected, Challenge: response.headers.get('WWW-Authenticate') ?? '',
				Error: body.error ?? '', URL: body.step_up_url ?? '' };
		})()`)
	}
	asked := fetched()
	if asked.Status != http.StatusUnauthorized || asked.Redirected || asked.Error != "insufficient_user_authentication" ||
		!strings.Contains(asked.Challenge, `acr_values="passkey"`) || !strings.Contains(asked.Challenge, `max_age="300"`) {
		t.Errorf("the script gets %+v", asked)
	}
	if at := b.location(); at != d.app+"/" {
		t.Errorf("the page went to %s", at)
	}
	if u, err := url.Parse(asked.URL); err != nil || !strings.HasPrefix(asked.URL, d.portal+"/auth/step-up?") || u.Query().Get("flow") == "" {
		t.Fatalf("the step-up is at %q", asked.URL)
	}
	b.open(asked.URL)
	b.click("#passkey-button")
	b.arrive(d.app + "/")
	if done := fetched(); done.Status != http.StatusOK || done.Challenge != "" {
		t.Errorf("after the step-up the script gets %+v", done)
	}
}

// The application asks for one factor here and for another there, and knows of the last one alone, as tokens do: each page is a step-up away.
func TestUpstreamAsksForFactorsInTurn(t *testing.T) {
	t.Parallel()
	d := deploy(t, "\t\tmagic_link\n", "\t\tmagic_link\n\t\tsms_step_up\n")
	b := browse(t)
	d.signInWithPasskey(b)
	b.open(d.portal + "/auth/account")
	b.click("#change-phone")
	b.fill("#phone", annasPhone)
	b.click("#phone-send")
	b.fill("#phone-code", d.code(t, annasPhone, 0))
	b.click("#phone-verify")
	b.arriveBelow(d.portal + "/auth/account?notice=phone_verified")
	d.later(t)

	slip, salary := d.app+"/salary/slip?month=5#net", d.app+"/salary?year=2026#q3"
	b.open(salary)
	b.click("#passkey-button")
	b.arrive(salary)
	b.greets(anna, "/salary?year=2026", "#q3")

	b.open(slip)
	b.arriveBelow(d.portal + "/auth/step-up")
	b.see("#send-code")
	if ask[bool](b, "!!document.querySelector('#passkey-button, #send-link')") {
		t.Error("another factor than the one asked for is offered")
	}
	known := len(d.messages(t, annasPhone))
	b.click("#send-code")
	b.see("#code")
	b.fill("#code", d.code(t, annasPhone, known))
	b.click("#verify-code")
	b.arrive(slip)
	b.greets(anna, "/salary/slip?month=5", "#net")

	b.open(salary)
	b.click("#passkey-button")
	b.arrive(salary)
	b.greets(anna, "/salary?year=2026", "#q3")
}

// An application that is never content, for nobody tells it of the step-up: the person is asked once and then reads its answer, instead of
// going round in circles.
func TestUpstreamThatAsksForEver(t *testing.T) {
	t.Parallel()
	d := deploy(t, "\t\tupstream_bearer id\n", "")
	b := browse(t)
	d.signInWithPasskey(b)
	target := d.app + "/salary?year=2026#q3"
	b.open(target)
	b.click("#passkey-button")
	for range 2 {
		b.arrive(target)
		b.see("#asked")
		b.greets(anna, "/salary?year=2026", "#q3")
		b.open(target)
	}
	status := ask[int](b, "fetch('/salary').then((response) => response.status)")
	if kind := ask[string](b, "fetch('/salary').then((response) => response.headers.get('Content-Type'))"); status != http.StatusUnauthorized ||
		!strings.HasPrefix(kind, "text/html") {
		t.Errorf("a script gets %d %s instead of the application's answer", status, kind)
	}
}
