"use strict";
// The console's script: it keeps an open page up to date, shows the chosen state, and uploads files. Without it, pages
// can be read as well; they are then as new as when they were loaded.

document.documentElement.classList.add("with-script");
const main = document.getElementById("main");
const sign = document.getElementById("live");
const alarm = document.getElementById("live-problem");

// --- The chosen state ------------------------------------------------------------------------------------------

let chosen = location.hash.startsWith("#state-") ? decodeURIComponent(location.hash.slice(1)) : "";

function showChosen() {
  const panels = [...document.querySelectorAll(".panel")];
  if (!panels.length) return;
  const panel = chosen && document.getElementById(chosen);
  for (const each of panels) each.classList.toggle("selected", each === panel);
  for (const link of document.querySelectorAll(".machine a")) {
    const isChosen = decodeURIComponent(link.getAttribute("href")) === `#${chosen}`;
    link.classList.toggle("selected", isChosen);
    if (isChosen) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}

// What failed is what a reader looks for.
function chooseFirst() {
  chosen ||= document.getElementById("panels")?.dataset.chosen ?? "";
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.('a[href^="#state-"]');
  if (!link) return;
  event.preventDefault();
  chosen = decodeURIComponent(link.getAttribute("href").slice(1));
  history.replaceState(null, "", link.getAttribute("href"));
  showChosen();
  const panels = document.getElementById("panels");
  if (panels.getBoundingClientRect().top > innerHeight - 120) panels.scrollIntoView({ block: "start" });
});

// --- Live pages ------------------------------------------------------------------------------------------------

// The sections as the server sent them. Only those that have changed since are replaced.
const sent = new Map();
const sections = (root) => [...root.children].filter((child) => child.id);
for (const section of sections(main)) sent.set(section.id, section.outerHTML);

function replace(old, fresh) {
  const open = [...old.querySelectorAll("details[open][id]")].map((details) => details.id);
  const focused = old.contains(document.activeElement) ? pathTo(old, document.activeElement) : null;
  const scrolled = [...old.querySelectorAll("[id]")].filter((each) => each.scrollTop || each.scrollLeft);
  const places = scrolled.map((each) => [each.id, each.scrollTop, each.scrollLeft]);
  old.replaceWith(fresh);
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  for (const [id, top, left] of places) document.getElementById(id)?.scrollTo({ top, left, behavior: "instant" });
  if (focused) follow(fresh, focused)?.focus({ preventScroll: true });
}

function pathTo(root, element) {
  const path = [];
  for (let each = element; each !== root; each = each.parentElement) {
    path.unshift([...each.parentElement.children].indexOf(each));
  }
  return path;
}

const follow = (root, path) => path.reduce((element, index) => element?.children[index], root);

function update(html) {
  const parsed = new DOMParser().parseFromString(`<main>${html}</main>`, "text/html").querySelector("main");
  const fresh = sections(parsed);
  for (const old of sections(main)) {
    if (!fresh.some((each) => each.id === old.id) && !old.hasAttribute("data-kept")) old.remove();
  }
  let before = null;
  for (const section of fresh) {
    const old = document.getElementById(section.id);
    const isNew = sent.get(section.id) !== section.outerHTML;
    sent.set(section.id, section.outerHTML);
    if (!old) before ? before.after(section) : main.prepend(section);
    else if (isNew && !isBusy(old)) replace(old, section);
    before = document.getElementById(section.id);
  }
  chooseFirst();
  showChosen();
}

// A field that someone types into stays as it is.
const isBusy = (section) => section.contains(document.activeElement) && /^(INPUT|SELECT)$/.test(document.activeElement.tagName);

let source = null;

function listen() {
  if (!main.hasAttribute("data-live") || document.hidden || source) return;
  source = new EventSource(`/live?of=${encodeURIComponent(location.pathname + location.search)}`);
  source.onopen = () => say("live");
  source.onerror = () => say("not connected", true);
  source.onmessage = (event) => {
    const { html, problem } = JSON.parse(event.data);
    // A page about an error has said it.
    alarm.hidden = !problem || Boolean(main.querySelector('[role="alert"]'));
    alarm.textContent = problem;
    say(problem ? "not up to date" : "live", Boolean(problem));
    if (html) update(html);
  };
}

function stop() {
  source?.close();
  source = null;
}

function say(text, isLate = false) {
  sign.hidden = false;
  if (sign.textContent !== text) sign.textContent = text;
  sign.classList.toggle("late", isLate);
}

// A page that no one sees costs nothing.
document.addEventListener("visibilitychange", () => (document.hidden ? stop() : listen()));
addEventListener("pagehide", stop);
addEventListener("pageshow", listen);
chooseFirst();
showChosen();
listen();

// --- Uploads ---------------------------------------------------------------------------------------------------

const drop = document.getElementById("dropzone");
if (drop) {
  const prefix = document.getElementById("prefix");
  const choose = document.getElementById("choose");
  choose.addEventListener("change", () => {
    uploadAll(choose.files);
    choose.value = "";
  });
  for (const name of ["dragenter", "dragover"]) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    uploadAll(event.dataTransfer.files);
  });

  const waiting = [];
  let running = 0;

  function uploadAll(files) {
    for (const file of files) {
      const line = document.createElement("li");
      document.getElementById("uploads").prepend(line);
      waiting.push([file, prefix.value + file.name, line]);
    }
    next();
  }

  // Two at a time: more are not faster on one machine.
  function next() {
    while (running < 2 && waiting.length) {
      running += 1;
      upload(...waiting.shift());
    }
  }

  function upload(file, key, line) {
    const bar = document.createElement("progress");
    bar.max = file.size || 1;
    bar.setAttribute("aria-label", `Upload of ${key}`);
    const name = document.createElement("span");
    name.className = "code";
    name.textContent = key;
    const text = document.createElement("span");
    text.textContent = " is being uploaded";
    line.replaceChildren(bar, " ", name, text);
    const request = new XMLHttpRequest();
    const query = new URLSearchParams({ key, id: crypto.randomUUID() });
    request.open("POST", `/upload?${query}`);
    request.setRequestHeader("X-Form-Token", document.querySelector('meta[name="form-token"]').content);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => (bar.value = event.loaded);
    request.onloadend = () => {
      running -= 1;
      const answer = answerOf(request);
      bar.remove();
      text.textContent = answer.problem ? `: ${answer.problem}` : `: ${answer.message}`;
      line.className = answer.problem ? "bad" : "";
      if (!answer.problem) travel(key);
      next();
    };
    request.send(file);
  }

  function answerOf(request) {
    try {
      return JSON.parse(request.responseText);
    } catch {
      return { problem: "The console did not answer. Nothing was written, or it was aborted." };
    }
  }

  // The page follows the uploaded files from now on; loading it again shows them, too.
  function travel(key) {
    const query = new URLSearchParams(location.search);
    const keys = JSON.parse(query.get("keys") ?? "[]").filter((each) => each !== key);
    query.set("keys", JSON.stringify([key, ...keys].slice(0, 100)));
    history.replaceState(null, "", `${location.pathname}?${query}`);
    stop();
    listen();
  }
}
