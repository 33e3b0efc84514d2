"""Vectors in a file, mapped and never copied: exact scores of some of them, or of all.

They are kept in float32, as they were given: a float16 file would be half as large, but a vector that moves from memory into the
file would change its scores by up to 1e-4, and with them the order of answers. Rows of zeros (texts without a vector)
are left out, and ``positions`` maps the rows that are there to those that were given.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from retrieval.dense.allowed import Allowed, Rows

Vectors = NDArray[np.float32]

VECTORS_FILE = "vectors.npy"
POSITIONS_FILE = "positions.npy"
BLOCK = 16_384

# Sums of products in float32 differ by a few units in the seventh digit with the order of summation.
ROUNDING = 2e-6
_SLACK = 16
# So many rows are scored sooner than FAISS is asked.
_FEW = 1024


@dataclass(frozen=True, slots=True)
class Stored:
    """Unit vectors (n, dim), mapped, and the position that each row had (``None``: its own number)."""

    rows: Vectors
    positions: Rows | None

    def __len__(self) -> int:
        return len(self.rows)


def write_stored(folder: Path, vectors: Vectors, source: Path | None = None) -> Stored:
    """Write ``vectors`` (n, dim), block by block, but for rows of zeros, and open them.

    ``source`` is an ``.npy`` file of float32 in C order that holds just them: without rows of zeros it becomes the stored file
    by a second name (a hard link), and nothing is copied; it must not be changed afterwards, and may be removed. Where the
    file system cannot do that, it is copied.

    Raises ``ValueError`` for a row that is neither zeros nor finite and of length 1 (within .001).
    """
    count, dim = vectors.shape
    present = np.ones(count, dtype=np.bool_)
    for start in range(0, count, BLOCK):
        block = np.asarray(vectors[start : start + BLOCK], dtype=np.float32)
        present[start : start + BLOCK] = block.any(axis=1)
        lengths = np.linalg.norm(block[block.any(axis=1)], axis=1)
        if not np.all(np.abs(lengths - 1.0) <= 1e-3):
            raise ValueError("vectors must be finite and of length 1, or zeros where a text has none")
    total = int(np.count_nonzero(present))
    if source is not None and count and total == count and _linked(source, folder / VECTORS_FILE):
        return open_stored(folder, total, dim, has_empty=False)
    if total:
        out = open_memmap(folder / VECTORS_FILE, mode="w+", dtype=np.float32, shape=(total, dim))
        at = 0
        for start in range(0, count, BLOCK):
            block = np.asarray(vectors[start : start + BLOCK], dtype=np.float32)[present[start : start + BLOCK]]
            out[at : at + len(block)] = block
            at += len(block)
        out.flush()
        del out
    else:  # an empty file cannot be mapped
        np.save(folder / VECTORS_FILE, np.zeros((0, dim), dtype=np.float32))
    if total < count:
        np.save(folder / POSITIONS_FILE, np.flatnonzero(present).astype(np.int64))
    return open_stored(folder, total, dim, total < count)


def _linked(source: Path, path: Path) -> bool:
    try:
        path.hardlink_to(source)
    except OSError:  # another file system, or one without hard links
        return False
    return True


def open_stored(folder: Path, count: int, dim: int, has_empty: bool) -> Stored:
    """Map what ``write_stored`` wrote; ``ValueError`` where it does not hold ``count`` vectors of ``dim``."""
    rows = _mapped(folder / VECTORS_FILE, np.dtype(np.float32), (count, dim))
    positions = _mapped(folder / POSITIONS_FILE, np.dtype(np.int64), (count,)) if has_empty else None
    return Stored(rows, positions)


def _mapped(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r" if shape[0] else None, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"the dense index is damaged: {path.name} cannot be read ({error})") from error
    if array.dtype != dtype or array.shape != shape or not array.flags.c_contiguous:
        raise ValueError(f"the dense index is damaged: {path.name} is not {shape} of {dtype}")
    return np.asarray(array)  # numpy's class for maps is slow to index; the map stays open behind the array


def scan(stored: Stored, query: Vectors, k: int, allowed: Allowed | None) -> tuple[Rows, Vectors]:
    """The exact ``k`` best of the allowed rows (``None``: all) for one query (dim,), best first, and their cosines.

    Rows that score the same come in their order. ``k`` must be at most as many as there are.
    """
    total = len(stored) if allowed is None else allowed.total
    if allowed is not None and total <= _FEW:
        return best(stored, query, allowed.rows, k)
    depth = min(k + _SLACK, total)
    chosen = None if allowed is None else allowed.selector
    while True:
        scores, found = np.empty((1, depth), dtype=np.float32), np.empty((1, depth), dtype=np.int64)
        faiss.knn_inner_product(
            faiss.swig_ptr(query),
            faiss.swig_ptr(stored.rows),
            stored.rows.shape[1],
            1,
            len(stored),
            depth,
            faiss.swig_ptr(scores),
            faiss.swig_ptr(found),
            chosen,
        )
        # Rows beyond the depth could tie with the last one wanted: look deeper until none can.
        if depth == total or scores[0, -1] < scores[0, k - 1] - ROUNDING:
            return best(stored, query, found[0], k)
        depth = min(2 * depth, total)


def best(stored: Stored, query: Vectors, candidates: Rows, k: int) -> tuple[Rows, Vectors]:
    """The ``k`` best of ``candidates`` by their exact cosine, best first, equal ones in the order of rows; and the cosines.

    A float32 pass leaves those that may be among the best; they are scored in float64, so that equal vectors score the same
    wherever they lie.
    """
    rows = np.sort(candidates)
    near = stored.rows[rows]
    if len(rows) > k:
        rough = near @ query
        kept = rough >= np.partition(rough, len(rough) - k)[len(rough) - k] - ROUNDING
        rows, near = rows[kept], near[kept]
    # einsum sums each row alike, where a matrix product depends on the row's place
    cosines = np.einsum("rd,d->r", near.astype(np.float64), query.astype(np.float64)).astype(np.float32)
    order = np.argsort(-cosines, kind="stable")[:k]
    return rows[order], cosines[order]
