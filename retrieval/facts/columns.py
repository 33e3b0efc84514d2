"""The columns of a file of facts: one for each document field, each name and each inner path of the metadata, and the groups.

Which column a filter's field means depends on the document: ``field_values`` in ``retrieval/filters.py`` defines it, and
``columns_of_field`` says the same as an order of columns, of which the first that a document is in counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import Any

from retrieval.facts.value_keys import NULL, TEXT, stored_keys, text_key
from retrieval.filters import DOCUMENT_FIELDS, DocumentFacts, items

GROUPS = b"g"
EVERYONE = NULL
_FIELD, _NAME, _PATH = b"d", b"n", b"p"
_DOCUMENT_COLUMNS = tuple(
    (_FIELD + text_key(field), attrgetter(field)) for field in sorted(DOCUMENT_FIELDS - {"collection"})
)


def columns_of_field(field: str) -> list[bytes]:
    """The columns of a filter's field, in the order in which they count; ``collection`` has none."""
    if field in DOCUMENT_FIELDS:
        return [_FIELD + text_key(field)]
    columns = [_NAME + text_key(field)]
    path = field.removeprefix("metadata.")
    if path != field:
        columns.append(_NAME + text_key(path))
    if "." in path:
        columns.append(_PATH + text_key(path))
    return columns


def keys_of_document(facts: DocumentFacts) -> Iterator[tuple[bytes, bytes]]:
    """Every column that the document is in, with each key of its values there; a key may come twice.

    Raises ``ValueError`` for a name in the metadata that is no text.
    """
    for column, value_of in _DOCUMENT_COLUMNS:
        for key in stored_keys(value_of(facts)):
            yield column, key
    for column, value in _metadata(facts.metadata):
        for item in items(value):
            for key in stored_keys(item):
                yield column, key
    if facts.allowed_groups is None:
        yield GROUPS, EVERYONE
    else:
        for group in facts.allowed_groups:
            yield GROUPS, group_key(group)


def group_key(group: str) -> bytes:
    """The key of a group that may read a document; groups are equal as texts are, whatever they look like."""
    return TEXT + text_key(group)


def _metadata(metadata: Mapping[str, Any]) -> Iterator[tuple[bytes, Any]]:
    """The columns of the metadata's names, and of the paths into its objects; a name with a dot is no step of any path."""
    waiting: list[tuple[str, Any]] = []
    for name, value in metadata.items():
        yield _NAME + text_key(_checked(name)), value
        if isinstance(value, dict) and "." not in name:
            waiting.append((name, value))
    while waiting:
        outer, inner = waiting.pop()
        for name, value in inner.items():
            if "." in _checked(name):
                continue
            path = f"{outer}.{name}"
            yield _PATH + text_key(path), value
            if isinstance(value, dict):
                waiting.append((path, value))


def _checked(name: object) -> str:
    if not isinstance(name, str):
        raise ValueError(f"metadata has the name {name!r}, and names are texts")
    return name
