"""Bringing an entry of a source here: its bytes, patiently, and what the source says of it as a document."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from infra.errors import FootnoteError
from infra.tables import Source, SourceEntry
from ingest import entries
from ingest.document import Attributes, DocumentInput, check_external_id
from ingest.pipeline import OF_THE_MACHINE
from ingest.sources.entry import Entry, Fetched, FetchFailed, SourceReader

# Pauses, in seconds, before another attempt at what may pass by itself.
_PATIENCE_S = (0.5, 2.0)


def fetch_entry(
    reader: SourceReader, row: SourceEntry, held: Collection[str], folder: Path, check_stop: Callable[[], None]
) -> Fetched | None:
    """Fetch what ``row`` stands for into ``folder``; ``None`` = not modified. ``check_stop`` is called in pauses and may raise.

    Raises ``FetchFailed``: for a key that can be no document's id, for one of ``held`` (not this source's to store), and as the
    reader does; and the ``OSError`` of a machine that has no room left, which is no document's fault.
    """
    entry = entries.entry_of(row)
    if row.key in held:
        raise FetchFailed(
            "duplicate_external_id",
            "The collection has a document of this id that is not this source's: use a collection of its own.",
        )
    try:
        check_external_id(entry.key)
        entry.key.encode()
    except FootnoteError as error:
        raise FetchFailed(error.code, error.detail) from None
    except UnicodeEncodeError:
        raise FetchFailed("invalid_external_id", "The name is not valid Unicode: rename the file.") from None
    folder.mkdir(parents=True, exist_ok=True)
    for pause in (*_PATIENCE_S, None):
        try:
            return reader.fetch(entry, folder, row.validator)
        except FetchFailed as failure:
            cause = failure.__cause__
            if isinstance(cause, OSError) and cause.errno in OF_THE_MACHINE:
                raise cause from None
            if pause is None or not failure.transient:
                raise
        check_stop()
        time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def attributes_of(source: Source, entry: Entry) -> Attributes:
    """What a source says of one of its documents, with the source's own groups and metadata."""
    return Attributes(
        title=entry.title,
        url=entry.url,
        metadata={**source.meta, **entry.metadata},
        allowed_groups=source.allowed_groups,
    )


def document_input(source: Source, external_id: str, entry: Entry, fetched: Fetched) -> DocumentInput:
    """A fetched entry as a document to store."""
    attributes = attributes_of(source, entry)
    return DocumentInput(
        external_id,
        path=fetched.path,
        filename=fetched.filename or entry.filename or external_id.rpartition("/")[2],
        content_type=fetched.content_type or entry.content_type,
        attributes=replace(attributes, url=fetched.url or attributes.url),
    )
