// Sign-in: passkeys in the e-mail field's autofill, by button, or a link by mail.
import { assertionOf, getCredential, requestOptions, signal, supported } from "./ceremony.js";
import { base, busy, byId, call, Failure, say, tell, texts } from "./page.js";

const renewAfter = 10 * 60 * 1000; // ms; the portal's seal on a challenge lasts longer
const flow = texts.flow;
const email = byId("email");
const button = byId("passkey-button");
const fragment = () => location.hash.slice(1); // of the page asked for; only the browser knows it

byId("sign-in").addEventListener("submit", (event) => {
	byId("fragment").value = fragment();
	const send = byId("send-link");
	if (send.getAttribute("aria-busy")) event.preventDefault();
	send.setAttribute("aria-busy", "true");
});

// offered is the challenge at hand: {options, state, born}, or undefined when used or none came with the page.
let offered = texts.challenge ? offer(JSON.parse(texts.challenge), texts.state) : undefined;
let autofill; // AbortController of the conditional request that waits in the e-mail field

function offer(json, state) {
	return { options: json.publicKey ?? json, state, born: Date.now() };
}

async function challenge(conditional, address) {
	if (!address && offered && Date.now() - offered.born < renewAfter) return offered;
	const answer = await call(`${base}passkey/options`, { flow, fragment: fragment(), ...(address && { email: address }), conditional });
	const fresh = offer(answer.publicKey, answer.state);
	if (!address) offered = fresh;
	return fresh;
}

async function signIn(credential, used) {
	if (used === offered) offered = undefined;
	const answer = assertionOf(credential);
	try {
		const { location: next } = await call(`${base}passkey/sign-in`, { flow, fragment: fragment(), state: used.state, answer });
		window.location.assign(next);
	} catch (error) {
		if (error.code === "unknown_credential") {
			await signal("UnknownCredential", { rpId: used.options.rpId ?? location.hostname, credentialId: answer.credentialIdB64 });
		}
		throw error;
	}
}

// offerAutofill keeps one conditional request waiting until it is answered or stopped, with a challenge that never gets old.
async function offerAutofill() {
	if (autofill || !(await PublicKeyCredential.isConditionalMediationAvailable?.()) || autofill) return;
	const stop = (autofill = new AbortController());
	try {
		while (!stop.signal.aborted) {
			const used = await challenge(true);
			if (stop.signal.aborted) return;
			const round = new AbortController();
			const renew = () => Date.now() - used.born >= renewAfter && round.abort();
			const end = () => round.abort();
			const timer = setInterval(renew, 15000);
			document.addEventListener("visibilitychange", renew); // timers sleep with the device
			stop.signal.addEventListener("abort", end);
			let credential;
			try {
				credential = await navigator.credentials.get({ mediation: "conditional", publicKey: requestOptions(used.options), signal: round.signal });
			} catch (error) {
				if (stop.signal.aborted) return;
				if (round.signal.aborted) continue;
				throw error;
			} finally {
				clearInterval(timer);
				document.removeEventListener("visibilitychange", renew);
				stop.signal.removeEventListener("abort", end);
			}
			if (!credential) return;
			say("");
			try {
				return await busy(button, () => signIn(credential, used));
			} catch (error) {
				tell(error);
				if (!(error instanceof Failure) || error.code === "expired_flow") return;
			}
		}
	} catch {
		// Autofill is a courtesy: without it the button and the link remain, and they tell their own errors.
	} finally {
		if (autofill === stop) autofill = undefined;
	}
}

async function withButton() {
	say("");
	autofill?.abort();
	autofill = undefined;
	const address = email.value.trim() && email.checkValidity() ? email.value.trim() : "";
	try {
		const used = await challenge(false, address);
		const credential = await getCredential({ publicKey: requestOptions(used.options) });
		await signIn(credential, used);
	} catch (error) {
		if (tell(error).code === "expired_flow") return window.location.reload(); // comes with a new flow and says why
		offerAutofill();
	}
}

// People who signed in here before: one press starts with their address, by the way they took the last time.
function chosen(person, pressed) {
	email.value = person.dataset.email;
	if (person.dataset.passkey && supported()) return busy(pressed, withButton);
	byId("sign-in").requestSubmit();
}

async function forget(person) {
	try {
		await call(`${base}people/forget`, { flow, email: person.dataset.email });
	} catch (error) {
		return tell(error);
	}
	const next = person.nextElementSibling ?? person.previousElementSibling;
	person.remove();
	if (!next) byId("people").hidden = true;
	(next?.querySelector(".choose") ?? email).focus();
}

if (byId("people")) {
	byId("people").hidden = false;
	for (const person of document.querySelectorAll(".person")) {
		person.querySelector(".choose").addEventListener("click", (event) => chosen(person, event.currentTarget));
		person.querySelector(".forget").addEventListener("click", (event) => busy(event.currentTarget, () => forget(person)));
	}
}

// A page that comes back out of the browser's cache has an old challenge and a busy button.
addEventListener("pageshow", (event) => {
	if (!event.persisted) return;
	byId("send-link").removeAttribute("aria-busy");
	offered = undefined;
	autofill?.abort();
	autofill = undefined;
	if (supported()) offerAutofill();
});

if (supported()) {
	byId("passkey").hidden = false;
	button.addEventListener("click", () => busy(button, withButton));
	offerAutofill();
}
