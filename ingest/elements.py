"""What a parser makes of a file: one text, and the structural elements that lie in it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ElementKind(StrEnum):
    """The structural kinds that chunking tells apart."""

    HEADING = "heading"
    PARAGRAPH = "paragraph"
    LIST_ITEM = "list_item"
    TABLE = "table"
    CODE = "code"


@dataclass(frozen=True, slots=True)
class Element:
    """Characters ``[start:end]`` of the document's text.

    ``level`` is a heading's depth (1 = top), ``page`` the 1-based page, slide or sheet where the format has them.
    """

    kind: ElementKind
    start: int
    end: int
    level: int | None = None
    page: int | None = None


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """The extracted text and its elements, in order and not overlapping.

    ``text`` is what ``GET /v1/documents/{id}/text`` serves and what every citation's range counts in: no NUL characters, no
    lone surrogates, ``\\n`` line ends. A table is kept as rows a person can read: one line a row, cells joined by `` | ``.
    """

    text: str
    elements: tuple[Element, ...]
    mime: str
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Characters ``[start:end]`` of the document's text that are embedded and cited as one.

    ``heading_path`` is outermost first. ``context`` is put before the chunk's text for the encoder and the lexical index only
    (heading path and, for rows of a table, its header row): the quote stays verbatim.
    """

    start: int
    end: int
    heading_path: tuple[str, ...] = ()
    page: int | None = None
    context: str = ""


def encoded_text(context: str, text: str) -> str:
    """What the encoder and the lexical index see of a chunk: its context on a line of its own, then its text."""
    return f"{context}\n{text}" if context else text
