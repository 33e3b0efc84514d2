"""The deterministic verifier: proves each sentence by the words, numbers and names of the passages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from retrieval.sentences import split_sentences
from retrieval.terms import content_terms
from retrieval.verify.claims import blank_marks, is_uncheckable, split_clauses
from retrieval.verify.evidence import EvidenceIndex, Window
from retrieval.verify.findings import Claim, Findings, coverage, examine, pool_of
from retrieval.verify.scoring import PLAIN, THRESHOLD, Weights, score
from retrieval.verify.verification import Evidence, SentenceVerdict, Verdict, Verification

# What lies beyond these is not looked at, and the verification says so.
MAX_ANSWER_CHARS = 50_000
MAX_SENTENCES = 300
MAX_SENTENCE_CHARS = 2_000
# The score of a sentence, and of an answer, that claims nothing: nothing in it is false, but nothing is proven,
# so it stands just under the threshold.
NEUTRAL = 0.45
# The score of a sentence that stands in the passages to the letter.
VERBATIM = 0.99

_CANDIDATE_UNITS = 8
_CANDIDATE_WINDOWS = 6
_SIZE_PENALTY = 0.02  # coverage that a longer window must bring for each further sentence
_CLOSE = 0.85  # windows with less than this share of the best coverage are not considered
_PRONOUNS = frozenset(["it", "its", "they", "their", "them", "he", "she", "his", "her", "both", "such"])
_MAX_CLAUSES = 8
_TOO_LONG = "too long to be checked"
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
        """Judge ``answer`` against ``passages``; see :class:`retrieval.verify.verification.Verifier`."""
        index = EvidenceIndex(passages)
        shown = answer[:MAX_ANSWER_CHARS]
        blanked = blank_marks(shown)
        truncated = index.truncated or len(answer) > len(shown)
        sentences: list[SentenceVerdict] = []
        previous = ""
        for number, span in enumerate(split_sentences(shown)):
            text = blanked[span.start : span.end]
            if number >= MAX_SENTENCES or len(text) > MAX_SENTENCE_CHARS:
                truncated = True
                verdict = SentenceVerdict(
                    shown[span.start : span.end],
                    span.start,
                    span.end,
                    Verdict.UNSUPPORTED,
                    0.0,
                    (),
                    _TOO_LONG,
                )
            else:
                topic = _topic(text, question or "", previous)
                verdict = self._judge(shown[span.start : span.end], text, span.start, index, topic)
            sentences.append(verdict)
            previous = text
        return Verification(response_score(sentences), tuple(sentences), truncated)

    def _judge(self, shown: str, text: str, start: int, index: EvidenceIndex, topic: str) -> SentenceVerdict:
        """Judge one sentence: ``shown`` as it stands in the answer, ``text`` without its citation marks."""
        end = start + len(shown)
        claim = Claim(text, index, topic)
        if is_uncheckable(text) or not (claim.weights or claim.quantities):
            return SentenceVerdict(shown, start, end, Verdict.UNCHECKABLE, NEUTRAL)
        if (unit := index.verbatim(text)) is not None:
            quote = Evidence(unit.passage, unit.start, unit.end, VERBATIM)
            return SentenceVerdict(shown, start, end, Verdict.SUPPORTED, VERBATIM, (quote,))
        proof = self.prove(claim, index)
        by_clause = self._prove_clauses(text, topic, index)
        if by_clause is not None and by_clause.score > proof.score:
            proof = by_clause
        if proof.score >= THRESHOLD:
            evidence = _evidence(index, proof.windows, claim, proof.score)
            return SentenceVerdict(shown, start, end, Verdict.SUPPORTED, proof.score, evidence)
        reason = next(iter(proof.findings.reasons), "too little of it is in the passages")
        return SentenceVerdict(shown, start, end, Verdict.UNSUPPORTED, proof.score, (), reason)

    def _prove_clauses(self, text: str, topic: str, index: EvidenceIndex) -> Proof | None:
        """Prove each clause by itself, each in its own place; later clauses lean on the first. None for one clause."""
        clauses = split_clauses(text)
        if not 1 < len(clauses) <= _MAX_CLAUSES:
            return None
        first = text[clauses[0][0] : clauses[0][1]]
        parts = [
            self.prove(Claim(text[a:b], index, first if number else topic), index)
            for number, (a, b) in enumerate(clauses)
        ]
        worst = min(parts, key=lambda part: part.score)
        mean = sum(part.score for part in parts) / len(parts)
        windows = tuple(dict.fromkeys(window for part in parts for window in part.windows))
        return Proof(0.6 * worst.score + 0.4 * mean, worst.findings, windows)

    def prove(self, claim: Claim, index: EvidenceIndex) -> Proof:
        """Find the window that supports the claim best."""
        ranked = {
            window: coverage(claim.lookup, pool_of(index.units[window.first : window.last + 1]))
            - _SIZE_PENALTY * min(3, window.last - window.first)
            for position in index.best_units(claim.lookup, _CANDIDATE_UNITS)
            for window in index.windows(position)
        }
        if not ranked:
            findings = Findings(foreign=sum(claim.weights.values()), missing_numbers=float(bool(claim.quantities)))
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


def _evidence(index: EvidenceIndex, windows: Sequence[Window], claim: Claim, value: float) -> tuple[Evidence, ...]:
    """Return the characters of the windows, without what adds nothing, and joined where they overlap."""
    found: list[Evidence] = []
    for window in windows:
        units = index.units[window.first : window.last + 1]
        full = coverage(claim.lookup, pool_of(units))
        while len(units) > 1 and coverage(claim.lookup, pool_of(units[1:])) >= full:
            units = units[1:]
        while len(units) > 1 and coverage(claim.lookup, pool_of(units[:-1])) >= full:
            units = units[:-1]
        passage, start, end = units[0].passage, units[0].start, units[-1].end
        for other in [each for each in found if each.passage == passage and each.start < end and start < each.end]:
            found.remove(other)
            start, end = min(start, other.start), max(end, other.end)
        found.append(Evidence(passage, start, end, value))
    return tuple(found)


def response_score(sentences: Sequence[SentenceVerdict]) -> float:
    """Return an answer's score: 0.0 for no sentence, just under the threshold if none claims anything.

    Otherwise half the worst checkable sentence and half their mean. On answers of several sentences the worst alone has
    AUROC .942 on dialogue responses and .949 on edited sentences, the mean .951 and .939, this .953 and .941.
    """
    scores = [sentence.score for sentence in sentences if sentence.verdict is not Verdict.UNCHECKABLE]
    if not scores:
        return NEUTRAL if sentences else 0.0
    return 0.5 * min(scores) + 0.5 * sum(scores) / len(scores)
