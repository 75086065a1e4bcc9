// What every page needs: its texts, its notice, and calls to the portal.

export const byId = (id) => document.getElementById(id);
export const texts = byId("texts")?.dataset ?? {};
export const base = document.body.dataset.base;

// Failure carries a code, and the text that the server has for it.
export class Failure extends Error {
	constructor(code, message, answer) {
		super(message || texts[code] || texts.internal || code);
		this.code = code;
		this.answer = answer; // what else the server said
	}
}

// say shows a text; quiet is for what is no error.
export function say(message, quiet) {
	const notice = byId("notice");
	notice.className = !message ? "notice" : quiet ? "notice quiet" : "notice error";
	notice.setAttribute("role", quiet ? "status" : "alert");
	notice.textContent = message;
}

// tell shows what became of an attempt.
export function tell(error) {
	const failure = failureOf(error);
	say(failure.message, failure.code === "cancelled");
	return failure;
}

function failureOf(error) {
	if (error instanceof Failure) return error;
	switch (error?.name) {
		case "NotAllowedError":
		case "AbortError":
			return new Failure("cancelled");
		case "InvalidStateError":
			return new Failure("passkey_exists");
		case "NotSupportedError":
		case "SecurityError":
			return new Failure("unsupported");
		case "UnreadableError":
			return new Failure("passkey_unreadable");
	}
	return new Failure("internal");
}

// call posts JSON, or nothing, and returns the JSON that comes back, if any.
export async function call(address, body) {
	const init = { method: "POST", credentials: "same-origin", signal: AbortSignal.timeout?.(20000) };
	if (body !== undefined) {
		init.body = JSON.stringify(body);
		init.headers = { "Content-Type": "application/json" };
	}
	let response, answer;
	try {
		response = await fetch(address, init);
		answer = await response.text();
	} catch {
		throw new Failure("unavailable");
	}
	let result;
	try {
		result = answer ? JSON.parse(answer) : {};
	} catch {
		throw new Failure(response.status >= 500 ? "unavailable" : "internal");
	}
	if (response.ok) return result;
	if (result.error) throw new Failure(result.error, result.message, result);
	// The FIDO2 API has texts in English only, for programs: the status has to do.
	throw new Failure({ 400: "invalid", 401: "expired_flow", 403: "reauthentication_required", 429: "too_many", 503: "unavailable" }[response.status] ?? "internal");
}

// busy marks a button while its work is under way, and keeps it from being pressed twice.
export async function busy(button, work) {
	if (button.getAttribute("aria-busy") === "true") return;
	button.setAttribute("aria-busy", "true");
	try {
		return await work();
	} finally {
		button.removeAttribute("aria-busy");
	}
}
