"""Answerability: whether passages say what a question asks, decided before anything is written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from retrieval.encoder import Encoder
from retrieval.passage import Passage
from retrieval.question import parts, read_question
from retrieval.reading import Reading, lacking, read_passages

# Logistic weights, fitted by ``bench/answerability.py DATA --sets probes,company --fit`` on the dev halves.
_WEIGHTS = {
    "similarity": 5.28,
    "coverage": 0.92,
    "weakest": 2.33,
    "gap": -0.64,
    "lacking": -2.64,
    "expected": 1.02,
    "margin": 2.69,
}
_BIAS = -4.67
THRESHOLD = 0.5
# A term that no sentence speaks of more than this is missing.
_MISSING = 0.4
_AMONG = 10


@dataclass(frozen=True, slots=True)
class Answerability:
    """``score`` in 0..1: how likely the passages say it. ``missing``: words of the question that no passage
    speaks of.
    """

    score: float
    answerable: bool
    missing: tuple[str, ...]


def assess(question: str, passages: Sequence[Passage], encoder: Encoder) -> Answerability:
    """Judge whether ``question`` can be answered from ``passages`` (any order); costs one call of the
    encoder a part.

    A question of several parts is answerable if one of them is; the others' words are ``missing``.
    """
    return assess_readings([read_passages(part, passages, encoder) for part in parts(read_question(question))])


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
    """What the score is made of, all in 0..1; ``None`` without a sentence or a term.

    Of the best sentence: ``similarity`` to the question, ``coverage`` of its terms, coverage of the
    ``weakest`` term, ``gap``: the share of the terms that it does not speak of, ``lacking``: a name or code
    (1) or a number (0.5) of the question is not there, and ``expected``: the kind of thing asked for is.
    ``margin``: how far the nearest sentence is above the ten nearest on average.
    """
    best = reading.best
    if best is None:
        return None
    terms = reading.question.terms
    heaviest = max(term.weight for term in terms)
    own = [covered for term, covered in zip(terms, best.covered, strict=True) if term.weight == heaviest]
    nearest = sorted((max(0.0, read.similarity) for read in reading.reads), reverse=True)[:_AMONG]
    return {
        "similarity": max(0.0, best.similarity),
        "coverage": best.coverage,
        "weakest": min(own),
        "gap": sum(covered < _MISSING for covered in own) / len(own),
        "lacking": lacking(terms, best.covered),
        "expected": best.expected,
        "margin": nearest[0] - sum(nearest) / len(nearest),
    }
