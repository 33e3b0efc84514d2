"""Files of any store that ``fsspec`` reads, named by a URL: archives, other machines, GitHub, memory."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

import fsspec

from ingest.sources.copying import Limits, copy, told
from ingest.sources.entry import Entry, Fetched, FetchFailed, ListingFailed
from ingest.sources.patterns import ALL, Patterns, hidden, hidden_path
from ingest.sources.store_url import StoreUrl

_PIECE = 2**20
_CHECKSUMS = ("e_tag", "ETag", "etag", "sha", "md5Hash", "content_md5", "md5", "checksum", "CRC", "chksum")
_TIMES = ("mtime", "last_modified", "LastModified", "modify", "updated", "modified", "created", "date_time")


class FilesystemReader:
    """The files below a URL's path, or the one file that it names; the key is the path below it (a file's: its name).

    A file's mark is what its store gives for nothing while it lists: a checksum (ETag, MD5, CRC, blob id) with the size, else
    the time of change with the size; ``None`` if there is neither. Only files of this machine have an identity (their
    inode). Hidden files and folders are passed over.

    ``archive`` downloads an archive of the web into a folder, at first use. Object stores: see ``ObjectsReader``.
    """

    def __init__(
        self,
        url: StoreUrl,
        options: Mapping[str, Any],
        archive: Callable[[Path], Path] | None = None,
        patterns: Patterns = ALL,
        *,
        scratch: Path | None = None,
        limits: Limits = Limits(),
    ) -> None:
        self._url, self._options, self._patterns = url, options, patterns
        self._archive, self._scratch = archive, scratch
        self._limits = limits
        self._folder: Path | None = None
        self._opened: tuple[fsspec.AbstractFileSystem, str] | None = None

    def entries(self) -> Iterator[Entry]:
        """Every file, folder by folder: what is held is one folder's listing, and the names of those that wait.

        A folder that vanished meanwhile is no failure, unless it is the first; any other failure of the store ends the listing.
        """
        try:
            store, root = self._open()
            store.invalidate_cache()
            first = store.info(root)
        except FileNotFoundError as error:
            raise ListingFailed(f"There is nothing at {self._url.text}.") from error
        except Exception as error:
            raise ListingFailed(told(self._url.text, error)) from error
        if first["type"] != "directory":
            key = PurePosixPath(root).name
            if key in self._patterns:
                yield _entry(key, first)
            return
        for info in self._walk(store, root):
            key = _below(root, str(info["name"]))
            if key in self._patterns:
                yield _entry(key, info)

    def _walk(self, store: fsspec.AbstractFileSystem, root: str) -> Iterator[Mapping[str, Any]]:
        """What the store tells of each file below ``root`` that is not hidden."""
        try:
            if (
                self._url.archive
            ):  # its table of contents is in memory; listing a folder would search all of it each time
                for info in store.find(root, detail=True).values():
                    if not hidden_path(_below(root, str(info["name"]))):
                        yield info
                return
            waiting = [root]
            while waiting:
                folder = waiting.pop()
                for info in self._listed(store, folder, root):
                    key = _below(root, str(info["name"]))
                    if not key or info.get("islink") or hidden(PurePosixPath(key).name):
                        continue
                    if info["type"] == "file":
                        yield info
                    elif info["type"] == "directory" and not self._patterns.leaves_out(key):
                        waiting.append(str(info["name"]).rstrip("/"))
        except ListingFailed:
            raise
        except Exception as error:
            raise ListingFailed(told(self._url.text, error)) from error

    def _listed(self, store: fsspec.AbstractFileSystem, folder: str, root: str) -> list[dict[str, Any]]:
        try:
            return [info for info in store.ls(folder, detail=True) if str(info["name"]).strip("/") != folder.strip("/")]
        except FileNotFoundError as error:
            if folder != root:
                return []
            raise ListingFailed(f"There is nothing at {self._url.text}.") from error

    def fetch(self, entry: Entry, folder: Path, validator: str | None) -> Fetched | None:  # noqa: ARG002 - marks tell change
        """A copy of the file in ``folder``, written piece by piece."""
        try:
            store, root = self._open()
            single = entry.key == PurePosixPath(root).name and store.isfile(root)
            path = root if single else f"{root.rstrip('/')}/{entry.key}" if root else entry.key
            with cast("AbstractContextManager[IO[bytes]]", store.open(path, "rb")) as source:
                return Fetched(
                    copy(iter(lambda: source.read(_PIECE), b""), folder, entry.key, self._limits), True, entry.filename
                )
        except FetchFailed:
            raise
        except (FileNotFoundError, KeyError) as error:  # an archive raises KeyError for a name that it has not
            raise FetchFailed("not_found", f"{entry.key} is not there any more.", gone=True) from error
        except PermissionError as error:
            raise FetchFailed("forbidden", f"{entry.key} may not be read.") from error
        except Exception as error:
            raise FetchFailed("store_failed", told(entry.key, error), transient=True) from error

    def close(self) -> None:
        """Forget the store, and drop an archive that was downloaded."""
        if self._opened is not None:
            for name in ("client", "ftp"):  # the connections of the drivers for sftp and ftp, which never close them
                connection = getattr(self._opened[0], name, None)
                if connection is not None:
                    connection.close()
        self._opened = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _open(self) -> tuple[fsspec.AbstractFileSystem, str]:
        if self._opened is None:
            text, fresh = self._url.chain, {"skip_instance_cache": True}
            options = {**self._options, **fresh}
            if self._archive is not None:
                self._folder = Path(tempfile.mkdtemp(prefix="store-", dir=self._scratch))
                text = f"{self._url.archive}://{self._url.member}::file://{self._archive(self._folder)}"
            if self._url.archive:
                options = {self._url.archive: fresh, self._url.protocol: options}
            store, root = fsspec.core.url_to_fs(text, **options)
            self._opened = store, root.rstrip("/") or root[:1]
        return self._opened


def mark_of(info: Mapping[str, Any]) -> str | None:
    """The sign of change in what a store tells of a file; ``None`` if it tells neither a checksum nor a time."""
    size = info.get("size")
    for names in (_CHECKSUMS, _TIMES):
        for name in names:
            if info.get(name) not in (None, ""):
                return f"{name}:{info[name]}:{size}"[:200]
    return None


def _entry(key: str, info: Mapping[str, Any]) -> Entry:
    identity = str(info["ino"]) if info.get("ino") else None
    return Entry(key, mark_of(info), identity, filename=PurePosixPath(key).name)


def _below(root: str, name: str) -> str:
    """The path of ``name`` below ``root``; stores name the same folder with and without a slash before it."""
    start, whole = root.strip("/"), name.strip("/")
    return whole.removeprefix(f"{start}/") if start and whole != start else ("" if whole == start else whole)
