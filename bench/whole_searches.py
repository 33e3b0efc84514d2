"""Searches of the large collection under filters: their times, what they find, and FAISS itself beside the dense leg.

A search is ``retrieval.search.search`` without encoding: the change log is asked, both legs, fusion, and the passages' texts
from the database. ``dense leg`` is ``LayeredView.candidates`` to the depth of hybrid search (200), ``dense file`` is
``DenseFile.search``, and their ratio to ``faiss`` that to the same index with the same lists visited and candidates scored
again, or to the same scan; they take turns query by query. ``first`` is the first search under a filter, which makes its
masks. ``recall`` is recall@10 of dense searches against an exact search.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from bench.dense_index import exact_best, found_share, raw_faiss
from bench.measuring import quantile
from bench.whole_collection import NAME, facts
from bench.whole_opened import Opened, live_folder, opened
from retrieval.access import EVERYTHING, Access
from retrieval.filters import parse_filter
from retrieval.generations.base import DENSE
from retrieval.generations.layered_view import LayeredView
from retrieval.ranking.views import DEPTH, rank_views
from retrieval.search import SearchQuery, search
from retrieval.store import find_collections

_K = 10
Rows = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """Who asks among what."""

    access: Access = EVERYTHING
    filter: dict[str, Any] | None = None


def filters(documents: int) -> dict[str, Question]:
    """Filters from everything to one document, and a permission."""
    return {
        "none": Question(),
        "three of 200 groups": Question(Access(frozenset({"group 1", "group 2", "group 3"}))),
        "50 %": Question(filter={"half": True}),
        "1 %": Question(filter={"hundredth": 7}),
        ".01 %": Question(filter={"tenthousandth": facts(documents // 3)[0]["tenthousandth"]}),
        "one document": Question(filter={"ticket": documents // 2}),
    }


def searches(work: Path, count: int) -> Rows:
    """Every filter in every mode, and the dense leg against FAISS."""
    faiss.omp_set_num_threads(1)
    here = opened(work)
    view = layered(here)
    folder = live_folder(work)
    vectors = np.load(folder / DENSE / "vectors.npy", mmap_mode="r")
    raw = raw_faiss(folder / DENSE, vectors)
    found: Rows = {}
    for name, question in filters(len(view.base.facts)).items():
        row: Rows = {}
        for mode in ("hybrid", "dense", "lexical"):
            row[mode] = timed(here, here.questions[:count], question, mode)
        row.update(_dense_leg(here, view, question, here.questions[:count], vectors, raw))
        print(f"  {name}: {row}", file=sys.stderr, flush=True)
        found[name] = row
    return found


def layered(here: Opened) -> LayeredView:
    """The collection's view, brought up to the last change."""
    with here.database.read() as session:
        states = find_collections(session, [NAME])
    view = here.engine.index.current(states)[0]
    if not isinstance(view, LayeredView):
        raise RuntimeError("the collection's index is not in files")
    return view


def timed(here: Opened, questions: Sequence[str], question: Question, mode: Any) -> dict[str, float]:
    """Milliseconds of whole searches: the first, quantiles of the others, and the median of processor time."""
    taken, cpu = [], []
    for text in questions:
        begun, busy = time.perf_counter(), time.process_time()
        search(here.engine, SearchQuery(text, [NAME], mode=mode, filter=question.filter), question.access)
        cpu.append((time.process_time() - busy) * 1e3)
        taken.append((time.perf_counter() - begun) * 1e3)
    return {
        "first_ms": round(taken[0], 2),
        "min_ms": round(min(taken), 3),
        "p50_ms": quantile(taken[1:], 0.5),
        "p95_ms": quantile(taken[1:], 0.95),
        "cpu_p50_ms": quantile(cpu[1:], 0.5),
    }


def _dense_leg(
    here: Opened, view: LayeredView, question: Question, texts: Sequence[str], vectors: NDArray[np.float32], raw: Any
) -> Rows:
    """Recall, and the leg and FAISS in turns."""
    filter_ = None if question.filter is None else parse_filter(question.filter)
    # As the view searches its files: without what was deleted since. What is new since is not in them, and not in the truth.
    mask = view._mask(view._live, question.access, filter_)
    total = len(vectors) if mask is None else int(np.count_nonzero(mask))
    queries = here.encoder.encode(texts)
    hits = [
        rank_views([view], "", [query], mode="dense", k=_K, access=question.access, filter_=filter_).hits[:_K]
        for query in queries
    ]
    keys = np.full((len(hits), _K), -1, dtype=np.int64)
    for row, each in enumerate(hits):
        keys[row, : len(each)] = [hit.key for hit in each]
    truth = exact_best(vectors, queries, mask)
    true_keys = np.where(truth >= 0, np.asarray(view.base.keys)[np.maximum(truth, 0)], -1)
    effort = view.base.dense.effort(total)
    deep = 0 if effort is None else max(effort.candidates, 3 * DEPTH)

    def leg(query: NDArray[np.float32]) -> None:
        view.candidates("", query, DEPTH, question.access, filter_)

    def file(query: NDArray[np.float32]) -> None:
        view.base.dense.search(query[None], DEPTH, mask)

    def ten(query: NDArray[np.float32]) -> None:
        view.base.dense.search(query[None], _K, mask)

    def by_faiss(k: int, depth: int) -> Callable[[NDArray[np.float32]], None]:
        probes = None if effort is None else effort.probes
        return lambda query: raw.search(query[None], mask, probes, min(depth, total), min(k, total))

    ten_deep = 0 if effort is None else max(effort.candidates, 3 * _K)
    names = ("dense leg, 200", "dense file, 200", "faiss, 200", "dense file, 10", "faiss, 10")
    calls = (leg, file, by_faiss(DEPTH, deep or DEPTH), ten, by_faiss(_K, ten_deep or _K))
    taken, cpu = _in_turns(calls, queries)
    cpu_medians = dict(zip(names, np.median(cpu, axis=1).tolist(), strict=True))
    shown = {
        name: {
            "min_ms": quantile(ms, 0),
            "p50_ms": quantile(ms, 0.5),
            "p95_ms": quantile(ms, 0.95),
            "cpu_p50_ms": quantile(busy, 0.5),
        }
        for name, ms, busy in zip(names, taken, cpu, strict=True)
    }
    return {
        "share": round(total / len(vectors), 7),
        "probes": None if effort is None else effort.probes,
        "candidates": deep or None,
        "recall": round(found_share(keys, true_keys), 4),
        **shown,
        "ratio_cpu, leg to faiss, 200": round(cpu_medians["dense leg, 200"] / cpu_medians["faiss, 200"], 2),
        "ratio_cpu, file to faiss, 200": round(cpu_medians["dense file, 200"] / cpu_medians["faiss, 200"], 2),
        "ratio_cpu, file to faiss, 10": round(cpu_medians["dense file, 10"] / cpu_medians["faiss, 10"], 2),
        "ratio_clock, leg to faiss, 200": round(float(np.median(taken[0]) / np.median(taken[2])), 2),
    }


def _in_turns(
    calls: Sequence[Callable[[NDArray[np.float32]], None]], queries: NDArray[np.float32]
) -> tuple[list[list[float]], list[list[float]]]:
    """Milliseconds of each query by each call, by the clock and of this thread; five queries warm up."""
    taken: tuple[list[list[float]], list[list[float]]] = ([[] for _ in calls], [[] for _ in calls])
    for number, query in enumerate(np.concatenate([queries[:5], queries])):
        for at, call in enumerate(calls):
            begun, busy = time.perf_counter(), time.thread_time()
            call(query)
            cpu, ms = (time.thread_time() - busy) * 1e3, (time.perf_counter() - begun) * 1e3
            if number >= 5:
                taken[0][at].append(ms)
                taken[1][at].append(cpu)
    return taken
