// Proving once more who one is, before the account changes.
import { assertionOf, getCredential, requestOptions } from "./ceremony.js";
import { base, call } from "./page.js";

// prove re-authenticates for one change: by passkey, or at once after a fresh sign-in without one. It returns what goes along
// in the body of the change: bodies are in no log, and the server consumes a proof at its first use.
export async function prove(purpose, credentialId) {
	const asked = await call(`${base}reauthenticate/options`, { purpose, credentialId });
	if (asked.fresh) return { proof: asked.proof };
	const credential = await getCredential({ publicKey: requestOptions(asked.publicKey) });
	const { proof } = await call(`${base}reauthenticate`, { state: asked.state, answer: assertionOf(credential) });
	return { proof };
}
