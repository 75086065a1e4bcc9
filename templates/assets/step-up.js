// Step-up: a passkey, or a code by SMS. A link by mail is a plain form.
import { assertionOf, getCredential, requestOptions, signal, supported } from "./ceremony.js";
import { base, busy, byId, call, say, tell, texts } from "./page.js";

const flow = texts.flow;
const fragment = () => location.hash.slice(1); // of the page asked for; only the browser knows it
const go = ({ location: next }) => window.location.assign(next);

async function withPasskey() {
	say("");
	try {
		const asked = await call(`${base}step-up/passkey/options`, { flow });
		const credential = await getCredential({ publicKey: requestOptions(asked.publicKey) });
		const answer = assertionOf(credential);
		try {
			go(await call(`${base}step-up/passkey`, { flow, fragment: fragment(), state: asked.state, answer }));
		} catch (error) {
			if (error.code === "unknown_credential") {
				await signal("UnknownCredential", { rpId: asked.publicKey.rpId ?? location.hostname, credentialId: answer.credentialIdB64 });
			}
			throw error;
		}
	} catch (error) {
		failed(error);
	}
}

// failed tells, but for a page that stood open too long: that one starts over.
function failed(error) {
	if (tell(error).code === "expired_flow") window.location.reload();
}

let sent; // the code that is awaited: {state}
let waiting; // AbortController of the browser's own look at incoming messages

async function sendCode() {
	say("");
	try {
		const answer = await call(`${base}step-up/sms/send`, { flow });
		sent = answer.state;
		byId("phone").textContent = answer.phone;
		byId("send-code").hidden = true;
		byId("code-form").hidden = false;
		byId("code").value = "";
		byId("code").focus();
		say(texts.code_sent, true);
		countDown(answer.resendAfter);
		listen();
	} catch (error) {
		failed(error);
	}
}

function countDown(seconds) {
	const resend = byId("resend-code");
	const label = (resend.dataset.label ??= resend.textContent);
	const until = Date.now() + seconds * 1000;
	const count = () => {
		const left = Math.ceil((until - Date.now()) / 1000);
		resend.disabled = left > 0;
		resend.textContent = left > 0 ? texts.countdown.replace("{seconds}", left) : label;
		if (left > 0) setTimeout(count, 1000);
	};
	count();
}

// listen takes the code from the message where the browser can (WebOTP).
async function listen() {
	if (!("OTPCredential" in window)) return;
	waiting?.abort();
	waiting = new AbortController();
	try {
		const message = await navigator.credentials.get({ otp: { transport: ["sms"] }, signal: waiting.signal });
		if (!message?.code) return;
		byId("code").value = message.code;
		byId("code-form").requestSubmit();
	} catch {
		// It can be typed.
	}
}

async function checkCode() {
	const code = byId("code").value.replace(/\D/g, "");
	if (!code) return byId("code").focus();
	try {
		go(await call(`${base}step-up/sms`, { flow, fragment: fragment(), state: sent, code }));
		waiting?.abort();
	} catch (error) {
		if (error.answer?.state) sent = error.answer.state;
		tell(error);
		byId("code").select();
		byId("code").focus();
	}
}

if (byId("passkey-button") && supported()) {
	byId("passkey").hidden = false;
	if (byId("or-sms")) byId("or-sms").hidden = false;
	byId("passkey-button").addEventListener("click", (event) => busy(event.currentTarget, withPasskey));
}
if (byId("send-code")) {
	for (const id of ["send-code", "resend-code"]) byId(id).addEventListener("click", (event) => busy(event.currentTarget, sendCode));
	byId("code-form").addEventListener("submit", (event) => {
		event.preventDefault();
		busy(byId("verify-code"), checkCode);
	});
}
byId("link-form")?.addEventListener("submit", () => (byId("fragment").value = fragment()));
