"""A folder on this machine, or one file, as a source."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ingest.sources.entry import Entry, Fetched, FetchFailed, ListingFailed
from ingest.sources.patterns import ALL, Patterns, hidden

_NAMED = 3  # folders that a failure names


class DirectoryReader:
    """The files below ``root``, or ``root`` itself if it is a file; the key is the path below it (a file's: its name).

    Hidden files and folders are passed over (``patterns.hidden``), and so are links that lead out of ``root`` and linked
    folders (their files would be there twice, or without end). A file's mark is its size, time of change and inode;
    its identity is these with the device, which a rename keeps. A name that is not UTF-8 has its odd bytes written ``\\xe9``.
    """

    def __init__(self, root: Path, patterns: Patterns = ALL) -> None:
        self._root = root
        self._patterns = patterns

    def entries(self) -> Iterator[Entry]:
        """Every file, straight from the disk: only the folders that wait to be read are held in memory.

        A folder that cannot be read is named by ``ListingFailed`` once the others are listed; one that vanished meanwhile is no
        failure, unless it is ``root``.
        """
        if _is_file(self._root):
            yield from self._single()
            return
        base = self._root.resolve()
        waiting = [""]
        unread: list[str] = []
        while waiting:
            folder = waiting.pop()
            try:
                with os.scandir(self._root / folder) as found:
                    for item in found:
                        name = f"{folder}/{item.name}" if folder else item.name
                        if hidden(item.name):
                            continue
                        if item.is_dir(follow_symlinks=False):
                            if not self._patterns.leaves_out(key_of(name)):
                                waiting.append(name)
                        elif key_of(name) in self._patterns and (entry := _entry(item, name, base)):
                            yield entry
            except (FileNotFoundError, NotADirectoryError) as error:
                if not folder:
                    raise ListingFailed(f"{self._root} does not exist, or is no folder.") from error
            except OSError as error:
                unread.append(f"{folder or '.'} ({error.strerror})")
        if unread:
            more = f" and {len(unread) - _NAMED} more" if len(unread) > _NAMED else ""
            raise ListingFailed(f"These folders could not be read: {', '.join(unread[:_NAMED])}{more}.")

    def _single(self) -> Iterator[Entry]:
        try:
            status = self._root.stat()
        except OSError as error:
            raise ListingFailed(f"{self._root} could not be read: {error.strerror}.") from error
        key = key_of(self._root.name)
        if key in self._patterns:
            yield Entry(key, mark_of(status), identity_of(status), filename=key)

    def fetch(self, entry: Entry, folder: Path, validator: str | None) -> Fetched | None:  # noqa: ARG002 - a file needs no copy
        """Where the file lies; it is read in place, after one more look that no link has led it out of ``root``."""
        single = _is_file(self._root)
        path = self._root if single else file_of(self._root, entry.key)
        try:
            real = path.resolve(strict=True)
            if not ((single or real.is_relative_to(self._root.resolve())) and real.is_file()):
                raise FetchFailed("not_found", f"{entry.key} is no file of the folder any more.", gone=True)
            with real.open("rb"):
                return Fetched(real, temporary=False, filename=entry.filename)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FetchFailed("not_found", f"{entry.key} is not there any more.", gone=True) from error
        except OSError as error:
            detail = f"{entry.key} could not be read: {error.strerror}."
            raise FetchFailed("unreadable_file", detail, transient=not isinstance(error, PermissionError)) from error

    def close(self) -> None:
        """Nothing is held."""


def key_of(name: str) -> str:
    """``name`` as text that a database takes: bytes that are not UTF-8 become ``\\xe9``."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def mark_of(status: os.stat_result) -> str:
    """Size in bytes, time of change in ns, inode: a file written anew or replaced differs in one of them."""
    return f"{status.st_size}:{status.st_mtime_ns}:{status.st_ino}"


def identity_of(status: os.stat_result) -> str:
    """What stays when a file is renamed on its file system. An inode alone does not do: a new file may get a deleted one's."""
    return f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"


def _is_file(path: Path) -> bool:
    """Whether it is a file; what cannot be looked at is none (``Path.is_file`` raises for some of it)."""
    return os.path.isfile(path)  # noqa: PTH113


def _entry(item: os.DirEntry[str], name: str, base: Path) -> Entry | None:
    """A file as an entry; ``None`` for what is none (a socket), has vanished, or leads out of ``base``."""
    try:
        if not item.is_file():
            return None
        if item.is_symlink() and not Path(item.path).resolve().is_relative_to(base):
            return None
        status = item.stat()
    except FileNotFoundError:
        return None
    return Entry(key_of(name), mark_of(status), identity_of(status), filename=key_of(item.name))


def file_of(root: Path, key: str) -> Path:
    """The file of a key: the name itself, or, if there is none, the one whose odd bytes the key has written out."""
    path = root / key
    if "\\x" not in key or os.path.lexists(path):
        return path
    raw = re.sub(rb"\\x([89a-f][0-9a-f])", lambda found: bytes.fromhex(found[1].decode()), key.encode())
    return root / os.fsdecode(raw)
