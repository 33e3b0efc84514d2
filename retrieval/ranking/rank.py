"""Ranking: one order out of what the legs found in one or several collections, by these collections' settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from infra.clock import now
from retrieval.filters import DocumentFacts
from retrieval.ranking.fusion import (
    Hit,
    fuse_min_max,
    fuse_reciprocal_rank,
    single_leg,
    spread,
    standard_scores,
    trust_lexical,
)
from retrieval.ranking.settings import DEFAULT_RANKING, RankingSettings, joint_ranking
from retrieval.ranking.weighting import document_factor, weigh

Mode = Literal["hybrid", "dense", "lexical"]


@dataclass(frozen=True, slots=True)
class Found:
    """What the two legs found in one collection: their scores by key, and the place ``(document id, number)`` of each.

    ``share``: how much of the query the best lexical hit matches, by its score over a full match's. ``facts`` are those of
    the documents by id; they are only there where ``settings`` weigh documents. ``encoder`` is that of the ``dense`` cosines.
    """

    dense: Mapping[int, float]
    lexical: Mapping[int, float]
    place: Mapping[int, tuple[str, int]]
    share: float
    settings: RankingSettings = DEFAULT_RANKING
    collection: str = ""
    facts: Mapping[str, DocumentFacts] = field(default_factory=dict)
    encoder: str = ""


@dataclass(frozen=True, slots=True)
class Ranked:
    """Hits, best first; ``factors`` are what the scores of some keys were multiplied by for what their documents are.

    ``settings`` hold for the search as a whole: see ``joint_ranking``.
    """

    hits: list[Hit]
    settings: RankingSettings = DEFAULT_RANKING
    factors: Mapping[int, float] = field(default_factory=dict)


def rank(found: Sequence[Found], *, mode: Mode, depth: int, moment: datetime | None = None) -> Ranked:
    """All of what was ``found``, in one order; of each leg and collection it is at most the ``depth`` best.

    A hybrid search fuses the legs and spreads the hits over places; a search by one leg has that leg's own scores. Both are
    then weighed by their documents. Collections in which nothing was found have no say. Cosines of several encoders cannot be
    compared: each one's are then counted in standard deviations from their mean. ``moment`` is that from which ages count, by
    default now.
    """
    found = [each for each in found if each.dense or each.lexical]
    dense = _comparable(found)
    lexical = {key: score for each in found for key, score in each.lexical.items()}
    settings = joint_ranking(each.settings for each in found)
    if mode == "hybrid":
        share = max((each.share for each in found), default=0.0)
        place = {key: where for each in found for key, where in each.place.items()}
        hits = _fuse(dense, lexical, settings, share, depth)
        hits = spread(hits, place, settings.repeat_factor)
    else:
        hits = single_leg(dense if mode == "dense" else lexical, dense=mode == "dense")
    factors = _factors(found, now() if moment is None else moment)
    return Ranked(weigh(hits, factors) if factors else hits, settings, factors)


def _comparable(found: Sequence[Found]) -> dict[int, float]:
    """The dense scores of all: cosines where one encoder made them, and else each encoder's in its own standard deviations."""
    by_encoder: dict[str, dict[int, float]] = {}
    for each in found:
        by_encoder.setdefault(each.encoder, {}).update(each.dense)
    if len([scores for scores in by_encoder.values() if scores]) > 1:
        by_encoder = {encoder: standard_scores(scores) for encoder, scores in by_encoder.items()}
    return {key: score for scores in by_encoder.values() for key, score in scores.items()}


def _fuse(
    dense: Mapping[int, float], lexical: Mapping[int, float], settings: RankingSettings, share: float, depth: int
) -> list[Hit]:
    weights = (settings.dense_weight, 1.0 - settings.dense_weight)
    if dense:
        weights = trust_lexical(share, weights)
    if settings.fusion == "reciprocal_rank":
        return fuse_reciprocal_rank(dense, lexical, weights)
    all_that_match = len(lexical) < depth
    return fuse_min_max(dense, lexical, weights, lexical_min=0.0 if all_that_match else None)


def _factors(found: Sequence[Found], moment: datetime) -> dict[int, float]:
    factors: dict[int, float] = {}
    for each in found:
        if not each.settings.weighs_documents:
            continue
        by_document = {
            id_: document_factor(facts, each.collection, each.settings, moment) for id_, facts in each.facts.items()
        }
        factors |= {key: by_document[id_] for key, (id_, _) in each.place.items() if id_ in by_document}
    return factors
