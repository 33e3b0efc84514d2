"""Text that is sent as text: kept to the letter, with its visible structure marked.

A caller who sends ``{"text": …}`` expects to read back, and to be quoted, exactly that. So no converter touches it; only
headings (``# …``), list items, table rows (``| … |``) and fenced code are recognised, for chunking.
"""

from __future__ import annotations

import re

from infra.errors import Unprocessable
from ingest.elements import Element, ElementKind, ParsedDocument

_HEADING = re.compile(r"(#{1,6})[ \t]+\S")
_LIST_ITEM = re.compile(r"[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t]+\S")
_TABLE_ROW = re.compile(r"[ \t]*\|.*\|[ \t]*$")
_FENCE = re.compile(r"[ \t]*(```|~~~)")
_SURROGATES = re.compile(r"[\ud800-\udfff]")


def clean_text(text: str) -> str:
    """Make ``text`` storable: ``\\n`` line ends, no NUL characters, no lone surrogates; nothing else is changed."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
    return _SURROGATES.sub("�", text)


def parse_plain(text: str, mime: str = "text/plain") -> ParsedDocument:
    """Mark the elements of ``text``; raises ``Unprocessable`` if there is nothing in it."""
    text = clean_text(text)
    if not text.strip():
        raise Unprocessable("The document is empty: it must hold some text.", code="empty_file")
    elements: list[Element] = []
    kind: ElementKind | None = None
    start = end = 0
    fence: str | None = None

    def close() -> None:
        nonlocal kind
        if kind is not None:
            elements.append(Element(kind, start, end))
        kind = None

    position = 0
    for line in text.splitlines(keepends=True):
        left, stop = position, position + len(line.rstrip("\n"))
        position += len(line)
        body = text[left:stop]
        fenced = _FENCE.match(body)
        if fence is not None:
            end = stop
            if fenced and fenced.group(1) == fence:
                fence = None
                close()
        elif not body.strip():
            close()
        elif fenced:
            close()
            kind, start, end, fence = ElementKind.CODE, left, stop, fenced.group(1)
        elif heading := _HEADING.match(body):
            close()
            elements.append(Element(ElementKind.HEADING, left, stop, level=len(heading.group(1))))
        else:
            found = _line_kind(body)
            # A list item goes on over plain lines; a new item or a table ends it.
            goes_on = found is kind is not ElementKind.LIST_ITEM or (
                kind is ElementKind.LIST_ITEM and found is ElementKind.PARAGRAPH
            )
            if not goes_on:
                close()
            if kind is None:
                kind, start = found, left
            end = stop
    close()
    return ParsedDocument(text=text, elements=tuple(elements), mime=mime)


def _line_kind(line: str) -> ElementKind:
    if _TABLE_ROW.match(line):
        return ElementKind.TABLE
    return ElementKind.LIST_ITEM if _LIST_ITEM.match(line) else ElementKind.PARAGRAPH
