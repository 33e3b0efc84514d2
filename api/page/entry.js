/** One question of this session: asked, followed while it is worked on, then shown with its outcome. */

import { Problem, call, events, unreachable } from "./api.js";
import { answerView } from "./answer-view.js";
import { ICONS, el, icon } from "./dom.js";
import { duration } from "./text.js";

const STAGES = [["search", "Searching"], ["write", "Writing"], ["check", "Checking"]];

/**
 * Ask `request` (the body of `POST /v1/answer`). `onchange` is called with the entry whenever its state changes:
 * `running`, then `done`, `stopped` or `failed`. `again` is what "Ask again" does.
 */
export function ask(request, { onchange, again }) {
  const entry = {
    request,
    state: "running",
    passages: [],
    draft: "",
    checked: 0,
    proven: 0,
    answer: null,
    problem: null,
    node: el("article", { class: "entry" }),
    stop: () => controller.abort(),
  };
  const controller = new AbortController();
  const running = runningView(entry);
  const show = (...children) => entry.node.replaceChildren(el("h2", { class: "asked" }, request.question), ...children);
  show(running.node);

  async function follow() {
    try {
      const response = await call("/v1/answer", {
        method: "POST",
        body: { ...request, stream: true },
        signal: controller.signal,
      });
      for await (const { name, value } of events(response)) {
        take(entry, name, value);
        running.update();
        if (entry.answer) break;
      }
      if (!entry.answer) throw unreachable();
      entry.state = "done";
      show(...answerView(entry.answer, entry.passages));
    } catch (error) {
      if (controller.signal.aborted) {
        entry.state = "stopped";
        show(stoppedView(entry, again));
      } else {
        entry.state = "failed";
        entry.problem = error instanceof Problem ? error : unreachable();
        show(problemView(entry, again));
      }
    }
    onchange(entry);
  }

  onchange(entry);
  entry.finished = follow();
  return entry;
}

function take(entry, name, value) {
  if (name === "retrieval") entry.passages = value.results;
  else if (name === "delta") entry.draft += value.text;
  else if (name === "done") entry.answer = value;
  else if (name === "error") throw new Problem(value);
  else if (name === "sentence") {
    entry.checked += 1;
    if (value.verdict === "supported") entry.proven += 1;
  }
}

function runningView(entry) {
  const began = performance.now();
  const steps = new Map(
    STAGES.map(([name, label]) => {
      const note = el("span", { class: "note" });
      return [name, { note, node: el("li", { "data-step": name }, el("span", { class: "lamp" }), label, note) }];
    }),
  );
  const draft = el("div", { class: "draft", hidden: true });
  const text = el("p", {});
  draft.append(el("p", { class: "label" }, "Draft, not checked yet"), text);
  const node = el("div", { class: "running" }, el("ol", { class: "stages" }, [...steps.values()].map((step) => step.node)), draft);
  let found = false;

  function set(name, state, note) {
    steps.get(name).node.dataset.state = state;
    if (note !== undefined) steps.get(name).note.textContent = note;
  }

  function update() {
    if (!found && entry.passages.length > 0) {
      found = true;
      set("search", "done", `${entry.passages.length} passages, ${duration(performance.now() - began)}`);
      set("write", "now");
    }
    if (entry.draft) {
      draft.hidden = false;
      text.textContent = entry.draft;
    }
    if (entry.checked > 0) set("check", "now", `${entry.proven} of ${entry.checked} sentences proven so far`);
  }

  set("search", "now");
  return { node, update };
}

function stoppedView(entry, again) {
  return el(
    "div",
    { class: "problem stopped" },
    el("h3", {}, "Stopped"),
    el("p", {}, entry.draft ? "What was written until then has not been checked:" : "Nothing had been written yet."),
    entry.draft && el("div", { class: "draft" }, el("p", { class: "label" }, "Draft, not checked"), el("p", {}, entry.draft)),
    el("button", { type: "button", class: "small", onclick: () => again(entry.request) }, "Ask again"),
  );
}

function problemView(entry, again) {
  const { title, detail, errors, requestId } = entry.problem;
  // The detail often names the fields already: they are listed only when they say something more.
  const more = errors.filter(({ message }) => !detail.includes(message));
  return el(
    "div",
    { class: "problem", role: "alert" },
    el("h3", {}, icon(ICONS.warn), title),
    el("p", {}, detail),
    more.length > 0 && el("ul", {}, more.map(({ field, message }) => el("li", {}, field ? `${field}: ${message}` : message))),
    requestId && el("p", { class: "quiet" }, "Request ", el("code", {}, requestId)),
    el("button", { type: "button", class: "small", onclick: () => again(entry.request) }, "Ask again"),
  );
}
