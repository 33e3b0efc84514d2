"""Writing postings: for each column and key the ordinals of the documents that have it, sorted outside of main memory.

Postings are collected up to a limit, written sorted to a spill, and the spills are merged into the sections that ``Postings``
reads:

    columns     heap of the columns' names, sorted
    runs        for each column and kind of key the number of its first value; the last is how many there are
    values      heap of the keys, sorted within their run
    postings    heap of each value's ordinals, ascending, as little-endian uint32
"""

from __future__ import annotations

import heapq
import struct
import sys
from array import array
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Self

from retrieval.facts.heap_file import HeapWriter, OffsetsWriter
from retrieval.facts.value_keys import KINDS

# A column, a key, and the ordinals that have it: the unit that is sorted, spilled and merged.
_Entry = tuple[bytes, bytes, bytes]

# What is held at a time: about 200 bytes for each key and 4 for each posting, so some 200 MB.
_KEYS_HELD = 500_000
_POSTINGS_HELD = 8_000_000
_KEY_BYTES_HELD = 64 << 20
# Spills that are merged at a time, each an open file.
_SPILLS = 64
_LENGTHS = struct.Struct("<IIQ")


class PostingsWriter:
    """Takes documents in order and writes the parts of their postings into a folder; ``parts`` names them, once it is closed."""

    def __init__(
        self, folder: Path, *, keys_held: int = _KEYS_HELD, postings_held: int = _POSTINGS_HELD, spills: int = _SPILLS
    ) -> None:
        self._folder = folder
        self._keys_held = keys_held
        self._postings_held = postings_held
        self._most_spills = max(2, spills)
        self._held: dict[bytes, dict[bytes, array[int]]] = {}
        self._keys = self._postings = self._key_bytes = 0
        self._spills: list[Path] = []
        self._spilled = 0
        self.parts: dict[str, Path] = {}

    def add(self, ordinal: int, keys: Iterable[tuple[bytes, bytes]]) -> None:
        """Add a document's keys by column; its ordinal is greater than those before."""
        for column, key in keys:
            held = self._held.get(column)
            if held is None:
                held = self._held[column] = {}
            ordinals = held.get(key)
            if ordinals is None:
                held[key] = array("I", (ordinal,))
                self._keys += 1
                self._key_bytes += len(key)
            elif ordinals[-1] != ordinal:
                ordinals.append(ordinal)
                self._postings += 1
        if self._keys >= self._keys_held or self._postings >= self._postings_held or self._key_bytes >= _KEY_BYTES_HELD:
            self._spill(self._sorted())
            self._held = {}
            self._keys = self._postings = self._key_bytes = 0

    def _sorted(self) -> Iterator[_Entry]:
        for column in sorted(self._held):
            held = self._held[column]
            for key in sorted(held):
                ordinals = held[key]
                if sys.byteorder == "big":
                    ordinals.byteswap()
                yield column, key, ordinals.tobytes()

    def _spill(self, entries: Iterable[_Entry]) -> None:
        path = self._folder / f"spill-{self._spilled}"
        self._spilled += 1
        with path.open("wb", buffering=1 << 20) as file:
            for column, key, ordinals in entries:
                file.write(_LENGTHS.pack(len(column), len(key), len(ordinals)))
                file.write(column + key + ordinals)
        self._spills.append(path)
        if len(self._spills) == self._most_spills:
            merged, self._spills = self._spills, []
            self._spill(_merge([_read_spill(spill) for spill in merged]))
            for spill in merged:
                spill.unlink()

    def _write(self) -> None:
        sources = [_read_spill(spill) for spill in self._spills]
        entries = _merge([*sources, self._sorted()]) if sources else self._sorted()
        path = self._folder / "runs"
        runs = OffsetsWriter(path)
        with (
            HeapWriter(self._folder, "columns") as columns,
            HeapWriter(self._folder, "values") as values,
            HeapWriter(self._folder, "postings") as postings,
        ):
            for column, of_column in groupby(entries, key=itemgetter(0)):
                columns.append(column)
                begun = 0
                for _, key, ordinals in of_column:
                    while begun <= key[0]:
                        runs.append(values.count)
                        begun += 1
                    values.append(key[1:])
                    postings.append(ordinals)
                for _ in range(begun, KINDS):
                    runs.append(values.count)
            runs.append(values.count)
        runs.close()
        self.parts = {"runs": path, **columns.parts, **values.parts, **postings.parts}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._write()
        for spill in self._spills:
            spill.unlink()


def _read_spill(path: Path) -> Iterator[_Entry]:
    with path.open("rb", buffering=1 << 18) as file:
        while lengths := file.read(_LENGTHS.size):
            column, key, ordinals = _LENGTHS.unpack(lengths)
            yield file.read(column), file.read(key), file.read(ordinals)


def _merge(sources: Iterable[Iterator[_Entry]]) -> Iterator[_Entry]:
    """All entries sorted, those of the same column and key made one; earlier sources have the smaller ordinals."""
    numbered = [_numbered(number, source) for number, source in enumerate(sources)]
    for (column, key), same in groupby(heapq.merge(*numbered), key=itemgetter(0, 1)):
        yield column, key, b"".join([ordinals for _, _, _, ordinals in same])


def _numbered(number: int, source: Iterator[_Entry]) -> Iterator[tuple[bytes, bytes, int, bytes]]:
    for column, key, ordinals in source:
        yield column, key, number, ordinals
