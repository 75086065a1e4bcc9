package e2e

import (
	"encoding/base64"
	"reflect"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// heard is what a page told the password manager (WebAuthn Level 3, section 5.1.10).
type heard struct {
	Signal                   string   `json:"signal"`
	RPID                     string   `json:"rpId"`
	CredentialID             string   `json:"credentialId"`
	UserID                   string   `json:"userId"`
	AllAcceptedCredentialIDs []string `json:"allAcceptedCredentialIds"`
	Name                     string   `json:"name"`
	DisplayName              string   `json:"displayName"`
}

// script runs in the following pages before their own.
func (b *tab) script(source string) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: source})
	if err != nil {
		b.t.Fatal(err)
	}
}

// listen puts a password manager that only notes what it is told in the place of the browser's. It believes nothing, so passkeys stay.
func (b *tab) listen() {
	b.t.Helper()
	b.script(`window.heard = [];
		for (const signal of ["signalUnknownCredential", "signalAllAcceptedCredentials", "signalCurrentUserDetails"])
			PublicKeyCredential[signal] = async (details) => { heard.push({ signal, ...details }); throw new TypeError("a provider that knows nobody"); };`)
}

// signals are those since the last call, after one of that name has come.
func (b *tab) signals(name string) []heard {
	b.t.Helper()
	b.until("heard.some((h) => h.signal === " + quote(name) + ")")
	return ask[[]heard](b, "heard.splice(0)")
}

func accepted(ids ...string) func(heard) bool {
	return func(h heard) bool {
		return h.Signal == "signalAllAcceptedCredentials" && h.RPID == "localhost" && h.AllAcceptedCredentialIDs != nil &&
			slices.Equal(h.AllAcceptedCredentialIDs, ids) && h.UserID != ""
	}
}

// The password manager learns of every change at once: what is accepted, what is gone, and what the person is called.
func TestPasswordManagerIsTold(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	b := browse(t)
	b.listen()
	b.withoutAutofill()
	device := attach(b)
	b.open(d.app + "/")
	d.signInByLink(b, anna, d.app+"/")

	b.open(d.portal + "/auth/account")
	got := b.signals("signalCurrentUserDetails")
	i := slices.IndexFunc(got, func(h heard) bool { return h.Signal == "signalCurrentUserDetails" })
	if me := got[i]; me.RPID != "localhost" || me.Name != anna || me.DisplayName != anna || me.UserID == "" {
		t.Errorf("told of the person: %+v", me)
	}
	if !slices.ContainsFunc(got, accepted()) {
		t.Errorf("with no passkey yet the page tells %+v", got)
	}
	user := got[i].UserID

	b.click("#add-passkey")
	b.see(".passkey[data-id]")
	id := ask[string](b, "document.querySelector('.passkey[data-id]').dataset.id")
	held := device.passkeys()
	if len(held) != 1 || base64.RawURLEncoding.EncodeToString(held[0].CredentialID) != id {
		t.Fatalf("the device holds %+v, the page shows %s", held, id)
	}
	if handle := base64.RawURLEncoding.EncodeToString(held[0].UserHandle); handle != user {
		t.Errorf("the page tells of user %s, the passkey is of %s", user, handle)
	}
	if got := b.signals("signalAllAcceptedCredentials"); !reflect.DeepEqual(only(got), []string{"signalAllAcceptedCredentials"}) || !accepted(id)(got[0]) {
		t.Errorf("after adding: %+v", got)
	}
	b.click(".passkey[data-id] .cancel-rename")
	b.delete()
	got = b.signals("signalAllAcceptedCredentials")
	if !reflect.DeepEqual(only(got), []string{"signalUnknownCredential", "signalAllAcceptedCredentials"}) || got[0].CredentialID != id || got[0].RPID != "localhost" || !accepted()(got[1]) {
		t.Errorf("after deleting: %+v", got)
	}

	// A passkey that was deleted elsewhere: sign-in says so, and the password manager may forget it.
	d.signOut(b)
	b.open(d.app + "/")
	b.click("#passkey-button")
	b.noticed()
	if got := b.signals("signalUnknownCredential"); len(got) != 1 || got[0].CredentialID != id || got[0].RPID != "localhost" {
		t.Errorf("after a sign-in with a deleted passkey: %+v", got)
	}
}

// A passkey that the server refuses must not stay behind on the device.
func TestRefusedPasskeyIsForgotten(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	b := browse(t)
	b.listen()
	b.script(`const send = window.fetch;
		window.fetch = (address, init) => {
			if (String(address).endsWith("/complete")) init = { ...init, body: init.body.replace('"attestationObjectB64":"', '"attestationObjectB64":"AAAA') };
			return send(address, init);
		};`)
	b.withoutAutofill()
	device := attach(b)
	b.open(d.app + "/")
	d.signInByLink(b, anna, d.app+"/")
	b.open(d.portal + "/auth/account")
	b.signals("signalCurrentUserDetails")
	b.click("#add-passkey")
	b.noticed()
	got := b.signals("signalUnknownCredential")
	held := device.passkeys()
	if len(held) != 1 || len(got) != 1 || got[0].CredentialID != base64.RawURLEncoding.EncodeToString(held[0].CredentialID) {
		t.Errorf("told %+v, the device holds %d", got, len(held))
	}
	if ask[bool](b, "!!document.querySelector('.passkey[data-id]')") {
		t.Error("the refused passkey is listed")
	}
}

// Browsers that know no signals miss nothing.
func TestBrowserWithoutSignals(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	b := browse(t)
	b.watch(d.portal, d.app)
	b.script(`for (const name of Object.getOwnPropertyNames(PublicKeyCredential)) if (name.startsWith("signal")) delete PublicKeyCredential[name];`)
	b.withoutAutofill()
	attach(b)
	b.open(d.app + "/")
	d.signInByLink(b, anna, d.app+"/")
	b.open(d.portal + "/auth/account")
	if known := ask[[]string](b, "Object.getOwnPropertyNames(PublicKeyCredential).filter((n) => n.startsWith('signal'))"); len(known) > 0 {
		t.Fatalf("the browser knows %q", known)
	}
	b.click("#add-passkey")
	b.see(".passkey[data-id]")
	b.click(".passkey[data-id] .cancel-rename")
	b.rename("Key")
	b.delete()
}

func only(got []heard) []string {
	var names []string
	for _, h := range got {
		names = append(names, h.Signal)
	}
	return names
}
