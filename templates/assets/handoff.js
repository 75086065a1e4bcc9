// The one-time code arrives in the fragment and is posted to the same address. What follows it is the fragment of the page asked for,
// where only the browser knows it. A script posts, not a form: browsers apply form-action to every redirect that follows a form, and the
// page asked for may redirect to anywhere.
import { byId, say, texts } from "./page.js";

const giveUp = 10000; // ms, for the answer and for the page after it
const again = byId("again");

function failed(message, location) {
	const spinner = byId("spinner");
	if (spinner) spinner.hidden = true;
	if (location) again.href = location;
	again.hidden = false;
	say(message || texts.failed);
}

async function handOver(code, fragment) {
	const stop = new AbortController();
	setTimeout(() => {
		stop.abort();
		failed();
	}, giveUp);
	let response, answer;
	try {
		response = await fetch(location.pathname + location.search, {
			method: "POST", body: new URLSearchParams({ code }), headers: { Accept: "application/json" },
			credentials: "same-origin", cache: "no-store", redirect: "error", signal: stop.signal,
		});
		answer = await response.json();
	} catch {
		return failed();
	}
	if (!response.ok) return failed(answer.message, answer.location);
	const next = answer.location;
	location.replace(fragment && !next.includes("#") ? `${next}#${fragment}` : next);
}

const [code, ...rest] = location.hash.slice(1).split("&");
if (code) {
	history.replaceState(null, "", location.pathname + location.search); // out of the address bar and the history
	handOver(code, rest.join("&"));
} else {
	failed(); // loaded again
}
addEventListener("pageshow", (event) => event.persisted && failed());
