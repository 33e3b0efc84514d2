"""Search: a question becomes passages, best first, of what the caller may read now."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog

from infra.database import Database
from infra.errors import FieldError, InvalidInput
from retrieval.access import Access
from retrieval.answers.answer import IndexState
from retrieval.engine import Engine
from retrieval.filters import Filter, parse_filter
from retrieval.passage import Passage, Scores
from retrieval.ranking.collapse import LOOKAHEAD, collapse
from retrieval.ranking.expansion import load_expanded
from retrieval.ranking.fusion import Hit
from retrieval.ranking.rank import Mode
from retrieval.ranking.reranker import Reranker
from retrieval.ranking.reranking import rerank, text_to_read
from retrieval.ranking.settings import DEFAULT_RANKING, RankingSettings
from retrieval.ranking.views import rank_views
from retrieval.store import CollectionState, find_collections, load_passages

# Looks without holding up writers; each misses only if a commit falls between its two reads.
_ATTEMPTS = 3

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What is searched for, and where. ``collections=None`` = all of them; ``filter`` is the contract's filter language.

    ``rerank=None`` and ``collapse=None`` = as the collections' settings say; to collapse is to show results that say the same
    as one. ``expand``: so many chunks on either side are shown with each passage, 0 to 3.
    """

    query: str
    collections: Sequence[str] | None = None
    top_k: int = 10
    mode: Mode = "hybrid"
    filter: Mapping[str, Any] | None = None
    rerank: bool | None = None
    collapse: bool | None = None
    expand: int = 0


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Passages in order of score, the state of the index they come from, and milliseconds by step.

    ``ranking``: the settings that held for the search as a whole.
    """

    passages: tuple[Passage, ...]
    index: IndexState
    timings_ms: Mapping[str, float]
    ranking: RankingSettings = DEFAULT_RANKING


def search(engine: Engine, query: SearchQuery, access: Access) -> SearchResult:
    """Find the ``top_k`` best passages.

    Raises ``NotFound`` for an unknown collection and ``InvalidInput`` for a bad filter, or where reranking is asked for and
    no reranker is there. The index is brought up to the last
    committed change first, and the text of each passage is read from the database, so nothing stale is returned. A document
    that is replaced meanwhile is seen in its old version or its new one, never in neither: the search is then made again.
    """
    started = time.perf_counter()
    condition = None if query.filter is None else parse_filter(query.filter)
    for _ in range(_ATTEMPTS):
        found = _find(engine, query, access, condition)
        if found.complete:
            break
    else:
        # Commits keep coming between the indexes and the texts: hold them up for one look.
        with engine.database.write():
            found = _find(engine, query, access, condition)
    done = time.perf_counter()
    state = IndexState(
        generation=max((s.generation for s in found.states), default=1),
        seq=max((s.seq for s in found.states), default=0),
    )
    spent = done - started
    timings = {
        "refresh": found.refresh_s,
        "encode": found.encode_s,
        "search": spent - found.refresh_s - found.encode_s,
    }
    shown = {name: round(value * 1000, 3) for name, value in timings.items()}
    return SearchResult(found.passages, state, shown, found.ranking)


@dataclass(frozen=True, slots=True)
class _Found:
    """One look: ``complete`` unless a hit's text was replaced or deleted after the indexes were asked."""

    states: list[CollectionState]
    passages: tuple[Passage, ...]
    complete: bool
    ranking: RankingSettings
    refresh_s: float
    encode_s: float


def _find(engine: Engine, query: SearchQuery, access: Access, condition: Filter | None) -> _Found:
    started = time.perf_counter()
    with engine.database.read() as session:
        states = find_collections(session, query.collections, engine.generations)
    views = engine.index.current(states)
    refreshed = time.perf_counter()
    # After the views, of which each says whose vectors it has: another generation may have come between.
    vectors = [None] * len(views) if query.mode == "lexical" else engine.encode_query(query.query, views)
    encoded = time.perf_counter()
    ranked = rank_views(
        views,
        query.query,
        vectors,
        mode=query.mode,
        k=query.top_k,
        access=access,
        filter_=condition,
        settings=[state.ranking for state in states],
    )
    texts = _Texts(engine.database, access)
    hits = ranked.hits
    reranker = _reranker(engine, query, ranked.settings)
    if reranker is not None:
        read = texts.load(hits[: ranked.settings.rerank_depth])
        scores = reranker.score(query.query, [text_to_read(passage) for passage in read.values()])
        hits = rerank(ranked, dict(zip(read, scores.tolist(), strict=True)), ranked.settings.rerank_weight)
    threshold = _threshold(query, ranked.settings)
    passages = collapse(
        texts.passages(hits, query.top_k + LOOKAHEAD if threshold else query.top_k), query.top_k, threshold
    )
    complete = texts.complete
    if query.expand:
        with engine.database.read() as session:
            expanded = load_expanded(session, passages, query.expand)
        complete = complete and len(expanded) == len(passages)
        passages = expanded
    return _Found(states, tuple(passages), complete, ranked.settings, refreshed - started, encoded - refreshed)


def _threshold(query: SearchQuery, settings: RankingSettings) -> float:
    """From which likeness on results are shown as one; 0 = never."""
    if query.collapse is None:
        return settings.collapse_threshold
    return (settings.collapse_threshold or 1.0) if query.collapse else 0.0


def _reranker(engine: Engine, query: SearchQuery, settings: RankingSettings) -> Reranker | None:
    """The reranker, if this search is to be reranked."""
    if query.rerank is None:
        if settings.rerank and engine.reranker is None:
            log.warning("search.not_reranked", reason="the collection asks for it, and FOOTNOTE_RERANKER is not set")
        return engine.reranker if settings.rerank else None
    if query.rerank and engine.reranker is None:
        message = "no reranker is configured (FOOTNOTE_RERANKER); leave it out, or send false"
        raise InvalidInput(f"rerank: {message}.", code="no_reranker", errors=(FieldError("rerank", message),))
    return engine.reranker if query.rerank else None


class _Texts:
    """The passages of hits, read from the database once each; ``complete`` is false once one was not there."""

    def __init__(self, database: Database, access: Access) -> None:
        self._database = database
        self._access = access
        self._loaded: dict[int, Passage] = {}
        self.complete = True

    def load(self, hits: Sequence[Hit]) -> dict[int, Passage]:
        """The passages of ``hits`` by key, in their order."""
        wanted = [hit.key for hit in hits if hit.key not in self._loaded]
        if wanted:
            with self._database.read() as session:
                found = load_passages(session, wanted, self._access)
            self.complete = self.complete and len(found) == len(wanted)
            self._loaded |= found
        return {hit.key: self._loaded[hit.key] for hit in hits if hit.key in self._loaded}

    def passages(self, hits: Sequence[Hit], step: int) -> Iterator[Passage]:
        """The passages of ``hits`` with their scores, read ``step`` at a time."""
        for start in range(0, len(hits), step):
            part = hits[start : start + step]
            loaded = self.load(part)
            for hit in part:
                if hit.key in loaded:
                    scores = Scores(dense=hit.dense, lexical=hit.lexical, rerank=hit.rerank)
                    yield replace(loaded[hit.key], score=hit.score, scores=scores)
