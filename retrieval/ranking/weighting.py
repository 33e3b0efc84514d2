"""Weighting: scores multiplied by what a collection says of its documents: how much age counts, and which it prefers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from retrieval.filters import DocumentFacts, moment_of
from retrieval.ranking.fusion import Hit
from retrieval.ranking.settings import RankingSettings

_DAY_S = 86_400.0


def recency_factor(age_days: float, half_life_days: float, weight: float) -> float:
    """``1 - weight * (1 - 2 ** (-age / half_life))``: 1 for what is new, ``1 - weight / 2`` after a half-life, and in the
    end ``1 - weight``. A date to come counts as now.
    """
    return 1.0 - weight * (1.0 - math.exp2(-max(0.0, age_days) / half_life_days))


def document_factor(facts: DocumentFacts, collection: str, settings: RankingSettings, moment: datetime) -> float:
    """What a document's scores are multiplied by: the product of the weights whose filters it passes, and its recency.

    A document without a date in the settings' field loses nothing by its age.
    """
    factor = 1.0
    for rule in settings.weights:
        if rule.filter.matches(facts, collection):
            factor *= rule.weight
    if settings.recency_half_life_days is not None:
        dated = moment_of(facts, settings.recency_field)
        if dated is not None:
            age = (moment - dated).total_seconds() / _DAY_S
            factor *= recency_factor(age, settings.recency_half_life_days, settings.recency_weight)
    return factor


def weigh(hits: Sequence[Hit], factors: Mapping[int, float]) -> list[Hit]:
    """``hits`` with each score multiplied by its key's factor, best first; equal scores stay in the order that they came in.

    A score below 0, as a cosine can be, is divided instead, so that a factor below 1 never raises it.
    """
    weighed = [replace(hit, score=times(hit.score, factors.get(hit.key, 1.0))) for hit in hits]
    return sorted(weighed, key=lambda hit: -hit.score)


def times(score: float, factor: float) -> float:
    """``score`` weighed by ``factor``; see ``weigh``."""
    if score >= 0:
        return score * factor
    return score / factor if factor else float("-inf")
