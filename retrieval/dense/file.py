"""An index over fixed vectors, read from a folder: mapped, never changed, and exact under a filter that allows few."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.array_cache import ArrayCache
from retrieval.dense.allowed import Allowed, Mask, Rows
from retrieval.dense.gpu import MOST_RESULTS, Gpu
from retrieval.dense.kinds import IndexKind, candidates, exact_cost, index_cost, kind_of, open_index
from retrieval.dense.report import DenseReport, Effort, effort_for, read_report
from retrieval.dense.stored import ROUNDING, Stored, Vectors, best, open_stored, scan
from retrieval.dense.threads import threads_for

# A batch of queries that is worth a trip to the GPU.
_GPU_BATCH = 4
_SLACK = 16
# Masks whose other forms are kept: as many as a view keeps.
_ALLOWED_KEPT = 64


class DenseFile:
    """What ``build_dense`` wrote, opened for reading.

    Opening maps the files and reads their heads; a search loads the pages that it touches, and processes that map the same
    folder share them. Nothing is changed, so it may be called from several threads. Cosines are exact, those of the stored
    vectors; what an index type may miss is a result, at most as the recall target says for its ``k`` best, with or
    without a filter.
    """

    def __init__(self, report: DenseReport, stored: Stored, index: Any, on_gpu: Any = None) -> None:
        self._report = report
        self._stored = stored
        self._kind: IndexKind | None = None if report.kind == "exact" else kind_of(report.kind)
        self._index = index
        self._on_gpu = on_gpu
        self._allowed: ArrayCache[Allowed] = ArrayCache(_ALLOWED_KEPT)
        # FAISS's GPU resources may be used by one thread at a time.
        self._gpu_turn = threading.Lock()

    @classmethod
    def open(cls, folder: Path, *, gpu: bool = False, load: Callable[[], Gpu] = Gpu) -> DenseFile:
        """Map the index in ``folder``; ``ValueError`` in one sentence where it is missing, cut, damaged or of another format.

        With ``gpu`` the stored vectors are also loaded into the first GPU (``load`` finds it), where batches of queries without a
        filter are then searched exactly; ``RuntimeError`` without one, or where they do not fit.
        """
        report = read_report(folder)
        stored = open_stored(folder, report.rows, report.dim, report.empty > 0)
        index = None if report.kind == "exact" else open_index(kind_of(report.kind), folder, report.rows, report.dim)
        return cls(report, stored, index, load().load(stored.rows) if gpu else None)

    @property
    def report(self) -> DenseReport:
        """What was built, and the recall that it reached."""
        return self._report

    @property
    def count(self) -> int:
        """How many vectors were given, rows of zeros included: the length of a mask."""
        return self._report.count

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._report.dim

    def search(self, queries: Vectors, k: int, allowed: NDArray[np.bool_] | None = None) -> tuple[Rows, Vectors]:
        """The ``k`` best positions of each query, best first, with their cosine; equal ones by position.

        ``queries`` are unit vectors (q, dim), both answers have the shape (q, k); where fewer than ``k`` were found the
        position is -1 and the cosine ``-inf``. Only positions marked in ``allowed`` (``count`` marks) are found, and
        never one without a vector. Of equal vectors the first are found (``hnsw_sq8``, built only on demand, may miss
        some of them). Raises ``ValueError`` for a wrong shape.
        """
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        if queries.ndim != 2 or queries.shape[1] != self.dim:
            raise ValueError(f"queries have the shape {queries.shape} and must have (q, {self.dim})")
        rows_allowed = self._rows_allowed(allowed)
        total = len(self._stored) if rows_allowed is None else rows_allowed.total
        positions = np.full((len(queries), k), -1, dtype=np.int64)
        cosines = np.full((len(queries), k), -np.inf, dtype=np.float32)
        wanted = min(k, total)
        if wanted < 1 or not len(queries):
            return positions, cosines
        with threads_for(len(queries)):
            found = self._found(queries, wanted, rows_allowed, total)
        for number, (rows, scores) in enumerate(found):
            positions[number, :wanted] = rows if self._stored.positions is None else self._stored.positions[rows]
            cosines[number, :wanted] = np.clip(scores, -1.0, 1.0)
        return positions, cosines

    def vectors(self, positions: Rows) -> Vectors:
        """The stored vectors of some positions, (n, dim); zeros where there is none."""
        if self._stored.positions is None:
            return self._stored.rows[positions]
        rows = np.minimum(np.searchsorted(self._stored.positions, positions), len(self._stored) - 1)
        found = np.zeros((len(positions), self.dim), dtype=np.float32)
        there = (
            self._stored.positions[rows] == positions if len(self._stored) else np.zeros(len(positions), dtype=np.bool_)
        )
        found[there] = self._stored.rows[rows[there]]
        return found

    def _rows_allowed(self, allowed: Mask | None) -> Allowed | None:
        """Which stored rows are allowed; ``None``: all."""
        if allowed is None:
            return None
        if allowed.shape != (self.count,) or allowed.dtype != np.bool_:
            raise ValueError(f"allowed is {allowed.dtype} of {allowed.shape} and must be bool of ({self.count},)")
        found = self._allowed.derived(
            allowed,
            lambda: Allowed(
                np.ascontiguousarray(allowed if self._stored.positions is None else allowed[self._stored.positions])
            ),
        )
        return None if found.total == len(self._stored) else found

    def _found(self, queries: Vectors, k: int, allowed: Allowed | None, total: int) -> list[tuple[Rows, Vectors]]:
        if self._on_gpu is not None and allowed is None and len(queries) >= _GPU_BATCH and k + _SLACK <= MOST_RESULTS:
            return self._found_on_gpu(queries, k, total)
        effort, kind = self.effort(total), self._kind
        if effort is None or kind is None:
            return [scan(self._stored, query, k, allowed) for query in queries]
        depth = min(total, max(effort.candidates, kind.deep * k))
        proposed = candidates(kind, self._index, queries, effort.probes, depth, allowed)
        return [
            self._best(kind, query, k, allowed, effort.probes, rows)
            for query, rows in zip(queries, proposed, strict=True)
        ]

    def _found_on_gpu(self, queries: Vectors, k: int, total: int) -> list[tuple[Rows, Vectors]]:
        depth = min(k + _SLACK, total)
        with self._gpu_turn:
            thought, proposed = self._on_gpu.search(queries, depth)
        return [
            scan(self._stored, query, k, None)
            if depth < total and thoughts[-1] >= thoughts[k - 1] - ROUNDING  # more may tie than were proposed
            else best(self._stored, query, rows, k)
            for query, rows, thoughts in zip(queries, proposed, thought, strict=True)
        ]

    def effort(self, total: int | None = None) -> Effort | None:
        """How far the index is searched when ``total`` vectors are allowed (all by default); ``None``: they are scanned.

        That is so where scanning them costs less, and below the smallest share at which the target was reached.
        """
        total = len(self._stored) if total is None else total
        if self._kind is None or not total:
            return None
        effort = effort_for(self._report.efforts, total / len(self._stored))
        if effort is None or (self._report.target.kind is not None and total == len(self._stored)):
            return effort
        cost = index_cost(self._kind, len(self._stored), self.dim, effort, self._report.lists)
        return effort if cost < exact_cost(total, self.dim) else None

    def _best(
        self, kind: IndexKind, query: Vectors, k: int, allowed: Allowed | None, probes: int, rows: Rows
    ) -> tuple[Rows, Vectors]:
        """The best of the proposed rows; where they are too few, of those further away, and at last of all allowed.

        Of equal vectors the first are proposed: they lie in one list, in the order of rows, and FAISS keeps what it met first.
        """
        depth = len(rows)
        while np.count_nonzero(rows >= 0) < k:
            probes *= 2
            if probes > 2 * max(self._report.lists, depth):
                return scan(self._stored, query, k, allowed)
            rows = candidates(kind, self._index, query[None], probes, depth, allowed)[0]
        return best(self._stored, query, rows[rows >= 0], k)
