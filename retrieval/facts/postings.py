"""Postings, mapped: which documents have a key in a column. ``retrieval/facts/postings_build.py`` says how they are written."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval.facts.heap_file import OFFSET, Heap
from retrieval.facts.section_file import SectionFile
from retrieval.facts.value_keys import KINDS
from retrieval.filters import Acceptance

_ORDINAL = "<u4"

Ordinals = NDArray[np.integer]


class Postings:
    """The postings of a mapped file; safe to read from several threads."""

    def __init__(self, file: SectionFile) -> None:
        """Map the postings; raises ``Unavailable`` when their sections do not fit each other."""
        self._columns = Heap(file, "columns")
        self._values = Heap(file, "values")
        self._ordinals = file.numbers("postings.bytes", _ORDINAL)
        postings = Heap(file, "postings")
        self._posting = postings.offsets.item
        runs = file.numbers("runs", OFFSET)
        self._run = runs.item
        if len(postings) != len(self._values):
            raise file.damaged(f"has {len(postings)} postings and {len(self._values)} values")
        if len(runs) != len(self._columns) * KINDS + 1 or self._run(len(runs) - 1) != len(self._values):
            raise file.damaged("has a section runs that does not fit columns and values")

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
        size = self._ordinals.itemsize
        return self._ordinals[self._posting(first) // size : self._posting(end) // size]
