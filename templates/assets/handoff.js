// The one-time code arrives in the fragment and is posted to the same address. What follows it is the fragment of the page asked for: the
// browser takes that along from the form's address to wherever the answer redirects.
import { byId, say, texts } from "./page.js";

function failed() {
	byId("spinner").hidden = true;
	byId("again").hidden = false;
	say(texts.failed);
}

const [code, ...rest] = location.hash.slice(1).split("&");
const fragment = rest.join("&");
if (code) {
	const here = location.pathname + location.search;
	history.replaceState(null, "", here);
	byId("code").value = code;
	byId("handoff").action = fragment ? `${here}#${fragment}` : here;
	byId("handoff").submit();
} else {
	failed();
}
addEventListener("pageshow", (event) => event.persisted && failed());
