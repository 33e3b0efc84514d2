"""Reranking: the first hits of a search in a new order, by their scores and a reranker's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from retrieval.passage import Passage
from retrieval.ranking.fusion import Hit
from retrieval.ranking.rank import Ranked
from retrieval.ranking.weighting import times


def rerank(ranked: Ranked, given: Mapping[int, float], weight: float) -> list[Hit]:
    """``ranked.hits`` with scores ``((1 - weight) * s + weight * r) * factor``, best first; ``given`` by key is what a
    reranker said of the hits that it has read.

    ``s`` and ``r`` are the score (before it was weighed by its document) and the reranker's, each min-max normalised over the
    hits that were read; where all are equal each is 1. ``s`` of a hit that was not read is normalised the same way and
    its ``r`` is 0, as that of the worst that was: with a ``weight`` of 1 it keeps its place behind them. Equal scores stay in
    the order that they came in.
    """
    if not given:
        return list(ranked.hits)
    before = {hit.key: _unweighed(hit.score, ranked.factors.get(hit.key, 1.0)) for hit in ranked.hits}
    read = [before[key] for key in given if key in before]
    low, high = min(read), max(read)
    worst, best = min(given.values()), max(given.values())
    blended = []
    for hit in ranked.hits:
        own = given.get(hit.key)
        fitting = 0.0 if own is None else _scaled(own, worst, best)
        score = (1.0 - weight) * _scaled(before[hit.key], low, high) + weight * fitting
        blended.append(replace(hit, score=times(score, ranked.factors.get(hit.key, 1.0)), rerank=own))
    return sorted(blended, key=lambda hit: -hit.score)


def text_to_read(passage: Passage) -> str:
    """What a reranker reads of a passage: its headings, then its text."""
    return f"{passage.context}\n{passage.text}" if passage.context else passage.text


def _scaled(value: float, low: float, high: float) -> float:
    return 1.0 if high == low else (value - low) / (high - low)


def _unweighed(score: float, factor: float) -> float:
    return times(score, 1.0 / factor) if factor else 0.0
