package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/e2e/engines"
)

// A stranger asks for a page of the application, gets a link by mail, comes back to the page, and signs out; the link works once.
func TestEnginesSignInByLink(t *testing.T) {
	t.Parallel()
	inEngines(t, func(t *testing.T, engine string) {
		d := deploy(t)
		p := sit(t, engine, engines.Options{})
		target := d.app + "/reports?year=2026#q3"
		p.open(target)
		link := p.signInByLink(d, anna, target)
		p.greets(anna, "/reports?year=2026", "#q3")

		p.click("#sign-out")
		p.arriveBelow(d.portal + "/auth/sign-out")
		p.click("#sign-out")
		p.arriveBelow(d.portal + "/auth/signed-out")
		p.open(target)
		p.arriveBelow(d.portal + "/auth/sign-in")

		p.open(link)
		p.click("#continue")
		p.until("document.querySelector('#notice')?.textContent.includes('works once')")
		p.open(target)
		p.arriveBelow(d.portal + "/auth/sign-in")
	})
}

// The code of the mail is typed where the link was asked for, wrong at first.
func TestEnginesSignInByCode(t *testing.T) {
	t.Parallel()
	inEngines(t, func(t *testing.T, engine string) {
		d := deploy(t, "\t\tmagic_link\n", "\t\tmagic_link {\n\t\t\tcode\n\t\t}\n")
		p := sit(t, engine, engines.Options{})
		target := d.app + "/?tab=2#q3"
		p.open(target)
		p.asksForLink(d, anna)
		code := mailedCodePattern.FindString(d.messages(t, anna)[0].Text)
		if code == "" {
			t.Fatalf("no code in %s", d.messages(t, anna)[0].Text)
		}
		wrong := "2222 2222"
		if code == wrong {
			wrong = "3333 3333"
		}
		p.fill("#code", wrong)
		p.click("#verify-code")
		p.until("document.querySelector('#notice').className.includes('error')")
		p.fill("#code", code)
		p.click("#verify-code")
		p.arrive(target)
		p.greets(anna, "/?tab=2", "#q3")
	})
}

// Somebody who is signed in at the portal comes to an application's host without cookies: the handoff asks nothing. Then the link opens in another
// browser of the same engine, which names the account first, and the browser that asked stays signed out.
func TestEnginesHandoff(t *testing.T) {
	t.Parallel()
	inEngines(t, func(t *testing.T, engine string) {
		d := deploy(t)
		asking, reading := sit(t, engine, engines.Options{}), sit(t, engine, engines.Options{})
		target := d.app + "/reports?year=2026#q3"
		asking.open(target)
		link := asking.asksForLink(d, anna)
		reading.open(link)
		reading.see("#continue")
		if text := reading.text("main"); !strings.Contains(text, anna) {
			t.Errorf("the page of the link does not name the account:\n%s", text)
		}
		reading.click("#continue")
		reading.arrive(target)
		reading.greets(anna, "/reports?year=2026", "#q3")

		reading.forgetCookies() // those of the application's host
		reading.open(d.app + "/orders?tab=2#x")
		reading.arrive(d.app + "/orders?tab=2#x")
		reading.greets(anna, "/orders?tab=2", "#x")

		asking.until("document.querySelector('#notice').textContent.includes('used in another browser')")
		asking.open(target)
		asking.arriveBelow(d.portal + "/auth/sign-in")
	})
}

// A form waits for a step-up by a fresh link and is sent again when the person says so; the page that needs the same is open then.
func TestEnginesStepUpByLinkAndSendAgain(t *testing.T) {
	t.Parallel()
	inEngines(t, func(t *testing.T, engine string) {
		d := deployLinkStepUp(t)
		p := sit(t, engine, engines.Options{})
		p.open(d.app + "/orders")
		p.signInByLink(d, anna, d.app+"/orders")
		p.open(d.app + "/reports?year=2026#q3")
		p.arriveBelow(d.portal + "/auth/step-up")
		p.open(d.app + "/orders")
		p.fill("[name=article]", "tea & ä")
		p.click("#order-now")
		p.arriveBelow(d.portal + "/auth/step-up")
		p.open(p.asksForStepUpLink(d, anna))
		p.click("#continue")
		p.click("#send-again")
		p.see("#received")
		if got := p.text("#received tr[data-name=article] td"); got != "tea & ä" {
			t.Errorf("the application got %q", got)
		}
		p.greets(anna, "/orders?kind=express", "#sent")
		p.open(d.app + "/reports?year=2026#q3")
		p.arrive(d.app + "/reports?year=2026#q3")
		p.greets(anna, "/reports?year=2026", "#q3")
	})
}

// deployLinkStepUp is the example with pages and forms for which a person without phone needs a fresh link.
func deployLinkStepUp(t *testing.T) *deployment {
	t.Helper()
	return deploy(t,
		"\t\tmagic_link\n", "\t\tmagic_link\n\t\tsms_step_up\n\t\tlimits {\n\t\t\tmails {\n\t\t\t\taccount off\n\t\t\t}\n\t\t}\n",
		"\tpasswordless_guard\n", `	passwordless_guard /reports* {
		step_up 5m sms
	}
	passwordless_guard /orders* {
		step_up 5m sms {
			methods POST
		}
	}
	passwordless_guard
`)
}

// asksForStepUpLink asks on the step-up page, and by the refusal's "Try again", until the minute is over within which the pool writes to nobody twice.
func (p *person) asksForStepUpLink(d *deployment, email string) string {
	p.t.Helper()
	known := len(d.messages(p.t, email))
	late := time.After(2 * time.Minute)
	for retry := time.NewTicker(3 * time.Second); ; {
		p.click("#send-link")
		p.until("location.pathname.endsWith('/check-mail') || " + usable("#action"))
		if strings.Contains(p.location(), "/check-mail") {
			retry.Stop()
			return d.link(p.t, email, known)
		}
		select {
		case <-late:
			p.t.Fatal("the link is refused for longer than a minute")
		case <-retry.C:
			p.click("#action")
		}
	}
}

// The account page: a phone is added, which steps up later; passkeys are offered where the browser has them.
func TestEnginesAccount(t *testing.T) {
	t.Parallel()
	inEngines(t, func(t *testing.T, engine string) {
		d := deployStepUp(t)
		p := sit(t, engine, engines.Options{})
		p.open(d.app + "/")
		p.signInByLink(d, anna, d.app+"/")
		p.click("#account")
		p.arrive(d.portal + "/auth/account")
		p.click("#change-phone")
		p.fill("#phone", annasPhone)
		p.click("#phone-send")
		p.fill("#phone-code", d.code(t, annasPhone, 0))
		p.click("#phone-verify")
		p.arriveBelow(d.portal + "/auth/account?notice=phone_verified")

		d.later(t)
		p.open(d.app + "/reports?year=2026#q3")
		p.arriveBelow(d.portal + "/auth/step-up")
		known := len(d.messages(t, annasPhone))
		p.click("#send-code")
		p.fill("#code", d.code(t, annasPhone, known))
		p.click("#verify-code")
		p.arrive(d.app + "/reports?year=2026#q3")
		p.greets(anna, "/reports?year=2026", "#q3")

		p.open(d.portal + "/auth/account")
		p.see("#change-phone")
		if shown, able := valueOf[bool](p, usable("#add-passkey")), valueOf[bool](p, "!!window.PublicKeyCredential"); shown != able {
			t.Errorf("adding a passkey is offered: %t; the browser has passkeys: %t", shown, able)
		}
		if device, has := p.browser.(engines.Authenticator); has {
			p.signInByPasskey(d, device)
		}
	})
}

// signInByPasskey adds a passkey on the account page, signs out, and signs in with it.
func (p *person) signInByPasskey(d *deployment, device engines.Authenticator) {
	p.t.Helper()
	if err := device.AddAuthenticator(p.ctx); err != nil {
		p.t.Fatal(err)
	}
	p.click("#add-passkey")
	p.see(".passkey[data-id]")
	p.click("#sign-out")
	p.arriveBelow(d.portal + "/auth/signed-out")
	p.open(d.app + "/orders#x")
	p.until("location.href === '" + d.app + "/orders#x' || " + usable("#passkey-button")) // autofill may be as fast as the button
	p.arrive(d.app + "/orders#x")
	p.greets(anna, "/orders", "#x")
}
