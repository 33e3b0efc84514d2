"""The index types over stored vectors: how each is trained, filled and asked for candidates.

An index only proposes rows; their scores are those of the stored vectors. FAISS's classes do the work, and the files are FAISS's
own, read by mapping (``IO_FLAG_MMAP_IFC``) where lists and graphs are never copied.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import faiss
import numpy as np

from retrieval.dense.allowed import Allowed, Rows
from retrieval.dense.gpu import Gpu
from retrieval.dense.report import Effort, Kind
from retrieval.dense.stored import BLOCK, Vectors

INDEX_FILE = "index.faiss"
Progress = Callable[[str, int, int], None]

_TRAINING_ROWS = 48  # per list; FAISS warns below 39
_ITERATIONS = 8
_MOST_LISTS = 65_536
_LINKS = 32
# What a search costs besides scoring codes, per row of 384 dimensions on one core: an exact score of a row where it
# lies, asking a filter about a row, and scoring a candidate again. Constants, so that a build always chooses alike.
_ROW_NS, _FILTER_NS, _CANDIDATE_NS = 110.0, 7.0, 400.0
_CONSTRUCTION = 80


@dataclass(frozen=True, slots=True)
class IndexKind:
    """An index type.

    ``code_ns`` is the time to score one code (IVF), or to move the queue on by one (HNSW), with 384 dimensions on one core,
    as bench/dense_index.py measures it. ``candidates`` are the depths of scoring again that are tried, as multiples of
    the wanted results, and ``deep`` the multiple where more results are wanted than the recall target speaks of.
    """

    name: Kind
    family: Literal["ivf", "hnsw"]
    codes: str
    code_ns: float
    candidates: tuple[int, ...]
    deep: int

    def lists(self, rows: int) -> int:
        """The number of lists for so many rows: 2 sqrt(rows), a quarter to a half of what is usual.

        Text vectors want a tenth or more of all lists visited for a recall of .99, so finer lists only make training and
        filling slower.
        """
        return min(max(1, round(2 * math.sqrt(rows))), _MOST_LISTS, rows) if self.family == "ivf" else 0

    def factory(self, rows: int, lists: int | None = None) -> str:
        """FAISS's description of the index for so many rows, in so many lists if they are not as many as usual."""
        return f"IVF{lists or self.lists(rows)},{self.codes}" if self.family == "ivf" else f"HNSW{_LINKS}_{self.codes}"


# In the order in which they are tried.
KINDS: tuple[IndexKind, ...] = (
    IndexKind("ivf_rabitq", "ivf", "RaBitQ2", 22.0, (5, 10, 20, 40), 3),
    IndexKind("ivf_sq8", "ivf", "SQ8", 50.0, (3, 6), 2),
)
# Only on demand: it must be filled by one thread to come out the same each time.
FORCED = IndexKind("hnsw_sq8", "hnsw", "SQ8", 3000.0, (3, 6), 2)


def exact_cost(rows: int, dim: int) -> float:
    """Nanoseconds to score so many rows exactly."""
    return rows * _ROW_NS * dim / 384


def index_cost(kind: IndexKind, rows: int, dim: int, effort: Effort, lists: int | None = None) -> float:
    """Nanoseconds to search an index over so many rows with ``effort``; ``lists`` where there are not as many as usual."""
    again = effort.candidates * _CANDIDATE_NS
    if kind.family == "hnsw":
        return (effort.probes * kind.code_ns + again) * dim / 384
    lists = lists or kind.lists(rows)
    visited = rows * min(1.0, effort.probes / lists)
    scored = visited * effort.share * kind.code_ns + lists * _ROW_NS + again
    return scored * dim / 384 + (visited * _FILTER_NS if effort.share < 1.0 else 0.0)


def cost_per_row(kind: IndexKind, rows: int, dim: int, effort: Effort, lists: int) -> float:
    """Nanoseconds that a search costs for each row of the index: what grows when the lists suit the rows less."""
    return index_cost(kind, rows, dim, effort, lists) / rows


def kind_of(name: Kind) -> IndexKind:
    """The index type of that name, which is not ``exact``."""
    return next(kind for kind in (*KINDS, FORCED) if kind.name == name)


def build(kind: IndexKind, rows: Vectors, seed: int, gpu: Gpu | None, progress: Progress) -> Any:
    """Train on a sample of ``rows`` (n, dim) and add all of them, block by block; rows are known by their numbers."""
    count, dim = rows.shape
    index = faiss.index_factory(dim, kind.factory(count), faiss.METRIC_INNER_PRODUCT)
    if kind.family == "hnsw":
        _build_hnsw(index, rows, seed, progress)
    else:
        _build_ivf(index, rows, kind.lists(count), seed, gpu, progress)
    return index


def _sample(rows: Vectors, size: int, seed: int) -> Vectors:
    if size >= len(rows):
        return np.ascontiguousarray(rows)
    chosen = np.random.default_rng(seed).choice(len(rows), size, replace=False)
    return np.ascontiguousarray(rows[np.sort(chosen)])


def _build_ivf(index: Any, rows: Vectors, lists: int, seed: int, gpu: Gpu | None, progress: Progress) -> None:
    index.cp.niter, index.cp.seed = _ITERATIONS, seed
    index.cp.min_points_per_centroid = 1
    index.cp.max_points_per_centroid = _TRAINING_ROWS
    progress("train", 0, 1)
    helper = None if gpu is None else gpu.flat(rows.shape[1])  # FAISS does not keep it alive
    index.clustering_index = helper
    index.train(_sample(rows, lists * _TRAINING_ROWS, seed))
    index.clustering_index = None
    progress("train", 1, 1)
    quantizer = index.quantizer if gpu is None else gpu.copy(index.quantizer)
    add_rows(index, rows, np.arange(len(rows), dtype=np.int64), quantizer, progress)


def add_rows(index: Any, rows: Vectors, numbers: Rows, quantizer: Any, progress: Progress) -> None:
    """Add the ``rows`` of these ``numbers`` to a trained IVF index, block by block, each to the list that is nearest."""
    for start in range(0, len(numbers), BLOCK):
        chosen = numbers[start : start + BLOCK]
        in_a_row = len(chosen) == chosen[-1] - chosen[0] + 1
        block = np.ascontiguousarray(rows[chosen[0] : chosen[-1] + 1] if in_a_row else rows[chosen])
        nearest = np.ascontiguousarray(quantizer.search(block, 1)[1].reshape(-1), dtype=np.int64)
        pointers = (faiss.swig_ptr(each) for each in (block, np.ascontiguousarray(chosen), nearest))
        index.add_core(len(block), *pointers)
        progress("add", start + len(block), len(numbers))


def _build_hnsw(index: Any, rows: Vectors, seed: int, progress: Progress) -> None:
    index.hnsw.efConstruction = _CONSTRUCTION
    index.train(_sample(rows, 100_000, seed))
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        for start in range(0, len(rows), BLOCK):
            index.add(np.ascontiguousarray(rows[start : start + BLOCK]))
            progress("add", min(start + BLOCK, len(rows)), len(rows))
    finally:
        faiss.omp_set_num_threads(threads)


def write_index(index: Any, folder: Path) -> None:
    """Write ``index`` into ``folder``."""
    faiss.write_index(index, str(folder / INDEX_FILE))


def open_index(kind: IndexKind, folder: Path, rows: int, dim: int) -> Any:
    """Map the index in ``folder``; ``ValueError`` where it is damaged, or not of this type over so many rows."""
    try:
        index = faiss.read_index(str(folder / INDEX_FILE), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        reason = str(error).strip().rpartition(": ")[2]
        raise ValueError(f"the dense index is damaged: {INDEX_FILE} cannot be read ({reason})") from error
    wanted = faiss.index_factory(dim, kind.factory(rows), faiss.METRIC_INNER_PRODUCT)
    if type(index) is not type(wanted) or index.ntotal != rows or index.d != dim:
        raise ValueError(f"the dense index is damaged: {INDEX_FILE} is not {kind.factory(rows)} of {rows} vectors")
    return index


def candidates(kind: IndexKind, index: Any, queries: Vectors, probes: int, depth: int, allowed: Allowed | None) -> Rows:
    """The allowed rows that the index thinks nearest to each query, best first: (q, depth), -1 where there are fewer."""
    chosen = None if allowed is None else allowed.bitmap
    if kind.family == "ivf":
        parameters = faiss.SearchParametersIVF(nprobe=min(probes, index.nlist), sel=chosen)  # type: ignore[call-arg]  # as Python adds them
    else:
        parameters = faiss.SearchParametersHNSW(efSearch=max(probes, depth), sel=chosen)  # type: ignore[attr-defined]
    found: Rows = index.search(queries, depth, params=parameters)[1]
    return found
