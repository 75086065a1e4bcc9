// Send again: the fragment of the page asked for is known to the browser alone.
const form = document.querySelector("form");
form.action += location.hash;
