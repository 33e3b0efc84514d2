"""A folder of files as documents: which files, under which external ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from infra.errors import InvalidInput
from ingest.document import Attributes, DocumentInput
from ingest.sources.directory import DirectoryReader, file_of
from ingest.sources.entry import ListingFailed
from ingest.sources.patterns import Patterns


def walk(
    root: Path, include: Sequence[str] = (), exclude: Sequence[str] = (), attributes: Attributes = Attributes()
) -> Iterator[DocumentInput]:
    """The files below ``root`` (or ``root`` itself), in order; the external id is the path below ``root``.

    What ``DirectoryReader`` passes over is left out. Raises ``InvalidInput`` if ``root`` does not exist or cannot be read whole.
    """
    if not root.exists():
        raise InvalidInput(f"{root} does not exist: give a file or a folder.", code="no_such_path")
    try:
        listed = sorted(
            DirectoryReader(root, Patterns(include, exclude)).entries(), key=lambda entry: entry.key.split("/")
        )
    except ListingFailed as failed:
        raise InvalidInput(failed.detail, code="unreadable_path") from failed
    for entry in listed:
        path = root if root.is_file() else file_of(root, entry.key)
        yield DocumentInput(entry.key, path=path, filename=entry.filename, attributes=attributes)
