/** The page: the question box, this session's questions, and the answer that is looked at. */

import { askForAccess, installAccess } from "./access.js";
import { chooseCollections, chosenCollections, installCollections, loadCollections } from "./collections.js";
import { el } from "./dom.js";
import { ask } from "./entry.js";
import { installPopover } from "./popover.js";
import { closeSource, installSourcePanel } from "./source-panel.js";
import { installTheme } from "./theme.js";
import { ABSTENTIONS, UNKNOWN_ABSTENTION, provenText } from "./wording.js";

const form = document.getElementById("ask");
const box = document.getElementById("question");
const send = document.getElementById("send");
const stop = document.getElementById("stop");
const stage = document.getElementById("answer");
const welcome = document.getElementById("welcome");
const banner = document.getElementById("banner");
const past = document.getElementById("past");
const pastList = document.getElementById("past-list");
const touch = window.matchMedia("(pointer: coarse)");
const entries = [];
let shown = null;
let running = null;

function submit() {
  const question = box.value.trim();
  if (running || question === "") {
    box.focus();
    return;
  }
  const request = { question, audience: form.elements.audience.value };
  const collections = chosenCollections();
  if (collections.length > 0) request.collections = collections;
  start(request);
}

function start(request) {
  if (running) return;
  closeSource();
  box.value = "";
  box.placeholder = "Ask another question";
  grow();
  if (touch.matches) box.blur();
  chooseCollections(request.collections ?? []);
  form.elements.audience.value = request.audience;
  const entry = ask(request, { onchange: changed, again: start });
  entries.push(entry);
  running = entry;
  look(entry);
}

function look(entry) {
  shown = entry;
  welcome.hidden = true;
  stage.replaceChildren(entry.node);
  refresh();
}

async function changed(entry) {
  if (entry.state !== "running") {
    running = null;
    if (entry.state !== "done" && box.value === "") restore(entry.request.question);
  }
  refresh();
  if (entry.state === "failed" && entry.problem.status === 401) {
    if (await askForAccess(entry.problem)) start(entry.request);
  }
}

function refresh() {
  send.hidden = running !== null;
  stop.hidden = running === null;
  // Screen readers wait until a region is no longer busy: they read the answer once, not each piece of the draft.
  stage.setAttribute("aria-busy", String(shown?.state === "running"));
  past.hidden = entries.length === 0;
  pastList.replaceChildren(
    ...entries.toReversed().map((entry) =>
      el(
        "li",
        {},
        el(
          "button",
          {
            type: "button",
            "aria-current": entry === shown ? "true" : null,
            onclick: () => {
              closeSource();
              look(entry);
            },
          },
          entry.request.question,
          el("small", {}, outcome(entry)),
        ),
      ),
    ),
  );
}

function outcome({ state, answer, problem }) {
  if (state === "running") return "being answered";
  if (state === "stopped") return "stopped";
  if (state === "failed") return problem.title.toLowerCase();
  if (answer.status === "abstained") return (ABSTENTIONS[answer.reason] ?? UNKNOWN_ABSTENTION).headline.toLowerCase();
  return provenText(answer.grounding).toLowerCase();
}

/** Load what the page needs before a question; says what is wrong if it cannot. */
async function prepare() {
  banner.hidden = true;
  try {
    await loadCollections();
  } catch (problem) {
    if (problem.status === 401) {
      if (await askForAccess(problem)) return;
    }
    banner.textContent = problem.message;
    banner.hidden = false;
  }
}

function restore(question) {
  box.value = question;
  grow();
}

function grow() {
  box.style.height = "auto";
  box.style.height = `${Math.min(box.scrollHeight + 2, 260)}px`;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
box.addEventListener("keydown", (event) => {
  // While an input method composes a word, Enter belongs to it.
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    submit();
  }
});
box.addEventListener("input", grow);
stop.addEventListener("click", () => running?.stop());
installTheme();
installPopover();
installSourcePanel();
installCollections();
installAccess(prepare);
// A link such as /#q=How+much+leave brings its question along; the part after # never leaves the browser.
restore(new URLSearchParams(location.hash.slice(1)).get("q") ?? "");
if (!touch.matches) box.focus();
prepare();
