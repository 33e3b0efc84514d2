"""How far to search an index so that it finds what an exact search finds: measured on the collection itself.

**Queries.** Nobody has asked yet when an index is built, so queries are made from the collection: a vector of it, .6 of that and
.8 of the unit difference between two others. A question lies near a passage, but not among the passages: its cosine
to the best one is .61 in the median on real questions and texts, and this makes .62 (the vectors themselves have 1,
and are found with half the effort). ``bench/dense_index.py`` compares the recall of both, visiting the same lists.

**Truth** is the score of the k-th best vector by exact search: a result counts as found when it scores as high, so that of equal
vectors any will do.

**Filters.** Under a filter that leaves a share s of the vectors, the k best lie as deep as the k/s best of all, and deeper where
the filter has to do with the topic. So shares of 1/2, 1/8, ... are measured with two masks each, one at random and
one that takes whole topics, and the worse of the two counts.

Efforts are chosen on one half of the queries, with a standard error to spare; the other half gives the recall that is reported,
and raises the effort where it falls short.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.dense.allowed import Allowed, Mask
from retrieval.dense.gpu import Gpu
from retrieval.dense.kinds import IndexKind, candidates, exact_cost, index_cost
from retrieval.dense.report import Effort, RecallTarget
from retrieval.dense.stored import BLOCK, ROUNDING, Vectors

# How much of a made-up query is a vector of the collection, and how much the difference of two others.
_NEAR, _ASIDE = 0.6, 0.8
_TOPICS = 64
_STEP = 1.25
# The shares that are measured: a half, an eighth, ...
_FIRST_SHARE, _SHARE_STEP = 0.5, 0.25
_LONGEST_QUEUE = 4096
DEEP = 10


@dataclass(frozen=True, slots=True)
class Probe:
    """Queries (q, dim), a mask of rows (``None``: all), and the score of each query's k-th best row under it, shape (q,)."""

    queries: Vectors
    allowed: Mask | None
    bar: Vectors


@dataclass(frozen=True, slots=True)
class Tuned:
    """Efforts by falling share, empty where the target was missed, and what was measured with all rows allowed."""

    efforts: tuple[Effort, ...]
    recall: float
    recall_deep: float


def made_queries(rows: Vectors, count: int, seed: int) -> Vectors:
    """``count`` unit vectors (count, dim) that lie to ``rows`` as questions lie to passages."""
    rng = np.random.default_rng(seed)
    near, one, other = (np.asarray(rows[rng.integers(len(rows), size=count)]) for _ in range(3))
    aside = one - other
    lengths = np.linalg.norm(aside, axis=1, keepdims=True)
    made = _NEAR * near + _ASIDE * aside / np.where(lengths > 1e-6, lengths, np.inf)
    return np.ascontiguousarray(made / np.linalg.norm(made, axis=1, keepdims=True), dtype=np.float32)


def kth_scores(rows: Vectors, queries: Vectors, ks: Sequence[int], allowed: Mask | None, gpu: Gpu | None) -> Vectors:
    """The exact scores of the k-th best allowed row for each of ``ks`` (the last's where there are fewer): (len(ks), q)."""
    deepest = max(ks)
    chosen = None if allowed is None else np.flatnonzero(allowed)
    total = len(rows) if chosen is None else len(chosen)
    kept = np.full((len(queries), deepest), -np.inf, dtype=np.float32)
    for start in range(0, total, BLOCK):
        block = rows[start : start + BLOCK] if chosen is None else rows[chosen[start : start + BLOCK]]
        depth = min(deepest, len(block))
        if gpu is None:
            scores, _ = faiss.knn(queries, np.ascontiguousarray(block), depth, metric=faiss.METRIC_INNER_PRODUCT)
        else:
            scores, _ = gpu.load(block).search(queries, depth)
        kept = -np.sort(-np.concatenate([kept, scores], axis=1), axis=1)[:, :deepest]
    return np.stack([kept[:, min(k, total) - 1] for k in ks])


def masks(rows: Vectors, share: float, seed: int) -> tuple[Mask, Mask]:
    """Two masks that allow ``share`` of the rows: at random, and by whole topics (rows nearest to one of 64 of them)."""
    rng = np.random.default_rng(seed)
    wanted = max(1, round(share * len(rows)))
    at_random = np.zeros(len(rows), dtype=np.bool_)
    at_random[rng.choice(len(rows), wanted, replace=False)] = True
    pivots = np.asarray(rows[np.sort(rng.choice(len(rows), min(_TOPICS, len(rows)), replace=False))])
    topic = np.concatenate(
        [np.argmax(rows[start : start + BLOCK] @ pivots.T, axis=1) for start in range(0, len(rows), BLOCK)]
    )
    order = rng.permutation(len(pivots))
    by_topic = np.zeros(len(rows), dtype=np.bool_)
    by_topic[np.argsort(np.argsort(order)[topic], kind="stable")[:wanted]] = True
    return at_random, by_topic


def tune(
    kind: IndexKind,
    index: Any,
    rows: Vectors,
    target: RecallTarget,
    gpu: Gpu | None,
    before: tuple[Effort, ...] = (),
) -> Tuned:
    """The cheapest efforts that reach ``target``, from all rows allowed down to where scanning the allowed is cheaper.

    ``before`` are efforts that an index of the same lists needed for nearly the same rows: where they reach the target,
    they are taken, after a single look instead of a search for the cheapest.
    """
    half = target.sample // 2
    queries = made_queries(rows, 2 * half, target.seed)
    bars = kth_scores(rows, queries, (target.k, DEEP * target.k), None, gpu)
    choosing, checking = ([Probe(queries[part], None, bars[0, part])] for part in (slice(half), slice(half, None)))
    deepest = DEEP * target.k
    grid = _grid(kind, index, len(rows))
    first, reached = _effort(kind, index, rows, target, _Choice(1.0, grid, before), choosing, checking)
    deep = [Probe(queries[half:], None, bars[1, half:])]
    if first is None:
        if target.kind is None:
            return Tuned((), reached, 0.0)
        first = Effort(1.0, grid[-1], kind.candidates[-1] * target.k, reached)
    depth = max(first.candidates, kind.deep * deepest)
    recall_deep = _recall(kind, index, rows, deep, first.probes, depth, min(deepest, len(rows)))[-1]
    return Tuned(
        (first, *_under_filters(kind, index, rows, target, queries, first, gpu, before)), first.recall, recall_deep
    )


def _under_filters(
    kind: IndexKind,
    index: Any,
    rows: Vectors,
    target: RecallTarget,
    queries: Vectors,
    first: Effort,
    gpu: Gpu | None,
    before: tuple[Effort, ...],
) -> list[Effort]:
    """Efforts for shares of 1/2, 1/8, ..., as long as they reach the target and cost less than a scan of what is allowed."""
    efforts: list[Effort] = []
    half, dim, last = len(queries) // 2, rows.shape[1], first
    share = _FIRST_SHARE
    while share * len(rows) >= target.k:
        cheapest = Effort(share, last.probes, last.candidates, 0.0)
        if index_cost(kind, len(rows), dim, cheapest, _lists(index)) >= exact_cost(round(share * len(rows)), dim):
            break
        choosing, checking = [], []
        for mask in masks(rows, share, target.seed + len(efforts) + 1):
            bar = kth_scores(rows, queries, (target.k,), mask, gpu)[0]
            choosing.append(Probe(queries[:half], mask, bar[:half]))
            checking.append(Probe(queries[half:], mask, bar[half:]))
        grid = [each for each in _grid(kind, index, len(rows)) if each >= last.probes] or [last.probes]
        found, _ = _effort(kind, index, rows, target, _Choice(share, grid, before), choosing, checking)
        if found is None:
            break
        if index_cost(kind, len(rows), dim, found, _lists(index)) >= exact_cost(round(share * len(rows)), dim):
            break
        efforts.append(found)
        last, share = found, share * _SHARE_STEP
    return efforts


def _lists(index: Any) -> int | None:
    return getattr(index, "nlist", None)


def _grid(kind: IndexKind, index: Any, rows: int) -> list[int]:
    most = index.nlist if kind.family == "ivf" else min(_LONGEST_QUEUE, rows)
    grid = [max(1, most // 64)]
    while grid[-1] < most:
        grid.append(min(most, max(grid[-1] + 1, round(grid[-1] * _STEP))))
    return grid


@dataclass(frozen=True, slots=True)
class _Choice:
    """The share of rows allowed, the numbers of probes to choose from, and the efforts of an earlier index, if there was one."""

    share: float
    grid: Sequence[int]
    before: tuple[Effort, ...]

    def place(self) -> int | None:
        """Which of the numbers of probes the earlier index needed for this share."""
        probes = next((effort.probes for effort in self.before if effort.share == self.share), None)
        return self.grid.index(probes) if probes in self.grid else None


def _effort(
    kind: IndexKind,
    index: Any,
    rows: Vectors,
    target: RecallTarget,
    choice: _Choice,
    choosing: Sequence[Probe],
    checking: Sequence[Probe],
) -> tuple[Effort | None, float]:
    """The cheapest effort that reaches the target on ``choosing``, and still does on ``checking``; and the recall there."""
    depths = [each * target.k for each in kind.candidates]
    share, grid = choice.share, choice.grid

    def recalls(place: int) -> list[float]:
        found = _recall(kind, index, rows, choosing, grid[place], depths[-1], target.k, to_spare=1.0)
        return [found[min(depth, len(found)) - 1] for depth in depths]

    known: dict[int, list[float]] = {}
    earlier = choice.place()
    if earlier is not None:
        known[earlier] = recalls(earlier)
    if earlier is not None and known[earlier][-1] >= target.recall:
        place, looked = earlier, 1
    else:
        place, looked = _least(len(grid), recalls, target.recall, known), 3
    options = []
    for at in range(place, min(place + looked, len(grid))):
        known[at] = known.get(at) or recalls(at)
        for depth, recall in zip(depths, known[at], strict=True):
            if recall >= target.recall:
                effort = Effort(share, grid[at], depth, recall)
                options.append((index_cost(kind, len(rows), rows.shape[1], effort, _lists(index)), at, effort))
    _, at, best = min(options, key=lambda each: each[0], default=(0.0, place, Effort(share, grid[-1], depths[-1], 0.0)))
    while True:
        reached = _recall(kind, index, rows, checking, grid[at], best.candidates, target.k)[-1]
        if reached >= target.recall:
            return Effort(share, grid[at], best.candidates, reached), reached
        if at + 1 < len(grid):
            at += 1
        elif best.candidates < depths[-1]:
            best = Effort(share, grid[at], depths[-1], 0.0)
        else:
            return None, reached


def _least(size: int, recalls: Callable[[int], list[float]], wanted: float, known: dict[int, list[float]]) -> int:
    """The first place whose best recall is ``wanted`` (the last place if none is), by bisection; all go into ``known``."""
    low, high = 0, size - 1
    while low < high:
        middle = (low + high) // 2
        known[middle] = known.get(middle) or recalls(middle)
        if known[middle][-1] >= wanted:
            high = middle
        else:
            low = middle + 1
    return low


def _recall(
    kind: IndexKind,
    index: Any,
    rows: Vectors,
    probes_: Sequence[Probe],
    probes: int,
    depth: int,
    k: int,
    to_spare: float = 0.0,
) -> list[float]:
    """Recall@``k`` by the number of candidates scored again, 1 to ``depth``: the worst of ``probes_`` for each.

    ``to_spare`` standard errors of the mean over queries are taken off.
    """
    worst: NDArray[np.float64] | None = None
    for probe in probes_:
        allowed = None if probe.allowed is None else Allowed(probe.allowed)
        total = len(rows) if allowed is None else allowed.total
        found = candidates(kind, index, probe.queries, probes, min(depth, total), allowed)
        hits = np.zeros(found.shape, dtype=np.int64)
        for number, (query, near, bar) in enumerate(zip(probe.queries, found, probe.bar, strict=True)):
            hits[number] = (rows[near] @ query >= bar - ROUNDING) & (near >= 0)
        wanted = min(k, total)
        each = np.minimum(np.cumsum(hits, axis=1), wanted) / wanted
        recall = each.mean(axis=0) - to_spare * each.std(axis=0) / np.sqrt(len(each))
        recall = np.pad(recall, (0, depth - len(recall)), mode="edge")
        worst = recall if worst is None else np.minimum(worst, recall)
    assert worst is not None  # noqa: S101 - there is always a probe
    return [float(each) for each in worst]
