"""Search: a question becomes passages, best first, of what the caller may read now."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.access import Access
from retrieval.answer import IndexState
from retrieval.engine import Engine
from retrieval.filters import Filter, parse_filter
from retrieval.passage import Passage, Scores
from retrieval.store import CollectionState, find_collections, load_passages
from retrieval.view import Mode, search_views

# Looks without holding up writers; each misses only if a commit falls between its two reads.
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What is searched for, and where. ``collections=None`` = all of them; ``filter`` is the contract's filter language."""

    query: str
    collections: Sequence[str] | None = None
    top_k: int = 10
    mode: Mode = "hybrid"
    filter: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Passages in order of score, the state of the index they come from, and milliseconds by step."""

    passages: tuple[Passage, ...]
    index: IndexState
    timings_ms: Mapping[str, float]


def search(engine: Engine, query: SearchQuery, access: Access) -> SearchResult:
    """Find the ``top_k`` best passages.

    Raises ``NotFound`` for an unknown collection and ``InvalidInput`` for a bad filter. The index is brought up to the last
    committed change first, and the text of each passage is read from the database, so nothing stale is returned. A document
    that is replaced meanwhile is seen in its old version or its new one, never in neither: the search is then made again.
    """
    started = time.perf_counter()
    condition = None if query.filter is None else parse_filter(query.filter)
    vector = None
    if query.mode != "lexical":
        vector = engine.encoder.encode([query.query], kind="query")[0]
    encoded = time.perf_counter()
    for _ in range(_ATTEMPTS):
        found = _find(engine, query, access, condition, vector)
        if found.complete:
            break
    else:
        # Commits keep coming between the indexes and the texts: hold them up for one look.
        with engine.database.write():
            found = _find(engine, query, access, condition, vector)
    done = time.perf_counter()
    state = IndexState(
        generation=max((s.generation for s in found.states), default=1),
        seq=max((s.seq for s in found.states), default=0),
    )
    timings = {"refresh": found.refresh_s, "encode": encoded - started, "search": done - encoded - found.refresh_s}
    return SearchResult(found.passages, state, {name: round(value * 1000, 3) for name, value in timings.items()})


@dataclass(frozen=True, slots=True)
class _Found:
    """One look: ``complete`` unless a hit's text was replaced or deleted after the indexes were asked."""

    states: list[CollectionState]
    passages: tuple[Passage, ...]
    complete: bool
    refresh_s: float


def _find(
    engine: Engine, query: SearchQuery, access: Access, condition: Filter | None, vector: NDArray[np.float32] | None
) -> _Found:
    started = time.perf_counter()
    with engine.database.read() as session:
        states = find_collections(session, query.collections)
    views = engine.index.current(states)
    refresh_s = time.perf_counter() - started
    hits = search_views(views, query.query, vector, mode=query.mode, k=query.top_k, access=access, filter_=condition)
    with engine.database.read() as session:
        loaded = load_passages(session, [hit.key for hit in hits], access)
    passages = tuple(
        replace(loaded[hit.key], score=hit.score, scores=Scores(dense=hit.dense, lexical=hit.lexical))
        for hit in hits
        if hit.key in loaded
    )
    return _Found(states, passages, len(passages) == len(hits), refresh_s)
