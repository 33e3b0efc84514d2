/** A finished answer: its sentences with their marks and verdicts, the footnotes, and how it came about. */

import { ICONS, el, icon, outLink, placeLine, placeOf } from "./dom.js";
import { feedbackForm } from "./feedback.js";
import { attachPopover } from "./popover.js";
import { openSource } from "./source-panel.js";
import { duration, percent, shorten, unitOffset } from "./text.js";
import { ABSTENTIONS, UNKNOWN_ABSTENTION, degradedText, provenText, writerText } from "./wording.js";

const MARK = /\s?\[(\d{1,3})\]/g;
const STYLED = /\*\*([^*\n]+)\*\*|`([^`\n]+)`/g;
const BULLET = /(^|\n)[-*] /g;
const SNIPPET_LENGTH = 320;
const SHOWN_PASSAGES = 3;

/** The whole answer; `passages` are what the search found for it. */
export function answerView(answer, passages) {
  const abstained = answer.status === "abstained";
  return [
    abstained ? abstentionHead(answer) : answeredHead(answer),
    answer.degraded?.length > 0 && notices(answer.degraded),
    !abstained && prose(answer),
    !abstained && answer.citations.length > 0 && footnotes(answer),
    abstained && closest(answer, passages),
    el("footer", { class: "after" }, feedbackForm(answer.id), detailsOf(answer)),
  ].filter(Boolean);
}

function answeredHead({ status, grounding }) {
  const whole = status === "answered";
  return el(
    "p",
    { class: `verdict ${whole ? "whole" : "partly"}` },
    icon(whole ? ICONS.check : ICONS.half),
    el("strong", {}, whole ? provenText(grounding) : "Partly proven"),
    !whole && ` ${provenText(grounding)}. What is not proven is marked: don't rely on it.`,
  );
}

function abstentionHead({ reason, detail }) {
  const { headline, text } = ABSTENTIONS[reason] ?? UNKNOWN_ABSTENTION;
  return el(
    "div",
    { class: "abstention" },
    el("h3", {}, icon(reason === "generator_unavailable" ? ICONS.warn : ICONS.none), headline),
    el("p", {}, text),
    detail && el("p", { class: "quiet" }, detail),
  );
}

function notices(codes) {
  return el("ul", { class: "notices" }, codes.map((code) => el("li", {}, icon(ICONS.warn), degradedText(code))));
}

function prose(answer) {
  const box = el("div", { class: "prose" });
  const text = answer.answer;
  let unit = 0;
  let point = 0;
  for (const sentence of answer.sentences) {
    const start = unitOffset(text, sentence.start - point, unit);
    const end = unitOffset(text, sentence.end - sentence.start, start);
    box.append(bullets(text.slice(unit, start)), ...sentenceView(sentence, text.slice(start, end), answer.citations));
    [unit, point] = [end, sentence.end];
  }
  box.append(bullets(text.slice(unit)));
  return box;
}

function sentenceView(sentence, text, citations) {
  const node = el("span", { class: `sentence ${sentence.verdict}` }, ...pieces(sentence, text, citations));
  if (sentence.verdict !== "unsupported") return [node];
  const why = sentence.reason ? `: ${sentence.reason}` : "";
  return [node, " ", el("span", { class: "unproven" }, icon(ICONS.warn), `not proven${why}`)];
}

function pieces(sentence, text, citations) {
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(MARK)) {
    const number = Number(match[1]);
    const citation = citations.find(({ n }) => n === number);
    if (!citation || !sentence.citations.includes(number)) continue;
    nodes.push(...styled(text.slice(from, match.index)), mark(citation, citations));
    from = match.index + match[0].length;
  }
  nodes.push(...styled(text.slice(from)));
  return nodes;
}

function bullets(text) {
  return text.replace(BULLET, "$1• ");
}

/** Bold, code and list items, as models like to write them; everything else stays as it is. */
function styled(raw) {
  const text = bullets(raw);
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(STYLED)) {
    nodes.push(text.slice(from, match.index), match[1] ? el("strong", {}, match[1]) : el("code", {}, match[2]));
    from = match.index + match[0].length;
  }
  nodes.push(text.slice(from));
  return nodes.filter((node) => node !== "");
}

function mark(citation, citations) {
  const button = el(
    "button",
    {
      type: "button",
      class: "mark",
      "data-n": citation.n,
      "aria-label": `Footnote ${citation.n}: ${placeOf(citation).title}`,
      onclick: () => openSource(citations, citation.n, button),
    },
    String(citation.n),
  );
  attachPopover(button, citation);
  return button;
}

function footnotes({ citations }) {
  const items = citations.map((citation) => {
    const open = el(
      "button",
      { type: "button", class: "quote", onclick: () => openSource(citations, citation.n, open) },
      shorten(citation.quote, SNIPPET_LENGTH),
    );
    return el("li", { value: citation.n, "data-n": citation.n }, open, sourceLine(citation));
  });
  return el("section", { class: "footnotes", "aria-label": "Footnotes" }, el("h3", {}, "Footnotes"), el("ol", {}, items));
}

function sourceLine(item) {
  const { document: source } = item;
  return el(
    "p",
    { class: "place" },
    el("strong", {}, placeOf(item).title),
    el("span", {}, placeLine(item)),
    source.url && outLink(source.url, "Original"),
  );
}

function closest({ reason }, passages) {
  if (passages.length === 0) {
    return el(
      "p",
      { class: "quiet" },
      "The search found no passage at all. There may be no documents in these collections, or none that you may read.",
    );
  }
  const title = reason === "conflicting_sources" ? "The passages" : "Closest passages, not proof";
  const items = passages.map((passage, index) => {
    const cited = { ...passage, n: index + 1, quote: passage.text };
    const open = el(
      "button",
      { type: "button", class: "quote", onclick: () => openSource([cited], cited.n, open, "Passage") },
      shorten(passage.text, SNIPPET_LENGTH),
    );
    return el("li", {}, open, sourceLine(passage));
  });
  const rest = items.slice(SHOWN_PASSAGES);
  return el(
    "section",
    { class: "footnotes closest", "aria-label": title },
    el("h3", {}, title),
    el("ul", {}, items.slice(0, SHOWN_PASSAGES)),
    rest.length > 0 && el("details", {}, el("summary", {}, `${rest.length} more`), el("ul", {}, rest)),
  );
}

function detailsOf(answer) {
  const { grounding, generator, verifier, timings_ms: timings, index } = answer;
  const rows = [
    ["Grounding", `${percent(grounding.score)} (${sentenceCounts(grounding)})`],
    ["Written from", writerText(generator)],
    ["Checked by", verifier.name + (verifier.truncated ? ", in part" : "")],
    ["Time", Object.entries(timings).map(([step, ms]) => `${step} ${duration(ms)}`).join(", ")],
    ["Index", `generation ${index.generation}, change ${index.seq}`],
    ["Answer", answer.id],
  ];
  const summary = [
    grounding.sentences > 0 && `grounding ${percent(grounding.score)}`,
    generator.model ?? generator.kind,
    duration(timings.total),
  ];
  return el(
    "details",
    { class: "facts" },
    el("summary", {}, summary.filter(Boolean).join(" · ")),
    el("dl", {}, rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
  );
}

function sentenceCounts({ supported, unsupported, uncheckable }) {
  const counts = [[supported, "supported"], [unsupported, "unsupported"], [uncheckable, "uncheckable"]];
  return counts.filter(([count]) => count > 0).map(([count, name]) => `${count} ${name}`).join(", ") || "nothing written";
}
