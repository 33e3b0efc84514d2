"""Byte strings by number in two mapped files: ``NAME.bytes`` holds them end to end, ``NAME.offsets`` where each begins and ends.

Offsets are little-endian uint64, one more than there are strings. The files are written once, in order, and then only read, by any
number of processes: these share the pages that they touch.
"""

from __future__ import annotations

import mmap
from array import array
from bisect import bisect_left
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from infra.errors import Unavailable

_BUFFERED = 1 << 20
_OFFSETS_BUFFERED = 1 << 16
_OFFSET = np.dtype("<u8")


def damaged(path: Path, what: str) -> Unavailable:
    """The error for a file that is not as it was written."""
    return Unavailable(f"The index file {path.name} {what}: build the index anew.", code="index_damaged")


def mapped(path: Path, size: int) -> mmap.mmap | bytes:
    """A file of ``size`` bytes, mapped for reading; raises ``Unavailable`` when it is absent or of another size."""
    try:
        with path.open("rb") as file:
            found = file.seek(0, 2)
            if found != size:
                raise damaged(path, f"has {found} bytes instead of {size}")
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
    except FileNotFoundError:
        raise damaged(path, "is missing") from None


class OffsetsWriter:
    """Writes a file of numbers that only grow."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=_BUFFERED)
        self._waiting = array("Q")

    def append(self, offset: int) -> None:
        """Write the next number."""
        self._waiting.append(offset)
        if len(self._waiting) >= _OFFSETS_BUFFERED:
            self._write()

    def _write(self) -> None:
        self._file.write(np.frombuffer(self._waiting, dtype=np.uint64).astype(_OFFSET).tobytes())
        del self._waiting[:]

    def close(self) -> None:
        """Write what is left."""
        if self._waiting:
            self._write()
        self._file.close()


class HeapWriter:
    """Writes a heap; what was appended is complete once it is closed."""

    def __init__(self, folder: Path, name: str) -> None:
        self._bytes = (folder / f"{name}.bytes").open("wb", buffering=_BUFFERED)
        self._offsets = OffsetsWriter(folder / f"{name}.offsets")
        self._offsets.append(0)
        self.size = 0
        self.count = 0

    def append(self, item: bytes) -> None:
        """Add a byte string; its number is how many were there."""
        self._bytes.write(item)
        self.size += len(item)
        self.count += 1
        self._offsets.append(self.size)

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
    """A heap that was written by ``HeapWriter``; safe to read from several threads."""

    def __init__(self, folder: Path, name: str, count: int) -> None:
        """Map a heap of ``count`` byte strings; raises ``Unavailable`` when the files' sizes do not fit it or each other."""
        path = folder / f"{name}.offsets"
        self.offsets: NDArray[np.uint64] = np.frombuffer(mapped(path, (count + 1) * _OFFSET.itemsize), dtype=_OFFSET)
        self._offset = self.offsets.item
        self.bytes = mapped(folder / f"{name}.bytes", self._offset(count))
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> bytes:
        if not 0 <= number < self._count:
            raise IndexError(f"{number} is not one of {self._count}")
        return self.bytes[self._offset(number) : self._offset(number + 1)]

    def place(self, item: bytes, first: int = 0, end: int | None = None) -> int:
        """Where ``item`` stands, or would, in the range ``[first, end)``, which must be sorted."""
        stop = self._count if end is None else end
        return first + bisect_left(range(first, stop), item, key=self.__getitem__)

    def find(self, item: bytes, first: int = 0, end: int | None = None) -> int | None:
        """The number of ``item`` in the range ``[first, end)``, which must be sorted; ``None`` when it is not there."""
        stop = self._count if end is None else end
        place = self.place(item, first, stop)
        return place if place < stop and self[place] == item else None
