"""Postings, mapped: which documents have a key in a column. ``retrieval/postings_build.py`` says how they are written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.filters import Acceptance
from retrieval.heap_file import Heap, damaged, mapped
from retrieval.value_keys import KINDS

_ORDINAL = np.dtype("<u4")
_RUN = np.dtype("<u8")

Ordinals = NDArray[np.uint32]


class Postings:
    """The postings of a folder; safe to read from several threads."""

    def __init__(self, folder: Path, columns: int, values: int) -> None:
        """Map ``columns`` columns with ``values`` keys; raises ``Unavailable`` when the files are not of that size."""
        self._columns = Heap(folder, "columns", columns)
        self._values = Heap(folder, "values", values)
        self._heap = Heap(folder, "postings", values)
        path = folder / "runs.offsets"
        runs = np.frombuffer(mapped(path, (columns * KINDS + 1) * _RUN.itemsize), dtype=_RUN)
        self._run = runs.item
        if self._run(columns * KINDS) != values or len(self._heap.bytes) % _ORDINAL.itemsize:
            raise damaged(path, "does not fit the postings")
        self._ordinals = np.frombuffer(self._heap.bytes, dtype=_ORDINAL)

    def column(self, name: bytes) -> int | None:
        """The number of a column; ``None`` when no document is in it."""
        return self._columns.find(name)

    def present(self, column: int) -> Ordinals:
        """The documents that are in a column, some of them more than once."""
        return self._of_values(self._run(column * KINDS), self._run((column + 1) * KINDS))

    def accepted(self, column: int, key: bytes, accept: Acceptance) -> list[Ordinals]:
        """The documents that have, in a column, a key of this one's kind whose order beside it is accepted."""
        kind, sought = key[0], key[1:]
        first, end = self._run(column * KINDS + kind), self._run(column * KINDS + kind + 1)
        if first == end:
            return []
        place = self._values.place(sought, first, end)
        after = place + (place < end and self._values[place] == sought)
        parts = [(first, place, -1), (place, after, 0), (after, end, 1)]
        return [self._of_values(start, stop) for start, stop, sign in parts if start < stop and accept(sign)]

    def _of_values(self, first: int, end: int) -> Ordinals:
        offset = self._heap.offsets.item
        size = _ORDINAL.itemsize
        return self._ordinals[offset(first) // size : offset(end) // size]
