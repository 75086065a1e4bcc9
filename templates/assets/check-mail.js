// Check your e-mail: counts down to sending again, and moves on when the link was used in this browser.
import { base, busy, byId, call, say, tell, texts } from "./page.js";

const first = 3000, slowest = 15000, giveUp = 30 * 60 * 1000; // ms
const began = Date.now();
const resend = byId("resend");
const label = resend.textContent;

function count() {
	const left = Math.ceil(Number(texts.after) - (Date.now() - began) / 1000);
	resend.disabled = left > 0;
	resend.textContent = left > 0 ? texts.countdown.replace("{seconds}", left) : label;
	if (left > 0) setTimeout(count, 1000);
}

let pause = first, timer, asking = false, over = false;

async function ask() {
	clearTimeout(timer);
	if (asking || over) return;
	asking = true;
	try {
		const response = await fetch(`${base}check-mail/status?flow=${encodeURIComponent(texts.flow)}`, {
			headers: { Accept: "application/json" }, credentials: "same-origin", cache: "no-store",
		});
		if (response.ok) act(await response.json());
	} catch {
		// Offline for a moment: the next round asks again.
	}
	asking = false;
	if (Date.now() - began > giveUp) end(texts.expired);
	if (over) return;
	pause = Math.min(pause * 1.25, slowest);
	timer = setTimeout(ask, pause);
}

function act({ state, location: next }) {
	if (state === "done") {
		over = true;
		window.location.replace(next || base);
	} else if (state === "elsewhere") {
		end(texts.elsewhere);
	} else if (state === "confirmed") {
		end(texts.confirmed);
	} else if (state === "expired") {
		end(texts.expired);
	}
}

function end(message) {
	over = true;
	byId("spinner").hidden = true;
	say(message);
}

// checkCode signs in with the code of the mail; where it is wrong, the link still works.
async function checkCode() {
	try {
		const { location: next } = await call(`${base}check-mail/code`, { flow: texts.flow, code: byId("code").value });
		over = true;
		window.location.assign(next);
	} catch (error) {
		tell(error);
		byId("code").select();
		byId("code").focus();
	}
}

byId("code-form")?.addEventListener("submit", (event) => {
	event.preventDefault();
	busy(byId("verify-code"), checkCode);
});
document.addEventListener("visibilitychange", () => {
	if (document.hidden) return;
	pause = first;
	ask();
});
count();
timer = setTimeout(ask, first);
