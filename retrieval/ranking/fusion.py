"""Fusion: one ranking out of the dense and the lexical leg's scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, pstdev

DEFAULT_WEIGHTS = (0.5, 0.5)
REPEAT_FACTOR = 0.85
# The share of a full match from which the lexical leg counts fully.
FULL_TRUST = 0.5
RECIPROCAL_RANK_K = 60


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk found: ``score`` orders one search's hits; a leg's own score is ``None`` where it has none, and so is the
    reranker's.
    """

    key: int
    score: float
    dense: float | None = None
    lexical: float | None = None
    rerank: float | None = None


def fuse_min_max(
    dense: Mapping[int, float],
    lexical: Mapping[int, float],
    weights: tuple[float, float] = DEFAULT_WEIGHTS,
    *,
    lexical_min: float | None = None,
) -> list[Hit]:
    """Weighted sum of each leg's scores after min-max normalisation, best first; equal scores by key.

    Within a leg ``s' = (s - min) / (max - min)``; where all scores of a leg are equal each is 1, for all matched
    equally well. A key that a leg did not score gets 0 from it, as its worst hit does. ``lexical_min`` takes the
    place of the lowest lexical score: it is 0 where the leg found all that match, for what it left out scores 0,
    and else two nearly equal hits would be set as far apart as best and worst. With non-negative weights that sum
    to 1 the result is in [0, 1]. (Formula: Bruch, Gai, Ingber 2023, "An Analysis of Fusion Functions for Hybrid
    Retrieval".)
    """
    dense_weight, lexical_weight = weights
    by_dense, by_lexical = _min_max(dense, None), _min_max(lexical, lexical_min)
    hits = [
        Hit(
            key,
            dense_weight * by_dense.get(key, 0.0) + lexical_weight * by_lexical.get(key, 0.0),
            dense.get(key),
            lexical.get(key),
        )
        for key in by_dense.keys() | by_lexical.keys()
    ]
    return sorted(hits, key=lambda hit: (-hit.score, hit.key))


def fuse_reciprocal_rank(
    dense: Mapping[int, float],
    lexical: Mapping[int, float],
    weights: tuple[float, float] = DEFAULT_WEIGHTS,
    *,
    k: int = RECIPROCAL_RANK_K,
) -> list[Hit]:
    """Sum over the legs of ``2 * weight / (k + rank)``, best first; equal scores by key.

    With equal weights that is reciprocal rank fusion as Cormack, Clarke and Büttcher have it ("Reciprocal Rank Fusion
    outperforms Condorcet and individual Rank Learning Methods", SIGIR 2009, k = 60). The best of a leg has rank 1, equal
    scores are ranked by key, and a key that a leg did not score gets 0 from it.
    """
    dense_weight, lexical_weight = weights
    ranks = _ranks(dense), _ranks(lexical)
    hits = []
    for key in dense.keys() | lexical.keys():
        score = sum(
            2.0 * weight / (k + by_key[key])
            for weight, by_key in zip((dense_weight, lexical_weight), ranks, strict=True)
            if key in by_key
        )
        hits.append(Hit(key, score, dense.get(key), lexical.get(key)))
    return sorted(hits, key=lambda hit: (-hit.score, hit.key))


def trust_lexical(share: float, weights: tuple[float, float] = DEFAULT_WEIGHTS) -> tuple[float, float]:
    """``weights`` for a query of which the best lexical hit matches ``share``: its score over that of a full match.

    Min-max normalisation gives the best hit 1 however little it matches. Where it has less than ``FULL_TRUST`` of
    the question's words (by their inverse document frequency), as with a question in other words than the
    documents', the lexical leg counts in proportion less. The result sums to 1. Where only the lexical leg counts there
    is nothing that it could give way to.
    """
    if not weights[0]:
        return weights
    dense, lexical = weights[0], weights[1] * min(1.0, share / FULL_TRUST)
    return dense / (dense + lexical), lexical / (dense + lexical)


def spread(hits: Sequence[Hit], place: Mapping[int, Hashable], factor: float = REPEAT_FACTOR) -> list[Hit]:
    """Spread hits over places: the second-best of a place counts ``factor`` times its score, the third
    ``factor``² times, ...

    ``hits`` come best first, with scores that are not negative. Chunks of one page show about the same, and a
    reader of five results is better served by a second page than by the same one again. The best hit of each
    place keeps its score, so a ranking of documents by their best chunk stays as it was. A key without a
    place stands alone.
    """
    better: Counter[Hashable] = Counter()
    spaced = []
    for hit in hits:
        where = place.get(hit.key)
        if where is None:
            spaced.append(hit)
            continue
        spaced.append(replace(hit, score=hit.score * factor ** better[where]))
        better[where] += 1
    return sorted(spaced, key=lambda hit: (-hit.score, hit.key))


def single_leg(scores: Mapping[int, float], *, dense: bool) -> list[Hit]:
    """The hits of one leg alone, best first, with that leg's own score; equal scores by key."""
    ordered = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    if dense:
        return [Hit(key, score, dense=score) for key, score in ordered]
    return [Hit(key, score, lexical=score) for key, score in ordered]


def _ranks(scores: Mapping[int, float]) -> dict[int, int]:
    ordered = sorted(scores, key=lambda key: (-scores[key], key))
    return {key: rank for rank, key in enumerate(ordered, start=1)}


def standard_scores(scores: Mapping[int, float]) -> dict[int, float]:
    """Scores as standard deviations from their mean, ``(s - mean) / sd``; each 0 where all are equal.

    For scores of one query on different scales: what stands out from its own list counts most (Renda and Straccia 2003, "Web
    Metasearch: Rank vs. Score Based Rank Aggregation Methods").
    """
    if not scores:
        return {}
    mean, deviation = fmean(scores.values()), pstdev(scores.values())
    return {key: (score - mean) / deviation if deviation else 0.0 for key, score in scores.items()}


def _min_max(scores: Mapping[int, float], low: float | None) -> dict[int, float]:
    if not scores:
        return {}
    low = min(scores.values()) if low is None else low
    high = max(scores.values())
    if high == low:
        return dict.fromkeys(scores, 1.0)
    return {key: (score - low) / (high - low) for key, score in scores.items()}
