"""One read-only file of named sections: mapped whole by a single call, so that an open index costs one file handle.

    magic      8 bytes: what the file is, and its version
    header     uint32 length, uint32 CRC-32, and then JSON: {section: [offset, size]}
    sections   each begins at a multiple of 8; offsets count from the end of the header, rounded up likewise

Numbers are little-endian. The file appears under its name when it is complete.
"""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import DTypeLike, NDArray

from infra.errors import Unavailable

_ALIGNED = 8
_LENGTH_AND_SUM = struct.Struct("<II")
_BUFFERED = 1 << 20


_Sections = dict[str, tuple[int, int]]


def write_sections(path: Path, magic: bytes, parts: Mapping[str, Path]) -> None:
    """Write the files of ``parts`` as sections of one file, under their names; ``magic`` has 8 bytes."""
    sections: _Sections = {}
    offset = 0
    for name, part in parts.items():
        size = part.stat().st_size
        sections[name] = (offset, size)
        offset += size + _padding(size)
    header = msgspec.json.encode(sections)
    begun = path.with_name(f"{path.name}.new")
    with begun.open("wb", buffering=_BUFFERED) as file:
        file.write(magic + _LENGTH_AND_SUM.pack(len(header), zlib.crc32(header)) + header)
        file.write(bytes(_padding(file.tell())))
        for part in parts.values():
            with part.open("rb") as section:
                shutil.copyfileobj(section, file, _BUFFERED)
            file.write(bytes(_padding(file.tell())))
    begun.replace(path)


def _padding(size: int) -> int:
    return -size % _ALIGNED


class SectionFile:
    """A file that ``write_sections`` wrote, mapped; safe to read from several threads."""

    def __init__(self, path: Path, magic: bytes) -> None:
        """Map the file; raises ``Unavailable`` (code ``index_damaged``) where it is missing, cut short or no such file."""
        self._path = path
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                start = file.read(len(magic) + _LENGTH_AND_SUM.size)
                if len(start) < len(magic) + _LENGTH_AND_SUM.size or not start.startswith(magic):
                    raise self.damaged(f"does not begin with {magic!r}")
                length, checksum = _LENGTH_AND_SUM.unpack_from(start, len(magic))
                header = file.read(length)
                if len(header) != length or zlib.crc32(header) != checksum:
                    raise self.damaged("has a header that was changed or cut short")
                self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError:
            raise self.damaged("is missing") from None
        begin = len(start) + length + _padding(len(start) + length)
        sections = msgspec.json.decode(header, type=_Sections)
        self._sections = {name: (begin + offset, length) for name, (offset, length) in sections.items()}
        expected = max(
            (offset + length + _padding(length) for offset, length in self._sections.values()), default=begin
        )
        if size != expected:
            raise self.damaged(f"has {size} bytes instead of {expected}")

    def damaged(self, what: str) -> Unavailable:
        """The error for a file that is not as it was written."""
        return Unavailable(f"The index file {self._path.name} {what}: build the index anew.", code="index_damaged")

    def numbers(self, name: str, dtype: DTypeLike) -> NDArray[np.integer]:
        """A section as an array that cannot be written to."""
        offset, size = self._sections[name]
        kind = np.dtype(dtype)
        if size % kind.itemsize:
            raise self.damaged(f"has a section {name} of {size} bytes")
        return np.frombuffer(self._bytes, dtype=kind, count=size // kind.itemsize, offset=offset)

    def section(self, name: str) -> tuple[mmap.mmap, int, int]:
        """The mapped file, and where a section begins and ends in it."""
        offset, size = self._sections[name]
        return self._bytes, offset, offset + size
