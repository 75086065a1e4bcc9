// Shows new messages by themselves. The server renders; this asks whether there is anything new, and takes the new page's articles.
"use strict";

const main = document.querySelector("main");
const list = document.getElementById("messages");
const announce = document.getElementById("announce");
const fastest = 1000, slowest = 10000;
let wait = fastest;

function localTimes(root) {
  for (const t of root.querySelectorAll("time")) {
    const at = new Date(t.dateTime);
    if (!Number.isNaN(at.getTime())) t.textContent = at.toLocaleString();
  }
}

async function refresh() {
  const page = await fetch("./", { cache: "no-store" });
  if (!page.ok) throw new Error("page " + page.status);
  const next = new DOMParser().parseFromString(await page.text(), "text/html");
  const known = new Set([...list.querySelectorAll("article")].map((a) => a.dataset.id));
  const added = [...next.querySelectorAll("article")].filter((a) => !known.has(a.dataset.id));
  if (list.querySelector(".empty")) list.replaceChildren();
  for (const article of added.reverse()) {
    localTimes(article);
    list.prepend(document.adoptNode(article));
  }
  main.dataset.newest = next.querySelector("main").dataset.newest;
  announce.textContent = added.length === 1 ? "1 new message" : added.length + " new messages";
}

async function poll() {
  try {
    const answer = await fetch("messages.json?after=" + main.dataset.newest, { cache: "no-store" });
    if (!answer.ok) throw new Error("messages " + answer.status);
    if ((await answer.json()).messages.length > 0) await refresh();
    wait = fastest;
  } catch {
    // The server may be restarting.
    wait = Math.min(wait * 2, slowest);
  }
  setTimeout(poll, wait);
}

localTimes(document);
setTimeout(poll, wait);
