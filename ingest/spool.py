"""Uploads that wait: bytes on disk, in the data folder, from the moment they are accepted until their job is done."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from infra.errors import Busy, StorageFull, TooLarge
from infra.ids import new_id

# What uploads leave free on their disk: the database may be on it too, and must have room to store what waits.
_RESERVE_SHARE = 20
_RESERVE_MOST = 512 * 2**20
# A file takes at least this on most disks, however small it is.
_BLOCK = 4096
_RECOUNT_S = 2.0
_RETRY_AFTER_S = 30


class _Tally:
    """What waits in a folder, in bytes: counted now and then, for other processes share it, and kept up to date in between."""

    def __init__(self) -> None:
        self._bytes = 0
        self._next_count = 0.0
        self._lock = threading.Lock()

    def add(self, size: int) -> None:
        with self._lock:
            self._bytes += size

    def waiting(self, folder: Path) -> int:
        with self._lock:
            started = time.monotonic()
            if started >= self._next_count:
                self._bytes = _size_of(folder)
                ended = time.monotonic()
                # Counting takes at most a twentieth of the time, however many files there are.
                self._next_count = ended + max(_RECOUNT_S, 20 * (ended - started))
            return self._bytes


@dataclass(frozen=True, slots=True)
class Spool:
    """A folder of waiting uploads, each a file with a random name; together they take at most ``most`` bytes."""

    folder: Path
    most: int | None = None
    _tally: _Tally = field(default_factory=_Tally, compare=False, repr=False)

    def path(self, name: str) -> Path:
        """Where the upload ``name`` lies."""
        return self.folder / name

    def size(self, name: str) -> int:
        """Bytes of the upload ``name``; 0 if it is gone."""
        try:
            return self.path(name).stat().st_size
        except FileNotFoundError:
            return 0

    def begin(self, limit: int | None = None) -> Upload:
        """A new upload of at most ``limit`` bytes; raises ``StorageFull`` or ``Busy``."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._check_room(0, 0)
            return Upload(self, new_id("up"), limit)
        except OSError as error:
            raise _told(error) from error

    def write(self, pieces: Iterable[bytes], limit: int | None = None) -> str:
        """Store ``pieces`` durably (synced to disk) and give the name.

        Raises ``TooLarge`` over ``limit`` bytes, ``StorageFull`` if the disk has no room, and ``Busy`` if too much waits already.
        """
        upload = self.begin(limit)
        try:
            for piece in pieces:
                upload.write(piece)
            return upload.keep()
        except BaseException:
            upload.drop()
            raise

    def remove(self, names: Iterable[str]) -> None:
        """Drop uploads that are done with; those already gone are passed over."""
        for name in names:
            path = self.path(name)
            try:
                size = _taken(path.stat().st_size)
                path.unlink()
            except FileNotFoundError:
                continue
            self._tally.add(-size)

    def sweep(self, wanted: set[str], older_than_s: float = 3600) -> None:
        """Drop old uploads that no job waits for: what a crash between writing and queueing left behind."""
        if not self.folder.is_dir():
            return
        horizon = time.time() - older_than_s
        with os.scandir(self.folder) as entries:
            left = [entry.name for entry in entries if entry.name not in wanted and _modified(entry) < horizon]
        self.remove(left)

    def _check_room(self, size: int, written: int) -> None:
        if self.most is not None:
            if written + size > self.most:
                raise TooLarge(f"The upload is larger than {self.most // 2**20} MiB, the most that may wait.")
            if self._tally.waiting(self.folder) + size > self.most:
                raise Busy(
                    f"Uploads of {self.most // 2**20} MiB wait to be worked on, which is the limit: send this again later.",
                    code="too_many_uploads",
                    retry_after_s=_RETRY_AFTER_S,
                )
        usage = shutil.disk_usage(self.folder)
        if usage.free - size < min(usage.total // _RESERVE_SHARE, _RESERVE_MOST):
            raise _full()


class Upload:
    """One upload on its way to the disk: ``write`` its pieces, then ``keep`` it, or else ``drop`` it."""

    def __init__(self, spool: Spool, name: str, limit: int | None) -> None:
        self.name = name
        self._spool, self._limit = spool, limit
        self._size = 0
        self._file = spool.path(name).open("xb")

    def write(self, piece: bytes) -> None:
        """Add ``piece``; raises ``TooLarge``, ``StorageFull`` or ``Busy``, after which only ``drop`` makes sense."""
        if self._limit is not None and self._size + len(piece) > self._limit:
            raise TooLarge(f"The upload is larger than {self._limit // 2**20} MiB, the most that is accepted.")
        try:
            self._spool._check_room(len(piece), self._size)
            self._file.write(piece)
        except OSError as error:
            raise _told(error) from error
        self._count(len(piece))

    def keep(self) -> str:
        """Sync the upload to disk and give its name; raises ``StorageFull``."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        except OSError as error:
            raise _told(error) from error
        if self._size == 0:
            self._spool._tally.add(_BLOCK)
        return self.name

    def drop(self) -> None:
        """Remove what was written."""
        with contextlib.suppress(OSError):  # what is still buffered may find the disk full
            self._file.close()
        self._spool.remove([self.name])

    def _count(self, size: int) -> None:
        before = _taken(self._size) if self._size else 0
        self._size += size
        self._spool._tally.add(_taken(self._size) - before)


def _taken(size: int) -> int:
    return max(1, -(-size // _BLOCK)) * _BLOCK


def _size_of(folder: Path) -> int:
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                total += _taken(entry.stat().st_size)
            except FileNotFoundError:
                continue
    return total


def _modified(entry: os.DirEntry[str]) -> float:
    try:
        return entry.stat().st_mtime
    except FileNotFoundError:
        return float("inf")


def _full() -> StorageFull:
    return StorageFull(
        "The disk for uploads has no room left: nothing was stored. Make room on it and send this again."
    )


def _told(error: OSError) -> OSError | StorageFull:
    return _full() if error.errno in (errno.ENOSPC, errno.EDQUOT) else error
