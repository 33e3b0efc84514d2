"""A reading of passages for a question: which sentences come near it, and which of its terms they speak of."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from retrieval.answers.expected import holds_expected, measured_stems
from retrieval.answers.question import Question, Term
from retrieval.answers.scorer import AnswerScorer
from retrieval.answers.siblings import is_same, is_sibling
from retrieval.answers.thesaurus import are_related
from retrieval.answers.windows import Window, shortlist, windows
from retrieval.encoders.encoder import Encoder
from retrieval.encoders.vector_cache import VectorCache
from retrieval.passage import Passage
from retrieval.terms import STOP_WORDS, stem, words
from retrieval.verify.synonyms import canonical

# What is encoded at most, so that a question costs the same however much is retrieved.
MAX_WINDOWS = 48
MAX_SCORED = 24
_MAX_WORDS = 160
_CLOSE_READ = 8
_MAX_OMITTED = 8
# Cosine of two single words in all-MiniLM-L6-v2: below the first they are unrelated, above the second
# they mean the same.
_UNRELATED, _SAME = 0.35, 0.80
# How much a term counts that stands not in the sentence but around it.
_AROUND = 0.9
_BESIDE = 0.8
_NUMBER_ONLY = 0.5
# How much the scorer's probability counts beside the other signs; chosen on the written questions (bench/LOG.md).
_ANSWERS = 0.5
_UNSCORED = -6.0
# Of equals, the passage that the search put first, and the document that is in force.
_LATER, _SUPERSEDED = 0.005, 0.08
_OLD = re.compile(
    r"(?i)\b(?:superseded|obsolete|withdrawn|outdated|archived?|no longer (?:valid|in force)|deprecated)\b"
)
_CACHE = VectorCache()


@dataclass(frozen=True, slots=True)
class Read:
    """One window, read for one question. Values are in 0..1 but ``omission``, a difference of cosines, and ``answers``, a logit.

    ``similarity``: cosine to the question. ``coverage``: weighted share of the question's terms that it
    speaks of, and ``covered`` the same by term; ``expected``: it holds the kind of thing that was asked
    for. ``omission``: how much nearer it comes when the worst term of the question is left out: high where
    it is about something else of the same kind.
    """

    window: Window
    similarity: float
    coverage: float
    covered: tuple[float, ...]
    expected: float
    omission: float
    rank: float
    answers: float = _UNSCORED


@dataclass(frozen=True, slots=True)
class Reading:
    """The windows of some passages, read for ``question``: best first."""

    question: Question
    reads: tuple[Read, ...]
    everywhere: tuple[float, ...]

    @property
    def best(self) -> Read | None:
        """The window that answers best."""
        return self.reads[0] if self.reads else None


def read_passages(question: Question, passages: Sequence[Passage], encoder: Encoder, scorer: AnswerScorer) -> Reading:
    """Read ``passages`` for ``question``: one call of the encoder, of at most ``MAX_WINDOWS`` sentences and
    some single words, and one of the scorer, of the ``MAX_SCORED`` sentences that came nearest.
    """
    all_windows = windows(passages)
    found = shortlist(question, all_windows, MAX_WINDOWS)
    if not found or not question.terms:
        return Reading(question, (), tuple(0.0 for _ in question.terms))
    lexical = [_lexical(question.terms, window) for window in found]
    vocabulary = _vocabulary(question, found, lexical)
    omitted = _omissions(question)
    asked = [question.text, *(text for _, text in omitted)]
    vectors = _CACHE.encode(encoder, asked, [*(w.reading for w in found), *vocabulary])
    first = 1 + len(omitted)
    sentence_vectors = vectors[first : first + len(found)]
    similarities = sentence_vectors @ vectors[0]
    gains = (sentence_vectors @ vectors[1:first].T) - similarities[:, None]
    meaning = _Meaning(question.terms, vocabulary, vectors[first + len(found) :])
    reads = [
        _read(question, window, float(similarities[i]), covered, gains[i], omitted, meaning)
        for i, (window, covered) in enumerate(zip(found, lexical, strict=True))
    ]
    reads = _scored(question, reads, scorer)
    everywhere = tuple(max((read.covered[k] for read in reads), default=0.0) for k in range(len(question.terms)))
    return Reading(question, tuple(reads), everywhere)


def _scored(question: Question, reads: Sequence[Read], scorer: AnswerScorer) -> list[Read]:
    nearest = sorted(reads, key=lambda read: -read.rank)
    logits = scorer.score(question.text, [read.window.candidate for read in nearest[:MAX_SCORED]])
    answers = [*map(float, logits), *[_UNSCORED] * (len(nearest) - len(logits))]
    scored = [
        replace(read, answers=logit, rank=read.rank + _ANSWERS / (1.0 + math.exp(-logit)))
        for read, logit in zip(nearest, answers, strict=True)
    ]
    return sorted(scored, key=lambda read: (-read.rank, read.window.passage, read.window.start))


class _Meaning:
    """Which words mean about the same as a term of the question, by the cosine of their vectors."""

    def __init__(self, terms: Sequence[Term], vocabulary: Sequence[str], vectors: NDArray[np.float32]) -> None:
        place = {word: index for index, word in enumerate(vocabulary)}
        self._closeness: dict[str, dict[str, float]] = {}
        for term in terms:
            if (index := place.get(term.word)) is not None:
                scaled = np.clip((vectors @ vectors[index] - _UNRELATED) / (_SAME - _UNRELATED), 0.0, 1.0)
                self._closeness[term.word] = dict(zip(vocabulary, scaled.tolist(), strict=True))

    def closeness(self, word: str, others: Sequence[str]) -> float:
        """Closeness in 0..1 of a term's ``word`` to the nearest of ``others``; 0 for words that were not compared."""
        own = self._closeness.get(word)
        return max((own.get(other, 0.0) for other in others), default=0.0) if own else 0.0


def _read(
    question: Question,
    window: Window,
    similarity: float,
    lexical: Sequence[float],
    gains: NDArray[np.float32],
    omitted: Sequence[tuple[int, str]],
    meaning: _Meaning,
) -> Read:
    own, around = _plain(window.text), _plain(f"{window.lead_text} {window.place}")
    own_roots = {stem(word) for word in own}
    measured = measured_stems(question, window)
    covered = []
    for term, value in zip(question.terms, lexical, strict=True):
        if value < 1.0 and not term.exact and not is_sibling(term.stem, own_roots):
            soft = max(meaning.closeness(term.word, own), _AROUND * meaning.closeness(term.word, around))
            value = max(value, soft, _SYNONYM * (term.stem in measured))  # noqa: PLW2901
        covered.append(value)
    weights = [term.weight for term in question.terms]
    coverage = sum(w * c for w, c in zip(weights, covered, strict=True)) / sum(weights)
    expected = holds_expected(question, window)
    losses = [float(gain) * (1.0 - covered[k]) for gain, (k, _) in zip(gains, omitted, strict=True)]
    omission = max(losses, default=0.0)
    rank = (
        similarity
        + 0.5 * coverage
        + 0.15 * expected
        - 0.5 * max(0.0, omission)
        - 0.2 * lacking(question.terms, covered)
    )
    rank -= _LATER * window.passage + _SUPERSEDED * (_OLD.search(window.place) is not None)
    return Read(window, similarity, coverage, tuple(covered), expected, omission, rank)


def lacking(terms: Sequence[Term], covered: Sequence[float]) -> float:
    """How much of the worst name is not there, in 0..1: half of it where one of its two words is; a number alone counts half."""
    names: dict[int, list[float]] = {}
    for term, value in zip(terms, covered, strict=True):
        if term.exact:
            names.setdefault(term.name, []).append((1.0 - value) * (_NUMBER_ONLY if term.word.isdigit() else 1.0))
    return max((sum(values) / len(values) for values in names.values()), default=0.0)


def _lexical(terms: Sequence[Term], window: Window) -> list[float]:
    places = [(1.0, window.text), (_AROUND, f"{window.lead_text} {window.place}"), (_BESIDE, window.next_text)]
    read = [(value, text.lower(), _roots(text)) for value, text in places]
    return [
        max(
            value * (_names(term, text) if term.exact else _match(term, roots))
            for value, text, roots in (read[:2] if term.exact else read)
        )
        for term in terms
    ]


def _names(term: Term, text: str) -> float:
    """1 where ``text`` (lower case) has the name, number or code itself, not as a part of another one."""
    bare = text.replace(",", "") if term.word.isdigit() else text
    return float(re.search(rf"(?<![\w])(?<!\d[.\-]){re.escape(term.word)}(?!\w|[.\-]\d)", bare) is not None)


_SYNONYM = 0.9
_RELATED = 0.75
_COMPOUND = 0.7
_SHARED_START = 5


def _match(term: Term, roots: frozenset[str]) -> float:
    """How well the nearest of ``roots`` stands for a term: 1 for its stem itself."""
    if term.stem in roots:
        return 1.0
    best = max((_alike(term.stem, root) for root in roots), default=0.0)
    return 0.0 if best == _RELATED and is_sibling(term.stem, roots) else best


@lru_cache(maxsize=1 << 16)
def _alike(one: str, other: str) -> float:
    """Likeness of two stems by what is written down: synonyms, long shared beginnings, related words, compounds."""
    if is_same(one, other) or canonical(one) == canonical(other):
        return _SYNONYM
    short, long = sorted((one, other), key=len)
    if len(short) >= _SHARED_START and long.startswith(short):
        return _SYNONYM
    if are_related(one, other):
        return _RELATED
    return _COMPOUND if len(short) >= _SHARED_START - 1 and long.endswith(short) else 0.0


@lru_cache(maxsize=1 << 12)
def _roots(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in words(text))


def _vocabulary(question: Question, found: Sequence[Window], lexical: Sequence[Sequence[float]]) -> list[str]:
    """The single words to be compared by meaning: the question's, and those of the windows that share most
    with it.
    """
    asked = [term.word for term in question.terms if not term.exact]
    order = sorted(range(len(found)), key=lambda i: -sum(lexical[i]))
    seen = dict.fromkeys(asked)
    for i in order:
        seen.update(dict.fromkeys(_plain(found[i].text)))
        if len(seen) >= _MAX_WORDS:
            break
    for i in order[:_CLOSE_READ]:
        seen.update(dict.fromkeys(_plain(f"{found[i].lead_text} {found[i].place}")))
    return list(seen)[: _MAX_WORDS + len(asked)]


@lru_cache(maxsize=1 << 12)
def _plain(text: str) -> tuple[str, ...]:
    return tuple(word for word in words(text) if word not in STOP_WORDS and len(word) > 1 and not word.isdigit())


def _omissions(question: Question) -> list[tuple[int, str]]:
    """The question without one of its terms, for each that matters."""
    lowered = question.text
    found: list[tuple[int, str]] = []
    for k, term in enumerate(question.terms):
        if term.weight < 1.0 or len(found) == _MAX_OMITTED:
            continue
        without = " ".join(word for word in lowered.split() if term.stem not in {stem(w) for w in words(word)})
        if without and without != lowered:
            found.append((k, without))
    return found
