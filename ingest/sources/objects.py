"""Objects of S3, Google Cloud Storage or Azure as a source, by ``obstore``.

``obstore`` is one package for the three, and needs no other; s3fs, gcsfs and adlfs bring three SDKs with some forty
packages, of which one pins an old ``python-dateutil``. It is used as itself, not through its ``fsspec`` adapter (kept for
archives in a store): that lists folder by folder, and takes a bucket for a file. Imported here, as the extra need not be
installed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from ingest.sources.copying import Limits, copy, told
from ingest.sources.entry import Entry, Fetched, FetchFailed, ListingFailed
from ingest.sources.patterns import ALL, Patterns, hidden_path
from ingest.sources.store_url import StoreUrl

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_PAGE = 1000  # objects that one request lists
_PIECE = 2**20


class ObjectsReader:
    """The objects below a URL's path, or the one that it names; the key is the path below it (an object's: its name).

    The mark is the ETag with the size. There is no identity: stores copy and delete, they do not rename. Objects with a
    hidden part in their path are passed over, and the empty ones that stand for folders.
    """

    def __init__(
        self, url: StoreUrl, options: Mapping[str, Any], patterns: Patterns = ALL, limits: Limits = Limits()
    ) -> None:
        self._url, self._options, self._patterns, self._limits = url, options, patterns, limits
        self._bucket, _, prefix = url.place.partition("/")
        self._prefix = prefix.strip("/")
        self._opened: ObjectStore | None = None

    def entries(self) -> Iterator[Entry]:
        """Every object, a thousand a request; any failure of the store ends the listing, and so does finding nothing."""
        import obstore  # noqa: PLC0415

        empty = True
        try:
            for page in obstore.list(self._store(), self._prefix or None, chunk_size=_PAGE):
                empty = False
                for meta in page:
                    key = meta["path"].removeprefix(f"{self._prefix}/" if self._prefix else "")
                    if key in self._patterns and not hidden_path(key) and not _is_folder(meta):
                        yield _entry(key, meta)
            if empty and self._prefix:
                single = PurePosixPath(self._prefix).name
                meta = obstore.head(self._store(), self._prefix)
                if single in self._patterns:
                    yield _entry(single, meta)
            elif empty:
                raise ListingFailed(f"There is nothing at {self._url.text}.")
        except FileNotFoundError as error:
            raise ListingFailed(f"There is nothing at {self._url.text}.") from error
        except (ListingFailed, GeneratorExit):
            raise
        except Exception as error:
            raise ListingFailed(told(self._url.text, error)) from error

    def fetch(self, entry: Entry, folder: Path, validator: str | None) -> Fetched | None:
        """A copy of the object in ``folder``; ``None`` if its ETag is still ``validator``."""
        import obstore  # noqa: PLC0415
        from obstore.exceptions import NotModifiedError  # noqa: PLC0415

        options: Any = {"if_none_match": validator} if validator else {}
        try:
            try:
                answer = obstore.get(self._store(), self._path(entry.key), options=options)
            except FileNotFoundError:  # the URL may name the object itself
                if entry.key != PurePosixPath(self._prefix).name:
                    raise
                answer = obstore.get(self._store(), self._prefix, options=options)
            path = copy((bytes(piece) for piece in answer.stream(_PIECE)), folder, entry.key, self._limits)
            tag = answer.meta["e_tag"]
        except NotModifiedError:
            return None
        except FetchFailed:
            raise
        except FileNotFoundError as error:
            raise FetchFailed("not_found", f"{entry.key} is not there any more.", gone=True) from error
        except PermissionError as error:
            raise FetchFailed("forbidden", f"{entry.key} may not be read.") from error
        except Exception as error:
            raise FetchFailed("store_failed", told(entry.key, error), transient=True) from error
        return Fetched(path, temporary=True, filename=entry.filename, validator=tag)

    def close(self) -> None:
        """Forget the store and its connections."""
        self._opened = None

    def _store(self) -> ObjectStore:
        from obstore.store import from_url  # noqa: PLC0415

        if self._opened is None:
            self._opened = from_url(f"{self._url.protocol}://{self._bucket}", **self._options)
        return self._opened

    def _path(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key


def _is_folder(meta: Mapping[str, Any]) -> bool:
    """Whether an object only stands for a folder, as some tools make them: empty, and no suffix in its name."""
    return meta["size"] == 0 and "." not in PurePosixPath(meta["path"]).name


def _entry(key: str, meta: Mapping[str, Any]) -> Entry:
    sign = meta["e_tag"] or meta["last_modified"].isoformat()
    return Entry(key, f"{sign}:{meta['size']}"[:200], filename=PurePosixPath(key).name)
