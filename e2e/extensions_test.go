package e2e

import (
	"encoding/base64"
	"slices"
	"testing"
)

// extension is a script that stands between the page and the browser's own WebAuthn, as password managers do. made holds the
// credential IDs that were really created.
const extension = `window.made = [];
	const own = { create: navigator.credentials.create.bind(navigator.credentials), get: navigator.credentials.get.bind(navigator.credentials) };
	navigator.credentials.create = async (options) => {
		const c = await own.create(options);
		made.push(c.id);
		return spoil(c, ["attestationObject", "clientDataJSON"]);
	};
	navigator.credentials.get = async (options) => {
		const c = await own.get(options);
		return c && spoil(c, ["authenticatorData", "clientDataJSON", "signature", "userHandle"]);
	};
	const members = (c, names, form) => Object.fromEntries(names.filter((n) => c.response[n]).map((n) => [n, form(c.response[n])]));
	const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
`

// What extensions were seen to do, or may: the passkey is stored, and signs in, all the same.
func TestPasskeysBehindExtensions(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]string{
		"objects without prototype": `const spoil = (c, names) => ({ id: c.id, rawId: c.rawId, type: c.type, response: Object.assign(Object.create(null), members(c, names, (b) => b)) });`,
		"no toJSON, no getTransports": `delete PublicKeyCredential.prototype.toJSON; delete AuthenticatorAttestationResponse.prototype.getTransports;
			const spoil = (c) => c;`,
		"methods that throw": `PublicKeyCredential.prototype.toJSON = AuthenticatorAttestationResponse.prototype.getTransports = () => { throw new TypeError("Illegal invocation"); };
			const spoil = (c) => c;`,
		"a wrapped credential whose getters throw": `const spoil = (c, names) => ({ id: c.id, get rawId() { throw new TypeError("Illegal invocation"); }, response: Object.create(c.response),
			toJSON: () => ({ id: c.id, response: members(c, names, text) }) });`,
		"base64url instead of bytes": `const spoil = (c, names) => ({ id: c.id, rawId: c.id, response: { ...members(c, names, text), getTransports: () => "usb" } });`,
		"views of a larger buffer": `const view = (b) => { const all = new Uint8Array(b.byteLength + 9); all.set(new Uint8Array(b), 5); return new DataView(all.buffer, 5, b.byteLength); };
			const spoil = (c, names) => ({ rawId: view(c.rawId), response: { ...members(c, names, view), getTransports: () => ["", "", null, 7, "internal", "internal", "x".repeat(500)] } });`,
		"bytes that went through JSON": `const plain = (b) => JSON.parse(JSON.stringify(new Uint8Array(b)));
			const spoil = (c, names) => ({ rawId: plain(c.rawId), response: { ...members(c, names, plain), getTransports: () => ["zigbee"] } });`,
	} {
		t.Run(name, func(t *testing.T) {
			d := deploy(t)
			b := browse(t)
			b.script(extension + spoil)
			b.withoutAutofill()
			device := attach(b)
			b.open(d.app + "/")
			d.signInByLink(b, anna, d.app+"/")
			b.open(d.portal + "/auth/account")
			b.click("#add-passkey")
			b.see(".passkey[data-id]")
			id := ask[string](b, "document.querySelector('.passkey[data-id]').dataset.id")
			if held := device.passkeys(); len(held) != 1 || base64.RawURLEncoding.EncodeToString(held[0].CredentialID) != id {
				t.Fatalf("the device holds %+v, the page shows %s", held, id)
			}
			d.signOut(b)
			b.open(d.app + "/")
			b.click("#passkey-button")
			b.arrive(d.app + "/")
		})
	}
}

// An answer that cannot be read is told as such, and the password manager forgets the passkey that nobody registered.
func TestUnreadablePasskeyIsForgotten(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ spoil, signal string }{
		"no response":                {`const spoil = (c) => ({ id: c.id, rawId: c.rawId });`, "signalUnknownCredential"},
		"a response without members": {`const spoil = (c) => ({ id: c.id, rawId: {}, response: {} });`, "signalUnknownCredential"},
		"members that are no bytes":  {`const spoil = (c) => ({ rawId: c.rawId, response: { attestationObject: [-1, 256], clientDataJSON: true } });`, "signalUnknownCredential"},
		"an empty object":            {`const spoil = () => ({});`, "signalAllAcceptedCredentials"},
		"null":                       {`const spoil = () => null;`, "signalAllAcceptedCredentials"},
	} {
		t.Run(name, func(t *testing.T) {
			d := deploy(t)
			b := browse(t)
			b.listen()
			b.script(extension + c.spoil)
			b.withoutAutofill()
			attach(b)
			b.open(d.app + "/")
			d.signInByLink(b, anna, d.app+"/")
			b.open(d.portal + "/auth/account")
			b.signals("signalCurrentUserDetails")
			b.click("#add-passkey")
			b.noticed()
			want := "unreadable"
			if name == "null" {
				want = "cancelled"
			}
			if !ask[bool](b, "document.getElementById('notice').textContent === document.getElementById('texts').dataset["+quote(dataKey(want))+"]") {
				t.Errorf("the page says %q", ask[string](b, "document.getElementById('notice').textContent"))
			}
			made := ask[[]string](b, "made")
			got := b.signals(c.signal)
			if !slices.ContainsFunc(got, func(h heard) bool {
				return h.Signal == c.signal && h.RPID == "localhost" && (c.signal == "signalAllAcceptedCredentials" && len(h.AllAcceptedCredentialIDs) == 0 || h.CredentialID == made[0])
			}) {
				t.Errorf("the password manager is told %+v, made %q", got, made)
			}
			if ask[bool](b, "!!document.querySelector('.passkey[data-id]')") {
				t.Error("an unreadable passkey is listed")
			}
		})
	}
}

func dataKey(code string) string {
	if code == "unreadable" {
		return "passkey_unreadable"
	}
	return code
}

// A password manager that holds the aborted autofill request for a moment makes the browser refuse the button's request.
func TestPasskeyButtonWhileAutofillLetsGo(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	b := browse(t)
	b.script(extension + `const spoil = (c) => c;
		let refusals = 2;
		const spoiled = navigator.credentials.get;
		navigator.credentials.get = (options) => options.mediation || refusals-- <= 0 ? spoiled(options) : Promise.reject(new DOMException("A request is already pending.", "OperationError"));`)
	b.withoutAutofill()
	attach(b)
	b.open(d.app + "/")
	d.signInByLink(b, anna, d.app+"/")
	b.open(d.portal + "/auth/account")
	b.click("#add-passkey")
	b.see(".passkey[data-id]")
	d.signOut(b)
	b.open(d.app + "/")
	b.click("#passkey-button")
	b.arrive(d.app + "/")
}
