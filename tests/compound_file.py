"""A writer of compound files ([MS-CFB]), the container of old Office files and Outlook messages, for tests."""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass, field

_SECTOR = 512
_SMALL_SECTOR = 64
_LEAST = 4096  # a stream shorter than this lies in small sectors
_STREAM = 2
_FREE, _END, _TABLE = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD

Tree = dict[str, "bytes | Tree"]


@dataclass
class _Entry:
    name: str
    kind: int  # 1 storage, 2 stream, 5 root
    data: bytes = b""
    children: list[int] = field(default_factory=list)
    right: int = _FREE
    child: int = _FREE
    start: int = _END


class _Chains:
    """Data in sectors of one size, and the table that says which sector follows which."""

    def __init__(self, sector: int) -> None:
        self.sector = sector
        self.table: list[int] = []
        self.data = bytearray()

    def store(self, data: bytes) -> int:
        """Append ``data``; returns its first sector."""
        if not data:
            return _END
        start, count = len(self.table), -(-len(data) // self.sector)
        self.table += [*range(start + 1, start + count), _END]
        self.data += data.ljust(count * self.sector, b"\0")
        return start


def compound_file(tree: Tree) -> bytes:
    """The bytes of a file with these streams (``bytes``) and storages (``dict``)."""
    entries = [_Entry("Root Entry", 5)]
    _add(entries, 0, tree)
    for entry in entries:  # siblings as a list: a tree without left branches
        ordered = sorted(entry.children, key=lambda i: (len(entries[i].name), entries[i].name.upper()))
        for here, following in itertools.pairwise([*ordered, _FREE]):
            entries[here].right = following
        entry.child = ordered[0] if ordered else _FREE
    large, small = _Chains(_SECTOR), _Chains(_SMALL_SECTOR)
    for entry in entries:
        if entry.kind == _STREAM:
            entry.start = (small if len(entry.data) < _LEAST else large).store(entry.data)
    entries[0].data = bytes(small.data)
    entries[0].start = large.store(entries[0].data)
    first_small = large.store(_packed(small.table))
    directory = b"".join(map(_record, entries))
    first_directory = large.store(directory + _record(_Entry("", 0)) * (-len(entries) % 4))
    sectors = 1
    while (len(large.table) + sectors) * 4 > sectors * _SECTOR:
        sectors += 1
    first_table = len(large.table)
    table = _packed([*large.table, *[_TABLE] * sectors]).ljust(sectors * _SECTOR, b"\xff")
    header = struct.pack(
        "<8s16xHHHHH6xIIIIIIIIII",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        *(0x3E, 3, 0xFFFE, 9, 6),
        *(0, sectors, first_directory, 0, _LEAST),
        *(first_small, -(-len(small.table) * 4 // _SECTOR), _END, 0, first_table),
    )
    header += _packed([*range(first_table + 1, first_table + sectors), *[_FREE] * (109 - sectors)])
    return header + bytes(large.data) + table


def _packed(numbers: list[int]) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


def _add(entries: list[_Entry], parent: int, tree: Tree) -> None:
    for name, value in tree.items():
        entries.append(_Entry(name, 1) if isinstance(value, dict) else _Entry(name, 2, value))
        number = len(entries) - 1
        entries[parent].children.append(number)
        if isinstance(value, dict):
            _add(entries, number, value)


def _record(entry: _Entry) -> bytes:
    name = entry.name.encode("utf-16-le")
    return (
        name.ljust(64, b"\0")
        + struct.pack("<HBB", len(name) + 2 if name else 0, entry.kind, 1)
        + struct.pack("<III", _FREE, entry.right, entry.child)
        + bytes(36)
        + struct.pack("<IQ", entry.start, len(entry.data))
    )
