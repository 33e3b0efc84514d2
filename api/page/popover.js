/** The quote behind a footnote mark, shown beside it on hover and focus. */

import { el, placeLine, placeOf } from "./dom.js";
import { shorten } from "./text.js";

const SHOW_MS = 90;
const HIDE_MS = 180;
const QUOTE_LENGTH = 420;

const box = el("div", { id: "popover", role: "tooltip", class: "popover", hidden: true });
let timer = 0;
let anchor = null;

/** Prepare the one popover that all marks share. */
export function installPopover() {
  document.body.append(box);
  box.addEventListener("pointerenter", () => clearTimeout(timer));
  box.addEventListener("pointerleave", () => later(hidePopover, HIDE_MS));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !box.hidden) {
      event.stopPropagation();
      hidePopover();
    }
  }, true);
  for (const name of ["scroll", "resize"]) window.addEventListener(name, hidePopover, { passive: true });
}

/** Show `citation` whenever the reader points at `mark`. */
export function attachPopover(mark, citation) {
  mark.addEventListener("pointerenter", (event) => {
    if (event.pointerType !== "touch") later(() => show(mark, citation), SHOW_MS);
  });
  mark.addEventListener("pointerleave", () => later(hidePopover, HIDE_MS));
  mark.addEventListener("focus", () => {
    if (mark.matches(":focus-visible")) show(mark, citation);
  });
  mark.addEventListener("blur", hidePopover);
}

export function hidePopover() {
  clearTimeout(timer);
  box.hidden = true;
  anchor?.removeAttribute("aria-describedby");
  anchor = null;
}

function later(action, ms) {
  clearTimeout(timer);
  timer = setTimeout(action, ms);
}

function show(mark, citation) {
  hidePopover();
  if (!mark.isConnected) return;
  box.replaceChildren(
    el("blockquote", {}, shorten(citation.quote, QUOTE_LENGTH)),
    el("p", { class: "place" }, el("strong", {}, placeOf(citation).title), el("span", {}, placeLine(citation))),
  );
  box.hidden = false;
  anchor = mark;
  mark.setAttribute("aria-describedby", box.id);
  place(mark.getBoundingClientRect());
}

function place(at) {
  const margin = 8;
  const { width, height } = box.getBoundingClientRect();
  const right = document.documentElement.clientWidth - width - margin;
  const above = at.top - height - margin;
  box.style.left = `${Math.max(margin, Math.min(at.left + at.width / 2 - width / 2, right))}px`;
  box.style.top = `${above >= margin ? above : at.bottom + margin}px`;
}
