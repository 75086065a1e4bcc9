// WebAuthn options and answers in the portal's JSON.
import { decode, encode } from "./base64url.js";

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

// assertionOf is the answer to a sign-in or to a re-authentication.
export function assertionOf({ rawId, response }) {
	const answer = {
		credentialIdB64: encode(rawId),
		authenticatorDataB64: encode(response.authenticatorData),
		clientDataJSON_B64: encode(response.clientDataJSON),
		signatureB64: encode(response.signature),
	};
	if (response.userHandle?.byteLength) answer.userHandleB64 = encode(response.userHandle);
	return answer;
}

// attestationOf is the answer to a registration.
export function attestationOf({ response }) {
	return {
		attestationObjectB64: encode(response.attestationObject),
		clientDataJSON_B64: encode(response.clientDataJSON),
		transports: response.getTransports?.() ?? [],
	};
}

// signal tells the password manager about passkeys (WebAuthn Level 3, section 5.1.10). It is only ever a hint.
export async function signal(name, details) {
	try {
		await window.PublicKeyCredential?.[`signal${name}`]?.(details);
	} catch {
		// A browser that knows the method but not the relying party or the provider refuses; nothing depends on it.
	}
}
