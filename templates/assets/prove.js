// Proving once more who one is, before the account changes.
import { assertionOf, requestOptions } from "./ceremony.js";
import { base, call } from "./page.js";

// prove re-authenticates for one change: by passkey, or at once after a fresh sign-in without one. It returns the header to send.
export async function prove(purpose, credentialId) {
	const asked = await call(`${base}reauthenticate/options`, { purpose, credentialId });
	if (asked.fresh) return { "Passwordless-Proof": asked.proof };
	const credential = await navigator.credentials.get({ publicKey: requestOptions(asked.publicKey) });
	const { proof } = await call(`${base}reauthenticate`, { state: asked.state, answer: assertionOf(credential) });
	return { "Passwordless-Proof": proof };
}
