"""Rows: the numbers that chunks keep in a lexical file when it is merged, and how long each chunk is.

A new file's rows are its positions. A merge moves positions, as documents are sorted by their ids, and what the library holds
by number does not move: ``rows.npy`` then says the position of each row, -1 where there is none. ``lengths.npy`` has the
number of terms in each field of each row, (rows, 3): from these the averages stay exact when chunks go.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.lexical.folder import Header, write_durably
from retrieval.lexical.scoring import FIELDS

ROWS, LENGTHS = "rows.npy", "lengths.npy"

Positions = NDArray[np.int64]
Lengths = NDArray[np.int32]


def open_rows(folder: Path, header: Header) -> Positions | None:
    """The position of each row, mapped; ``None`` where rows are positions. Raises ``ValueError`` for a file that does not fit."""
    if not header.rows:
        return None
    rows: Positions = np.asarray(np.load(folder / ROWS, mmap_mode="r", allow_pickle=False))
    if rows.dtype != np.int64 or rows.shape != (header.rows,):
        raise ValueError(f"{ROWS} is {rows.dtype} of {rows.shape} and must be int64 of ({header.rows},)")
    return rows


def read_lengths(folder: Path, rows: int) -> Lengths:
    """The terms of each of so many rows by field; ``ValueError`` for a file that does not fit, ``FileNotFoundError``."""
    lengths: Lengths = np.load(folder / LENGTHS, allow_pickle=False)
    if lengths.dtype != np.int32 or lengths.shape != (rows, len(FIELDS)):
        raise ValueError(
            f"{LENGTHS} is {lengths.dtype} of {lengths.shape} and must be int32 of ({rows}, {len(FIELDS)})"
        )
    return lengths


def write_array(path: Path, array: NDArray[np.integer]) -> None:
    """Write an array that is there whole or not at all."""
    content = io.BytesIO()
    np.save(content, array)
    write_durably(path, content.getvalue())


def as_lengths(lengths: list[tuple[int, ...]]) -> Lengths:
    """Lengths by row as an array (n, 3)."""
    return np.array(lengths, dtype=np.int32).reshape(len(lengths), len(FIELDS))
