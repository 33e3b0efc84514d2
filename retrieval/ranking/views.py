"""Searching views: what each of several finds, and one ranking of it all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from retrieval.access import EVERYTHING, Access
from retrieval.filters import Filter
from retrieval.ranking.fusion import Hit
from retrieval.ranking.rank import Found, Mode, Ranked, rank
from retrieval.ranking.settings import DEFAULT_RANKING, RankingSettings
from retrieval.views import Vector, View

# How many hits each leg gives to the fusion: 200 was a little better than 100 on four of six sets, and costs nothing.
DEPTH = 200


def search_views(
    views: Sequence[View],
    query: str,
    vector: Vector | None,
    *,
    mode: Mode = "hybrid",
    k: int = 10,
    access: Access = EVERYTHING,
    filter_: Filter | None = None,
) -> list[Hit]:
    """The ``k`` best chunks over all ``views``, ranked by the default settings; see ``rank_views``."""
    vectors = [vector] * len(views)
    return rank_views(views, query, vectors, mode=mode, k=k, access=access, filter_=filter_).hits[:k]


def rank_views(
    views: Sequence[View],
    query: str,
    vectors: Sequence[Vector | None],
    *,
    mode: Mode = "hybrid",
    k: int = 10,
    access: Access = EVERYTHING,
    filter_: Filter | None = None,
    settings: Sequence[RankingSettings] | None = None,
    moment: datetime | None = None,
) -> Ranked:
    """Every candidate of both legs over all ``views`` (``k`` or more, if there are so many), best first: they are ranked
    together.

    ``vectors`` are the query's, each from the encoder of the view in its place; without one a hybrid search is a
    lexical one, and a dense search raises ``ValueError``. What the caller may not read, or the filter keeps
    out, is neither scored nor returned. ``settings`` are those of the views, in their order; ages of documents are counted
    from ``moment``, by default now.
    """
    if mode == "dense" and any(vector is None for vector in vectors):
        raise ValueError("a dense search needs the query's vector")
    depth = max(DEPTH, k)
    words, meaning = "" if mode == "dense" else query, [None] * len(views) if mode == "lexical" else vectors
    found = find_candidates(views, words, meaning, depth, access=access, filter_=filter_, settings=settings)
    return rank(found, mode=mode, depth=depth, moment=moment)


def find_candidates(
    views: Sequence[View],
    query: str,
    vectors: Sequence[Vector | None],
    depth: int,
    *,
    access: Access = EVERYTHING,
    filter_: Filter | None = None,
    settings: Sequence[RankingSettings] | None = None,
) -> list[Found]:
    """What each of ``views`` finds for ``rank``: the ``depth`` best of its lexical leg (none where ``query`` is empty), and
    of its dense leg (none without a vector in its place of ``vectors``).
    """
    found = []
    for view, vector, each in zip(views, vectors, settings or [DEFAULT_RANKING] * len(views), strict=True):
        best = view.candidates(query, vector, depth, access, filter_)
        facts = view.facts_of({id_ for id_, _ in best.place.values()}) if each.weighs_documents else {}
        found.append(Found(best.dense, best.lexical, best.place, best.share, each, view.name, facts, view.encoder))
    return found
