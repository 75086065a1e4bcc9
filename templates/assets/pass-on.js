// On to the application. The fragment of the page asked for, which only the browser may know, goes along: behind the one-time code of a
// handoff, or as the fragment of any other address.
const onward = document.querySelector("#onward");
const next = onward.href;
const fragment = onward.dataset.fragment === "own" ? "" : location.hash.slice(1);
location.replace(fragment ? `${next}${next.includes("#") ? "&" : "#"}${fragment}` : next);
