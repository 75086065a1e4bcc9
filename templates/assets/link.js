// The link's landing page: the secret is in the fragment, which no server sees until the button is pressed.
import { byId, say, texts } from "./page.js";

const field = byId("link");
const button = byId("continue");

function take() {
	const secret = location.hash.slice(1);
	if (secret) {
		field.value = secret;
		history.replaceState(null, "", location.pathname + location.search); // out of the address bar and the history
	}
	const there = field.value !== "";
	button.disabled = button.hidden = !there;
	byId("again").hidden = there;
	if (!there || secret) say(there ? "" : texts.malformed); // or what the server says of the try before
}

byId("confirm").addEventListener("submit", (event) => {
	if (field.value === "" || button.getAttribute("aria-busy")) event.preventDefault();
	button.setAttribute("aria-busy", "true");
});
addEventListener("pageshow", () => button.removeAttribute("aria-busy"));
addEventListener("hashchange", take); // the same link opened again in this tab
take();
