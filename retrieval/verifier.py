"""The deterministic verifier:

proves each sentence of an answer by the words, numbers and names of the passages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from retrieval.sentences import split_sentences
from retrieval.terms import content_terms
from retrieval.verification import Evidence, SentenceVerdict, Verdict, Verification
from retrieval.verify.claims import blank_marks, is_uncheckable, split_clauses
from retrieval.verify.evidence import EvidenceIndex, Window
from retrieval.verify.findings import Claim, Findings, coverage, examine, pool_of
from retrieval.verify.scoring import PLAIN, THRESHOLD, Weights, score

MAX_ANSWER_CHARS = 50_000  # what lies beyond is not looked at
NEUTRAL = 0.5  # the score of a sentence, and of an answer, that claims nothing: neither proven nor disproven

_CANDIDATE_UNITS = 8
_CANDIDATE_WINDOWS = 6
_SIZE_PENALTY = 0.02  # coverage that a longer window must bring for each further sentence
_CLOSE = 0.85  # windows with less than this share of the best coverage are not considered
_PRONOUNS = frozenset(["it", "its", "they", "their", "them", "he", "she", "his", "her", "both", "such"])
_SHORT = 4  # content terms; a sentence with fewer may lean on the question


class SentenceEncoder(Protocol):
    """What the verifier needs of an encoder."""

    def encode(self, texts: list[str]) -> npt.NDArray[np.float32]:
        """Return one L2-normalised row for each text."""
        ...


@dataclass(frozen=True, slots=True)
class _Proof:
    score: float
    findings: Findings
    windows: tuple[Window, ...]


class DeterministicVerifier:
    """Checks quotes, numbers, names, denials, opposites and the coverage of content words. Needs no model."""

    def __init__(self, encoder: SentenceEncoder | None = None, weights: Weights = PLAIN) -> None:
        self._encoder = encoder
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
        proof = self._prove(claim, index)
        clauses = split_clauses(text)
        if len(clauses) > 1:
            parts = [
                self._prove(Claim(text[a:b], index, topic if number == 0 else text[: clauses[0][1]]), index)
                for number, (a, b) in enumerate(clauses)
            ]
            combined = 0.6 * min(part.score for part in parts) + 0.4 * sum(
                part.score for part in parts
            ) / len(parts)
            worst = min(parts, key=lambda part: part.score)
            if combined > proof.score:
                windows = tuple(dict.fromkeys(window for part in parts for window in part.windows))
                proof = _Proof(combined, worst.findings, windows)
        if proof.score >= THRESHOLD:
            evidence = tuple(_evidence(index, window, claim, proof.score) for window in proof.windows)
            ordered = tuple(sorted(evidence, key=lambda each: -each.score))
            return SentenceVerdict(shown, start, end, Verdict.SUPPORTED, proof.score, ordered)
        reason = (
            proof.findings.reasons[0] if proof.findings.reasons else "too little of it is in the passages"
        )
        return SentenceVerdict(shown, start, end, Verdict.UNSUPPORTED, proof.score, (), reason)

    def _prove(self, claim: Claim, index: EvidenceIndex) -> _Proof:
        """Find the window that supports the claim best."""
        weights = claim.weights | claim.topic
        ranked = {
            window: coverage(claim.lookup, pool_of(index.units[window.first : window.last + 1]))
            - _SIZE_PENALTY * min(3, window.last - window.first)
            for position in index.best_units(claim.lookup, _CANDIDATE_UNITS)
            for window in index.windows(position)
        }
        if not ranked or not weights | claim.lookup:
            return _Proof(0.0, Findings(), ())
        best = sorted(ranked, key=lambda window: (-ranked[window], window.first, window.last))
        best = [window for window in best if ranked[window] >= _CLOSE * ranked[best[0]]][:_CANDIDATE_WINDOWS]
        proofs = []
        for window in best:
            findings = examine(claim, index, window)
            proofs.append(_Proof(score(findings, self._weights), findings, (window,)))
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
    """Return an answer's score from its checkable sentences:

    0.0 for no sentence, 0.5 if none claims anything.
    """
    scores = [sentence.score for sentence in sentences if sentence.verdict is not Verdict.UNCHECKABLE]
    if not scores:
        return NEUTRAL if sentences else 0.0
    return 0.5 * min(scores) + 0.5 * sum(scores) / len(scores)
