"""Uploads that wait: durable once written, bounded, and gone when done with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.errors import TooLarge
from ingest.spool import Spool


def test_what_is_written_is_there(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "new" / "spool")
    names = {spool.write([b"ab", b"", b"c"]), spool.write([])}
    assert len(names) == 2
    assert sorted(spool.path(name).read_bytes() for name in names) == [b"", b"abc"]


def test_the_limit_counts_all_pieces_and_leaves_nothing_behind(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    assert spool.path(spool.write([b"x" * 2**20], limit=2**20)).stat().st_size == 2**20
    with pytest.raises(TooLarge, match="larger than 1 MiB"):
        spool.write([b"x" * 2**20, b"x"], limit=2**20)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_sender_that_breaks_off_leaves_nothing_behind(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        Spool(tmp_path).write(pieces())
    assert list(tmp_path.iterdir()) == []


def test_removing_and_sweeping(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    kept, old, young, gone = (spool.write([b"x"]) for _ in range(4))
    spool.remove([gone, gone, "up_never"])
    for name in (kept, old):
        os.utime(spool.path(name), (0, 0))
    spool.sweep({kept})
    assert {path.name for path in tmp_path.iterdir()} == {kept, young}
    Spool(tmp_path / "none").sweep(set())
