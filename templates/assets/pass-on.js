// Single sign-on: the fragment of the page asked for, which only the browser knows, goes on behind the one-time code.
const next = document.querySelector("#onward").href;
location.replace(location.hash.length > 1 ? `${next}&${location.hash.slice(1)}` : next);
