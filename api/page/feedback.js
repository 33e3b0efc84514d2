/** A reader's judgement of an answer: a thumb, and a comment if they like. */

import { call } from "./api.js";
import { ICONS, el, icon } from "./dom.js";

/** The two thumbs under an answer, and the form that opens with either. */
export function feedbackForm(answerId) {
  const state = { rating: null };
  const thumbs = [["up", "Good answer", ICONS.up], ["down", "Bad answer", ICONS.down]].map(([rating, label, path]) =>
    el(
      "button",
      {
        type: "button",
        class: "thumb",
        "data-rating": rating,
        "aria-label": label,
        title: label,
        "aria-pressed": "false",
        onclick: () => choose(rating),
      },
      icon(path),
    ),
  );
  const comment = el("textarea", { rows: "2", maxlength: "50000", "aria-label": "Comment", placeholder: "Comment (optional)" });
  const correction = el("textarea", {
    rows: "2",
    maxlength: "50000",
    "aria-label": "The right answer",
    placeholder: "The right answer, if you know it (optional)",
  });
  const send = el("button", { type: "submit", class: "small" }, "Send feedback");
  const form = el("form", { class: "comment", hidden: true, onsubmit: submit }, comment, correction, send);
  const said = el("p", { role: "status", class: "quiet said" });
  const box = el(
    "div",
    { class: "feedback" },
    el("div", { class: "thumbs", role: "group", "aria-label": "Was this answer right?" }, thumbs),
    form,
    said,
  );

  function choose(rating) {
    state.rating = state.rating === rating ? null : rating;
    for (const thumb of thumbs) thumb.setAttribute("aria-pressed", String(thumb.dataset.rating === state.rating));
    form.hidden = state.rating === null;
    correction.hidden = state.rating !== "down";
    said.textContent = "";
    if (!form.hidden) comment.focus();
  }

  async function submit(event) {
    event.preventDefault();
    send.disabled = true;
    const body = { rating: state.rating };
    if (comment.value.trim()) body.comment = comment.value.trim();
    if (state.rating === "down" && correction.value.trim()) body.correction = correction.value.trim();
    try {
      await call(`/v1/answers/${encodeURIComponent(answerId)}/feedback`, { method: "POST", body });
      form.hidden = true;
      for (const thumb of thumbs) thumb.disabled = true;
      said.textContent = "Thank you: your feedback is kept with this answer.";
    } catch (problem) {
      said.textContent = `Not sent. ${problem.message}`;
    } finally {
      send.disabled = false;
    }
  }

  return box;
}
