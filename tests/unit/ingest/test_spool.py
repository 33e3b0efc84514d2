"""Uploads that wait: durable once written, bounded, and gone when done with."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.errors import Busy, StorageFull, TooLarge
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


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    spool = Spool(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StorageFull, match="no room left") as caught:
            spool.write([b"x"])
    assert caught.value.status == 507
    assert list(tmp_path.iterdir()) == []
    assert spool.path(spool.write([b"x"])).read_bytes() == b"x"


def test_other_errors_of_the_disk_are_not_called_full(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FileExistsError):
        Spool(tmp_path / "file").write([b"x"])


def test_the_last_of_a_disk_is_left_to_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(total=1000, free=60))
    spool = Spool(tmp_path)
    spool.write([b"x" * 10])
    with pytest.raises(StorageFull):
        spool.write([b"x" * 11])
    assert len(list(tmp_path.iterdir())) == 1


def test_beyond_what_may_wait_senders_are_sent_away(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 3 * 2**20)
    first = spool.write([b"x" * 2**20] * 2)
    spool.write([])
    with pytest.raises(Busy, match="Uploads of 3 MiB wait") as caught:
        spool.write([b"x" * 2**20])
    assert (caught.value.code, caught.value.retry_after_s) == ("too_many_uploads", 30)
    with pytest.raises(TooLarge, match="the most that may wait"):
        spool.write([b"x" * 2**22])
    spool.remove([first])
    spool.write([b"x" * 2**20] * 2)


def test_what_other_processes_add_is_counted_too(tmp_path: Path) -> None:
    spool, other = Spool(tmp_path, 2**20), Spool(tmp_path, 2**20)
    other.write([b"x" * 2**19])
    spool.write([b"x" * 2**18])
    with pytest.raises(Busy):
        spool.write([b"x" * 2**19])


def test_small_files_count_as_what_they_take(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 2**20)
    for _ in range(256):
        spool.write([b"x"])
    with pytest.raises(Busy):
        spool.write([b"x"])
