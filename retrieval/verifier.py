"""The deterministic verifier: proves each sentence by the words, numbers and names of the passages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from retrieval.sentences import split_sentences
from retrieval.terms import content_terms
from retrieval.verification import Evidence, SentenceVerdict, Verdict, Verification
from retrieval.verify.claims import blank_marks, is_uncheckable, split_clauses
from retrieval.verify.evidence import EvidenceIndex, Window
from retrieval.verify.findings import Claim, Findings, coverage, examine, pool_of
from retrieval.verify.scoring import PLAIN, THRESHOLD, Weights, score

MAX_ANSWER_CHARS = 50_000  # what lies beyond is not looked at
# The score of a sentence, and of an answer, that claims nothing: nothing in it is false, but nothing is proven,
# so it stands just under the threshold.
NEUTRAL = 0.45

_CANDIDATE_UNITS = 8
_CANDIDATE_WINDOWS = 6
_SIZE_PENALTY = 0.02  # coverage that a longer window must bring for each further sentence
_CLOSE = 0.85  # windows with less than this share of the best coverage are not considered
_PRONOUNS = frozenset(["it", "its", "they", "their", "them", "he", "she", "his", "her", "both", "such"])
_SHORT = 4  # content terms; a sentence with fewer may lean on the question


@dataclass(frozen=True, slots=True)
class Proof:
    """The best that was found for one claim: its score, what the checks say, and where."""

    score: float
    findings: Findings
    windows: tuple[Window, ...]


class DeterministicVerifier:
    """Checks quotes, numbers, names, denials, opposites and the coverage of content words. Needs no model."""

    def __init__(self, weights: Weights = PLAIN) -> None:
        self._weights = weights

    @property
    def name(self) -> str:
        """Name and version."""
        return "deterministic-1"

    def verify(self, answer: str, passages: Sequence[str], question: str | None = None) -> Verification:
        """Judge ``answer`` against ``passages``; see :class:`retrieval.verification.Verifier`."""
        index = EvidenceIndex(passages)
        looked_at = blank_marks(answer[:MAX_ANSWER_CHARS])
        sentences: list[SentenceVerdict] = []
        previous = ""
        for span in split_sentences(answer[:MAX_ANSWER_CHARS]):
            text = looked_at[span.start : span.end]
            sentences.append(
                self._judge(answer[span.start : span.end], text, span.start, index, question or "", previous)
            )
            previous = text
        return Verification(
            response_score(sentences), tuple(sentences), index.truncated or len(answer) > MAX_ANSWER_CHARS
        )

    def _judge(
        self, shown: str, text: str, start: int, index: EvidenceIndex, question: str, previous: str
    ) -> SentenceVerdict:
        end = start + len(shown)
        topic = _topic(text, question, previous)
        claim = Claim(text, index, topic)
        if is_uncheckable(text) or not (claim.weights or claim.quantities):
            return SentenceVerdict(shown, start, end, Verdict.UNCHECKABLE, NEUTRAL)
        proof = self.prove(claim, index)
        clauses = split_clauses(text)
        if len(clauses) > 1:
            parts = [
                self.prove(Claim(text[a:b], index, topic if number == 0 else text[: clauses[0][1]]), index)
                for number, (a, b) in enumerate(clauses)
            ]
            combined = 0.6 * min(part.score for part in parts) + 0.4 * sum(
                part.score for part in parts
            ) / len(parts)
            worst = min(parts, key=lambda part: part.score)
            if combined > proof.score:
                windows = tuple(dict.fromkeys(window for part in parts for window in part.windows))
                proof = Proof(combined, worst.findings, windows)
        if proof.score >= THRESHOLD:
            evidence = tuple(_evidence(index, window, claim, proof.score) for window in proof.windows)
            ordered = tuple(sorted(evidence, key=lambda each: -each.score))
            return SentenceVerdict(shown, start, end, Verdict.SUPPORTED, proof.score, ordered)
        reason = (
            proof.findings.reasons[0] if proof.findings.reasons else "too little of it is in the passages"
        )
        return SentenceVerdict(shown, start, end, Verdict.UNSUPPORTED, proof.score, (), reason)

    def prove(self, claim: Claim, index: EvidenceIndex) -> Proof:
        """Find the window that supports the claim best."""
        ranked = {
            window: coverage(claim.lookup, pool_of(index.units[window.first : window.last + 1]))
            - _SIZE_PENALTY * min(3, window.last - window.first)
            for position in index.best_units(claim.lookup, _CANDIDATE_UNITS)
            for window in index.windows(position)
        }
        if not ranked:
            findings = Findings(
                foreign=sum(claim.weights.values()), missing_numbers=float(bool(claim.quantities))
            )
            return Proof(score(findings, self._weights), findings, ())
        best = sorted(ranked, key=lambda window: (-ranked[window], window.first, window.last))
        best = [window for window in best if ranked[window] >= _CLOSE * ranked[best[0]]][:_CANDIDATE_WINDOWS]
        proofs = []
        for window in best:
            findings = examine(claim, index, window)
            proofs.append(Proof(score(findings, self._weights), findings, (window,)))
        return max(proofs, key=lambda proof: proof.score)


def _topic(text: str, question: str, previous: str) -> str:
    """Return the text that a sentence leans on:

    the question for a fragment, the sentence before for a pronoun.
    """
    first = text.split(maxsplit=1)[0].lower().strip(",") if text.split() else ""
    if first in _PRONOUNS:
        return previous or question
    if len(content_terms(text)) < _SHORT:
        return question
    return ""


def _evidence(index: EvidenceIndex, window: Window, claim: Claim, value: float) -> Evidence:
    """Return the window's characters without the sentences at its ends that add nothing."""
    units = index.units[window.first : window.last + 1]
    full = coverage(claim.lookup, pool_of(units))
    while len(units) > 1 and coverage(claim.lookup, pool_of(units[1:])) >= full:
        units = units[1:]
    while len(units) > 1 and coverage(claim.lookup, pool_of(units[:-1])) >= full:
        units = units[:-1]
    return Evidence(units[0].passage, units[0].start, units[-1].end, value)


def response_score(sentences: Sequence[SentenceVerdict]) -> float:
    """Return an answer's score: 0.0 for no sentence, just under the threshold if none claims anything.

    Otherwise half the worst checkable sentence and half their mean. The worst alone, the mean alone and the product
    rank answers of several sentences no better (``bench/verifier.py``).
    """
    scores = [sentence.score for sentence in sentences if sentence.verdict is not Verdict.UNCHECKABLE]
    if not scores:
        return NEUTRAL if sentences else 0.0
    return 0.5 * min(scores) + 0.5 * sum(scores) / len(scores)
