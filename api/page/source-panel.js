/** The document behind a footnote, opened at the characters that it quotes. */

import { documentText } from "./api.js";
import { el, outLink, placeLine, placeOf } from "./dom.js";
import { hidePopover } from "./popover.js";
import { unitRange } from "./text.js";

// A page of a longer document is shown at a time: browsers lay out a million characters in one block slowly.
const AROUND = 40_000;
const KEPT = 8;
const overlay = window.matchMedia("(max-width: 1099px)");
const panel = document.getElementById("source");
const texts = new Map();
let opener = null;
let turn = 0;

/** Prepare the panel: Escape closes it, and beneath an overlay nothing can be reached. */
export function installSourcePanel() {
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !panel.hidden && !document.querySelector("dialog[open]")) closeSource();
  });
  overlay.addEventListener("change", shield);
}

/** Open the source of footnote `n`, with a way to the other footnotes of the same answer. */
export async function openSource(citations, n, from, noun = "Footnote") {
  hidePopover();
  const mine = (turn += 1);
  if (from) opener = from;
  const index = citations.findIndex((citation) => citation.n === n);
  const citation = citations[index];
  const body = el("div", { class: "text", tabindex: "0", role: "region", "aria-label": "Document text" });
  const proof = el("p", { class: "proof quiet", role: "status" }, "Loading the document…");
  const heading = el("h2", { id: "source-title", tabindex: "-1" }, placeOf(citation).title);
  const step = (to, label, sign) =>
    el(
      "button",
      { type: "button", class: "small", "aria-label": label, title: label, disabled: !citations[to],
        onclick: () => openSource(citations, citations[to].n, null, noun) },
      sign,
    );
  panel.replaceChildren(
    el(
      "header",
      {},
      el(
        "div",
        { class: "tools" },
        el("span", { class: "quiet" }, citations.length > 1 ? `${noun} ${n} of ${citations.length}` : noun),
        citations.length > 1 && step(index - 1, "Previous footnote", "‹"),
        citations.length > 1 && step(index + 1, "Next footnote", "›"),
        el("button", { type: "button", class: "small close", "aria-label": "Close source", onclick: closeSource }, "Close"),
      ),
      heading,
      el("p", { class: "place" }, el("span", {}, placeLine(citation)), citation.document.url && outLink(citation.document.url, "Original")),
      proof,
    ),
    body,
  );
  panel.hidden = false;
  document.body.classList.add("with-source");
  shield();
  heading.focus({ preventScroll: true });
  markCurrent(n);
  try {
    const text = await loadText(citation.document);
    if (mine === turn) fill(body, proof, text, citation);
  } catch (problem) {
    if (mine !== turn) return;
    proof.textContent = `The document cannot be shown. ${problem.message}`;
  }
}

export function closeSource() {
  turn += 1;
  panel.hidden = true;
  document.body.classList.remove("with-source");
  shield();
  markCurrent(null);
  if (opener?.isConnected) opener.focus();
  opener = null;
}

function shield() {
  for (const part of document.querySelectorAll("[data-beneath]")) part.inert = overlay.matches && !panel.hidden;
}

function markCurrent(n) {
  for (const mark of document.querySelectorAll(".mark, .footnotes li")) {
    mark.classList.toggle("current", mark.dataset.n !== undefined && Number(mark.dataset.n) === n);
  }
}

async function loadText({ id, version }) {
  const key = `${id}@${version}`;
  const known = texts.get(key);
  if (known !== undefined) return known;
  const text = await documentText(id, version);
  if (texts.size >= KEPT) texts.delete(texts.keys().next().value);
  texts.set(key, text);
  return text;
}

function fill(body, proof, text, citation) {
  const [start, end] = unitRange(text, citation.char_start, citation.char_end);
  const quoted = text.slice(start, end);
  const exact = quoted === citation.quote && quoted !== "";
  proof.textContent = exact
    ? `Characters ${citation.char_start}–${citation.char_end} of this version: the same, to the letter, as the quote.`
    : "The quote differs from this place in the document: treat it as unproven.";
  proof.classList.toggle("wrong", !exact);
  const mark = el("mark", { tabindex: "-1" }, quoted);
  const before = el("span", {});
  const after = el("span", {});
  let [first, last] = [cut(text, start - AROUND), cut(text, end + AROUND)];
  const earlier = el("button", { type: "button", class: "small more", onclick: () => extend(AROUND, 0) }, "Show what comes before");
  const later = el("button", { type: "button", class: "small more", onclick: () => extend(0, AROUND) }, "Show what comes after");

  function extend(back, ahead) {
    first = cut(text, first - back);
    last = cut(text, last + ahead);
    before.textContent = text.slice(first, start);
    after.textContent = text.slice(end, last);
    earlier.hidden = first === 0;
    later.hidden = last === text.length;
  }

  extend(0, 0);
  body.replaceChildren(earlier, before, mark, after, later);
  const room = body.clientHeight / 3;
  body.scrollTop = Math.max(0, mark.offsetTop - body.offsetTop - room);
}

/** A place to cut `text` near `unit` that does not halve a character. */
function cut(text, unit) {
  const at = Math.max(0, Math.min(unit, text.length));
  const low = text.charCodeAt(at);
  return at > 0 && low >= 0xdc00 && low <= 0xdfff ? at - 1 : at;
}
