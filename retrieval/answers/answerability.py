"""Answerability: whether passages say what a question asks, decided before anything is written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from retrieval.answers.question import parts, read_question
from retrieval.answers.reading import Reading, lacking, read_passages
from retrieval.answers.scorer import AnswerScorer
from retrieval.encoders.encoder import Encoder
from retrieval.passage import Passage

# Logistic weights, fitted by ``bench/answerability.py DATA --sets written,probes --fit``: on nothing of the sample company.
_WEIGHTS = {
    "answers": 2.37,
    "similarity": 3.54,
    "coverage": 1.94,
    "lacking": -1.09,
    "expected": 0.40,
    "omission": -0.18,
}
# Fitted as -3.22, where both errors weigh the same on hard near misses; raised by 0.8 on the sample company, so that
# 15 % of what is there is refused at most.
_BIAS = -2.42
THRESHOLD = 0.5
# A term that no sentence speaks of more than this is missing.
_MISSING = 0.4
# About the size of a sure logit.
LOGIT_SCALE = 3.0


@dataclass(frozen=True, slots=True)
class Answerability:
    """``score`` in 0..1: how likely the passages say it. ``missing``: words of the question that no passage
    speaks of.
    """

    score: float
    answerable: bool
    missing: tuple[str, ...]


def assess(question: str, passages: Sequence[Passage], encoder: Encoder, scorer: AnswerScorer) -> Answerability:
    """Judge whether ``question`` can be answered from ``passages`` (any order); costs one call of the
    encoder and one of the scorer a part.

    A question of several parts is answerable if one of them is; the others' words are ``missing``.
    """
    return assess_readings([read_passages(part, passages, encoder, scorer) for part in parts(read_question(question))])


def assess_readings(readings: Sequence[Reading]) -> Answerability:
    """Judge from readings of the question's parts, as ``assess`` does."""
    score = max((score_reading(reading) for reading in readings), default=0.0)
    missing = tuple(
        term.word
        for reading in readings
        for term, covered in zip(reading.question.terms, reading.everywhere, strict=True)
        if term.weight >= 1.0 and covered < _MISSING
    )
    return Answerability(score, score >= THRESHOLD, tuple(dict.fromkeys(missing)))


def score_reading(reading: Reading) -> float:
    """The score of one part, in 0..1; 0 where nothing could be read."""
    values = features(reading)
    if values is None:
        return 0.0
    total = _BIAS + sum(weight * values[name] for name, weight in _WEIGHTS.items())
    return 1.0 / (1.0 + math.exp(-total))


def features(reading: Reading) -> dict[str, float] | None:
    """What the score is made of; ``None`` without a sentence or a term.

    Of the best sentence: ``answers``: the answer scorer's logit by ``LOGIT_SCALE``, ``similarity`` to the
    question, ``coverage`` of its terms, ``lacking``: a name or code (1) or a number (0.5) of the question is
    not there, ``expected``: the kind of thing asked for is, and ``omission``: how much nearer it comes when a
    term is left out. All but the first are in 0..1.
    """
    best = reading.best
    if best is None:
        return None
    return {
        "answers": best.answers / LOGIT_SCALE,
        "similarity": max(0.0, best.similarity),
        "coverage": best.coverage,
        "lacking": lacking(reading.question.terms, best.covered),
        "expected": best.expected,
        "omission": max(0.0, best.omission),
    }
