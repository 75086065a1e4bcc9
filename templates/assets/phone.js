// The phone number on the account page: entered, proved by a code, removed.
import { base, busy, byId, call, Failure, say, tell, texts } from "./page.js";
import { prove } from "./prove.js";

const number = byId("phone");
const code = byId("phone-code");

function show(form) {
	for (const id of ["phone-form", "phone-code-form"]) byId(id).hidden = id !== form;
	if (form) byId(form).querySelector("input").focus();
}

// done loads the page again, as it is now.
const done = (notice) => window.location.assign(`${base}account?notice=${notice}`);

function sent({ phone, resendAfter }) {
	byId("phone-sent").textContent = phone;
	say(texts.code_sent, true);
	show("phone-code-form");
	code.value = "";
	countDown(resendAfter);
}

function countDown(seconds) {
	const resend = byId("phone-resend");
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

// attempt runs work behind a button and tells what became of it.
function attempt(button, work, field) {
	say("");
	return busy(byId(button), async () => {
		try {
			await work();
		} catch (error) {
			tell(error);
			field?.select();
			byId("notice").scrollIntoView({ block: "nearest" });
		}
	});
}

const on = (id, event, act) => byId(id)?.addEventListener(event, (e) => {
	e.preventDefault();
	act();
});

on("change-phone", "click", () => show("phone-form"));
on("phone-cancel", "click", () => {
	show("");
	byId("change-phone").focus();
});
on("phone-form", "submit", () => attempt("phone-send", async () => {
	// Told before anybody has to prove anything; the server looks again.
	const phone = number.value.replace(/[\s().\/-]/g, "").replace(/^00/, "+");
	if (!/^\+[1-9]\d{6,14}$/.test(phone)) throw new Failure("phone_invalid");
	sent(await call(`${base}phone`, { phone, ...(await prove("phone")) }));
}, number));
on("verify-phone", "click", () => show("phone-code-form"));
on("phone-resend", "click", () => attempt("phone-resend", async () => sent(await call(`${base}phone/resend`, {}))));
on("phone-code-form", "submit", () => attempt("phone-verify", async () => {
	await call(`${base}phone/verify`, { code: code.value });
	done("phone_verified");
}, code));
on("remove-phone", "click", () => attempt("remove-phone", async () => {
	await call(`${base}phone/remove`, await prove("phone"));
	done("phone_removed");
}));
for (const button of document.querySelectorAll("#phone-section .needs-script")) button.hidden = false;
