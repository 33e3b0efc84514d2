"""Byte strings by number, as two sections of a file: ``NAME.bytes`` end to end, ``NAME.offsets`` where each begins and ends.

Offsets are uint64, one more than there are strings.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from pathlib import Path
from types import TracebackType
from typing import Self

from retrieval.facts.section_file import SectionFile

_BUFFERED = 1 << 20
_OFFSETS_BUFFERED = 1 << 16
OFFSET = "<u8"


class OffsetsWriter:
    """Writes a part of numbers that never fall."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=_BUFFERED)
        self._waiting = array("Q")

    def append(self, offset: int) -> None:
        """Write the next number."""
        self._waiting.append(offset)
        if len(self._waiting) >= _OFFSETS_BUFFERED:
            self._write()

    def _write(self) -> None:
        if sys.byteorder == "big":
            self._waiting.byteswap()
        self._waiting.tofile(self._file)
        del self._waiting[:]

    def close(self) -> None:
        """Write what is left."""
        self._write()
        self._file.close()


class HeapWriter:
    """Writes the two parts of a heap into a folder; they are complete once it is closed."""

    def __init__(self, folder: Path, name: str) -> None:
        self.parts = {f"{name}.{part}": folder / f"{name}.{part}" for part in ("bytes", "offsets")}
        self._bytes = self.parts[f"{name}.bytes"].open("wb", buffering=_BUFFERED)
        self._offsets = OffsetsWriter(self.parts[f"{name}.offsets"])
        self._offsets.append(0)
        self._size = 0
        self.count = 0

    def append(self, item: bytes) -> None:
        """Add a byte string; its number is how many were there."""
        self._bytes.write(item)
        self._size += len(item)
        self.count += 1
        self._offsets.append(self._size)

    def close(self) -> None:
        """Write what is left."""
        self._bytes.close()
        self._offsets.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Heap:
    """A heap of a mapped file; safe to read from several threads."""

    def __init__(self, file: SectionFile, name: str) -> None:
        """Map a heap; raises ``Unavailable`` when its sections do not fit each other."""
        self.offsets = file.numbers(f"{name}.offsets", OFFSET)
        self._offset = self.offsets.item
        self._bytes, self._begin, end = file.section(f"{name}.bytes")
        self._count = len(self.offsets) - 1
        if self._count < 0 or self._begin + self._offset(self._count) != end:
            raise file.damaged(f"has a section {name}.offsets that does not fit {name}.bytes")

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> bytes:
        if not 0 <= number < self._count:
            raise IndexError(f"{number} is not one of {self._count}")
        return self._at(number)

    def _at(self, number: int) -> bytes:
        begin, offset = self._begin, self._offset
        return self._bytes[begin + offset(number) : begin + offset(number + 1)]

    def place(self, item: bytes, first: int = 0, end: int | None = None) -> int:
        """Where ``item`` stands, or would, in the range ``[first, end)``, which must be sorted."""
        stop = self._count if end is None else end
        return first + bisect_left(range(first, stop), item, key=self._at)

    def find(self, item: bytes, first: int = 0, end: int | None = None) -> int | None:
        """The number of ``item`` in the range ``[first, end)``, which must be sorted; ``None`` when it is not there."""
        stop = self._count if end is None else end
        place = self.place(item, first, stop)
        return place if place < stop and self[place] == item else None
