// The account page: passkeys are added, renamed and deleted here.
import { attestationOf, creationOptions, idOf, signal, supported } from "./ceremony.js";
import { encode } from "./base64url.js";
import { prove } from "./prove.js";
import { busy, byId, call, say, tell, texts } from "./page.js";

const list = byId("passkeys");
const fido2 = texts.fido2.replace(/\/$/, "") + "/";
const rpId = texts.rp;
const userId = encode(new TextEncoder().encode(texts.handle));
const times = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });

async function add() {
	say("");
	hideSuggestion();
	try {
		const proof = await prove("add");
		const options = await call(`${fido2}register-authenticator/start?rpId=${encodeURIComponent(rpId)}`, proof);
		const credential = await navigator.credentials.create({ publicKey: creationOptions(options) });
		// Registered at once, under its provider's name: nobody can leave a passkey behind by leaving the page.
		let added;
		try {
			added = await call(`${fido2}register-authenticator/complete`, attestationOf(credential));
		} catch (error) {
			// Not after a broken connection: it may well be registered then.
			if (!error.code || error.code === "invalid") await forgetUnlisted(idOf(credential));
			throw error;
		}
		const row = rowOf(added);
		list.append(row);
		changed();
		say(texts.created, true);
		openRename(row);
	} catch (error) {
		tell(error);
	}
}

// forgetUnlisted tells the password manager of a new passkey that the server does not have. Without the passkey's ID, the list of
// those that are accepted has to do.
async function forgetUnlisted(credentialId) {
	let authenticators;
	try {
		({ authenticators } = await call(`${fido2}authenticators/list?rpId=${encodeURIComponent(rpId)}`));
	} catch {
		return; // the person is told of the first error
	}
	const known = authenticators.map((authenticator) => authenticator.credentialId);
	if (!credentialId) return texts.handle && signal("AllAcceptedCredentials", { rpId, userId, allAcceptedCredentialIds: known });
	if (!known.includes(credentialId)) await signal("UnknownCredential", { rpId, credentialId });
}

function rowOf({ credentialId, friendlyName, createdAt, flagBackupEligibility }) {
	const row = byId("row").content.firstElementChild.cloneNode(true);
	row.dataset.id = credentialId;
	row.querySelector(".kind").textContent = flagBackupEligibility ? texts.synced : texts.bound;
	row.querySelector(".created").dateTime = createdAt;
	setName(row, friendlyName);
	prepare(row);
	return row;
}

function setName(row, name) {
	row.querySelector(".name").textContent = name;
	row.querySelector("input").value = name;
	row.querySelector(".rename").setAttribute("aria-label", texts.rename.replace("{name}", () => name));
	row.querySelector(".delete").setAttribute("aria-label", texts.delete.replace("{name}", () => name));
}

function prepare(row) {
	const form = row.querySelector("form");
	row.querySelector(".rename").addEventListener("click", () => openRename(row));
	row.querySelector(".delete").addEventListener("click", () => remove(row));
	row.querySelector(".cancel-rename").addEventListener("click", () => closeRename(row));
	form.addEventListener("keydown", (event) => event.key === "Escape" && closeRename(row));
	form.addEventListener("submit", (event) => {
		event.preventDefault();
		busy(row.querySelector(".save"), () => rename(row));
	});
	for (const button of row.querySelectorAll(".actions button")) button.hidden = false;
	localTimes(row);
}

function openRename(row) {
	row.querySelector("form").hidden = false;
	row.querySelector(".actions").hidden = row.querySelector(".name").hidden = true;
	const input = row.querySelector("input");
	input.focus();
	input.select();
}

function closeRename(row) {
	row.querySelector("form").hidden = true;
	row.querySelector(".actions").hidden = row.querySelector(".name").hidden = false;
	row.querySelector("input").value = row.querySelector(".name").textContent;
	row.querySelector(".rename").focus();
}

async function rename(row) {
	const name = row.querySelector("input").value.trim();
	if (!name || name === row.querySelector(".name").textContent) return closeRename(row);
	try {
		await call(`${fido2}authenticators/update`, { credentialId: row.dataset.id, friendlyName: name });
		setName(row, name);
		closeRename(row);
		say(texts.renamed, true);
	} catch (error) {
		tell(error);
	}
}

async function remove(row) {
	say("");
	byId("confirm-name").textContent = row.querySelector(".name").textContent;
	if (!(await confirmed())) return;
	await busy(row.querySelector(".delete"), async () => {
		try {
			const credentialId = row.dataset.id;
			await call(`${fido2}authenticators/delete`, { credentialId, ...(await prove("delete", credentialId)) });
			row.remove();
			await signal("UnknownCredential", { rpId, credentialId });
			changed();
			say(texts.deleted, true);
			byId("add-passkey").focus();
		} catch (error) {
			tell(error);
		}
	});
}

function confirmed() {
	const dialog = byId("confirm");
	dialog.returnValue = "";
	dialog.showModal();
	byId("confirm-cancel").focus();
	return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "delete"), { once: true }));
}

// changed brings page and password manager in line with the list.
function changed() {
	const rows = [...list.querySelectorAll(".passkey")];
	byId("no-passkeys").hidden = rows.length > 0;
	if (!texts.handle) return;
	return signal("AllAcceptedCredentials", { rpId, userId, allAcceptedCredentialIds: rows.map((row) => row.dataset.id) });
}

function localTimes(root) {
	for (const time of root.querySelectorAll("time")) {
		const at = new Date(time.dateTime);
		if (!isNaN(at)) time.textContent = times.format(at);
	}
}

// The suggestion, once refused, does not come back in this browser.
const refused = "passwordless.suggestion";

function hideSuggestion() {
	const suggestion = byId("suggestion");
	if (suggestion) suggestion.hidden = true;
}

function suggest() {
	const suggestion = byId("suggestion");
	if (!suggestion || list.children.length > 0 || stored(refused)) return;
	suggestion.hidden = false;
	byId("suggestion-add").addEventListener("click", (event) => busy(event.currentTarget, add));
	byId("suggestion-refuse").addEventListener("click", () => {
		store(refused, "refused");
		hideSuggestion();
		byId("add-passkey").focus();
	});
}

function stored(key) {
	try {
		return localStorage.getItem(key);
	} catch {
		return null; // storage is blocked
	}
}

function store(key, value) {
	try {
		localStorage.setItem(key, value);
	} catch {
		// Then it is asked again next time.
	}
}

localTimes(document);
for (const row of list.querySelectorAll(".passkey")) prepare(row);
if (supported()) {
	byId("add-passkey").hidden = false;
	byId("add-passkey").addEventListener("click", (event) => busy(event.currentTarget, add));
	suggest();
	changed();
	if (texts.handle) signal("CurrentUserDetails", { rpId, userId, name: texts.name, displayName: texts.name });
}
