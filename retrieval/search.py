"""Search: a question becomes passages, best first, of what the caller may read now."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from retrieval.access import Access
from retrieval.answer import IndexState
from retrieval.engine import Engine
from retrieval.filters import parse_filter
from retrieval.passage import Passage, Scores
from retrieval.store import find_collections, load_passages
from retrieval.view import Mode, search_views


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
    committed change first, and the text of each passage is read from the database, so nothing stale is returned.
    """
    started = time.perf_counter()
    condition = None if query.filter is None else parse_filter(query.filter)
    with engine.database.read() as session:
        states = find_collections(session, query.collections)
    views = engine.index.current(states)
    fresh = time.perf_counter()
    vector = None
    if query.mode != "lexical":
        vector = engine.encoder.encode([query.query], kind="query")[0]
    encoded = time.perf_counter()
    hits = search_views(views, query.query, vector, mode=query.mode, k=query.top_k, access=access, filter_=condition)
    with engine.database.read() as session:
        loaded = load_passages(session, [hit.key for hit in hits], access)
    passages = tuple(
        replace(loaded[hit.key], score=hit.score, scores=Scores(dense=hit.dense, lexical=hit.lexical))
        for hit in hits
        if hit.key in loaded
    )
    done = time.perf_counter()
    state = IndexState(
        generation=max((s.generation for s in states), default=1), seq=max((s.seq for s in states), default=0)
    )
    timings = {"refresh": fresh - started, "encode": encoded - fresh, "search": done - encoded}
    return SearchResult(passages, state, {name: round(value * 1000, 3) for name, value in timings.items()})
