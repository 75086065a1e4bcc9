// WebAuthn options and answers in the portal's JSON.
import { decode, encodeAny } from "./base64url.js";

export const supported = () => Boolean(window.PublicKeyCredential && navigator.credentials?.get);

const withBytes = (list) => list?.map((c) => ({ type: "public-key", ...c, id: decode(c.id) }));

// requestOptions makes what credentials.get() takes.
export function requestOptions(json) {
	const options = { ...json, challenge: decode(json.challenge) };
	if (json.allowCredentials) options.allowCredentials = withBytes(json.allowCredentials);
	return options;
}

// creationOptions makes what credentials.create() takes. The user id comes as a plain string.
export function creationOptions(json) {
	return {
		...json,
		challenge: decode(json.challenge),
		user: { ...json.user, id: new TextEncoder().encode(json.user.id) },
		excludeCredentials: withBytes(json.excludeCredentials) ?? [],
	};
}

// Unreadable says that the browser answered, but not with a passkey. The page has a text for it.
class Unreadable extends Error {
	name = "UnreadableError";
}

// Extensions of password managers replace what the browser gives, some of them incompletely: members throw, are missing, or are of
// another type. read takes a member of the answer, or of its toJSON form.
function read(credential, name) {
	const attempts = [() => credential.response[name], () => credential.toJSON().response[name]];
	if (name === "rawId") attempts.splice(0, 2, () => credential.rawId, () => credential.id, () => credential.toJSON().id);
	for (const attempt of attempts) {
		try {
			const text = encodeAny(attempt());
			if (text) return text;
		} catch {
			// The next form may be whole.
		}
	}
	return undefined;
}

function required(credential, name) {
	if (!credential) throw new DOMException("no credential", "NotAllowedError");
	const text = read(credential, name);
	if (!text) throw new Unreadable(`${name} cannot be read`);
	return text;
}

// idOf is a credential's ID in base64url, or undefined.
export const idOf = (credential) => read(credential, "rawId");

// getCredential asks for an assertion. A password manager may still hold an aborted autofill request for a moment, and the browser
// refuses a second one meanwhile.
export async function getCredential(options) {
	for (let tries = 4; ; tries--) {
		try {
			return await navigator.credentials.get(options);
		} catch (error) {
			if (error?.name !== "OperationError" || tries === 0) throw error;
			await new Promise((resolve) => setTimeout(resolve, 250));
		}
	}
}

// assertionOf is the answer to a sign-in or to a re-authentication.
export function assertionOf(credential) {
	const answer = {
		credentialIdB64: required(credential, "rawId"),
		authenticatorDataB64: required(credential, "authenticatorData"),
		clientDataJSON_B64: required(credential, "clientDataJSON"),
		signatureB64: required(credential, "signature"),
	};
	const userHandle = read(credential, "userHandle");
	if (userHandle) answer.userHandleB64 = userHandle;
	return answer;
}

// attestationOf is the answer to a registration.
export function attestationOf(credential) {
	return {
		attestationObjectB64: required(credential, "attestationObject"),
		clientDataJSON_B64: required(credential, "clientDataJSON"),
		transports: transportsOf(credential),
	};
}

// transportsOf is a hint, so a browser or extension that cannot say takes nothing away.
function transportsOf(credential) {
	try {
		return [...credential.response.getTransports()].filter((transport) => typeof transport === "string");
	} catch {
		return [];
	}
}

// signal tells the password manager about passkeys (WebAuthn Level 3, section 5.1.10). It is only ever a hint.
export async function signal(name, details) {
	try {
		await window.PublicKeyCredential?.[`signal${name}`]?.(details);
	} catch {
		// A browser that knows the method but not the relying party or the provider refuses; nothing depends on it.
	}
}
