// The one-time code arrives in the fragment and is posted to the same address.
import { byId, say, texts } from "./page.js";

function failed() {
	byId("spinner").hidden = true;
	byId("again").hidden = false;
	say(texts.failed);
}

const code = location.hash.slice(1);
if (code) {
	history.replaceState(null, "", location.pathname + location.search);
	byId("code").value = code;
	byId("handoff").submit();
} else {
	failed();
}
addEventListener("pageshow", (event) => event.persisted && failed());
