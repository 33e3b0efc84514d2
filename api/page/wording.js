/** What the service's codes mean to a person. */

export const ABSTENTIONS = {
  no_evidence: {
    headline: "The documents don't say",
    text: "Nothing that you may read answers this question. Rather than guess, Footnote gives no answer.",
  },
  low_grounding: {
    headline: "The documents don't say",
    text:
      "An answer was written, but too little of it could be proven by your documents, so it is withheld. " +
      "A more specific question may help.",
  },
  conflicting_sources: {
    headline: "The documents contradict each other",
    text: "Your documents say different things about this. Compare the passages and decide which one holds.",
  },
  generator_unavailable: {
    headline: "No answer could be written",
    text: "The language model that writes answers cannot be reached. The search still works: this is what it found.",
  },
};

export const UNKNOWN_ABSTENTION = {
  headline: "The documents don't say",
  text: "Footnote gives no answer to this question.",
};

const DEGRADED = {
  generator: "The language model was not available for this answer.",
  generator_cut_off: "The language model reached its length limit: the answer may stop too early.",
  verifier_truncated: "The answer was too long to be checked in full: a part of it was not looked at.",
};

/** One sentence about a part of the service that was missing. */
export function degradedText(code) {
  return DEGRADED[code] ?? `A part of the service was missing for this answer (${code.replaceAll("_", " ")}).`;
}

const WRITERS = {
  extractive: "the documents' own sentences",
  openai: "language model",
  tgi: "language model",
};

/** Who wrote the draft. */
export function writerText({ kind, model }) {
  const who = WRITERS[kind] ?? kind;
  return model ? `${who} ${model}` : who;
}

/** What was proven, in a few words. */
export function provenText({ supported, unsupported }) {
  const checkable = supported + unsupported;
  if (checkable === 0) return "Nothing here could be checked";
  if (unsupported === 0 && checkable === 1) return "Proven by your documents";
  if (unsupported === 0) return checkable === 2 ? "Both sentences proven" : `All ${checkable} sentences proven`;
  return `${supported} of ${checkable} sentences proven`;
}
