"""An entry of a source, and the Protocol that every kind of source fulfils: list what is there, fetch one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Entry:
    """One document that a source lists, before anything of it is fetched.

    ``key`` names it within the source and becomes its external id. ``mark`` is a cheap sign that differs whenever the
    content may have changed (size and time, ETag, blob id); ``None`` = only fetching tells. ``identity`` stays when the
    document is moved or renamed (inode, blob id, page id); ``None`` = the source cannot tell. Two entries may share one (hard
    links, equal blobs), and a file system may give a deleted file's to a new one: a move has the same mark, too.
    """

    key: str
    mark: str | None = None
    identity: str | None = None
    filename: str | None = None
    content_type: str | None = None
    title: str | None = None
    url: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A document's bytes in a file. ``validator`` is given back at the next fetch, so that the source can say "not modified".

    ``temporary`` says that the file was made by the fetch and is deleted when the document is done.
    """

    path: Path
    temporary: bool
    filename: str | None = None
    content_type: str | None = None
    url: str | None = None
    validator: str | None = None


class ListingFailed(Exception):  # noqa: N818 - names what happened; the sync reports it as its own failure
    """The listing could not be made whole: ``detail`` says why. Nothing may be deleted on its account."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class FetchFailed(Exception):  # noqa: N818 - names what happened; the sync notes it for this document
    """One document could not be fetched: a stable ``code`` and a sentence. ``transient`` = trying again may help.

    ``gone`` says that the source has it no more (deleted after it was listed).
    """

    def __init__(self, code: str, detail: str, *, transient: bool = False, gone: bool = False) -> None:
        super().__init__(detail)
        self.code, self.detail, self.transient, self.gone = code, detail, transient, gone


class SourceReader(Protocol):
    """Reads one source. Used by one thread at a time, within ``contextlib.closing``, which frees what it made (a clone ...).

    ``entries`` streams: memory does not grow with the source.
    """

    def entries(self) -> Iterator[Entry]:
        """What is there now, in no particular order, each key once.

        Raises ``ListingFailed`` if it cannot be told whole, perhaps after entries that can be used all the same.
        """
        ...

    def fetch(self, entry: Entry, folder: Path, validator: str | None) -> Fetched | None:
        """Bring an entry's bytes to a file (a new one in ``folder`` if needed); ``None`` = not modified since ``validator``.

        Raises ``FetchFailed``.
        """
        ...

    def close(self) -> None:
        """Free what the reader holds."""
        ...
