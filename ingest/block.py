"""Blocks: the paragraphs, headings, list items and tables of a document, before they are laid into one text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ingest.elements import Element, ElementKind, ParsedDocument
from ingest.plain import clean_text

# Signs that are not seen, or look like a plain space; and ligatures, which fonts draw but nobody types.
_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff\x01-\x08\x0b\x0e-\x1f\x7f]")
_SPACES = re.compile("[\u00a0\u2000-\u200a\u202f\u205f\u3000]")
_LIGATURES = str.maketrans(
    {
        "\ufb00": "ff",
        "\ufb01": "fi",
        "\ufb02": "fl",
        "\ufb03": "ffi",
        "\ufb04": "ffl",
        "\ufb05": "st",
        "\ufb06": "st",
    }
)


@dataclass(frozen=True, slots=True)
class Block:
    """One structural piece of a document, with its own text.

    ``continues`` says that a sentence runs on from the block before, over a page's end.
    """

    kind: ElementKind
    text: str
    level: int | None = None
    page: int | None = None
    continues: bool = False


def tidy(text: str) -> str:
    """Remove what cannot be seen or stored from ``text``; turn odd spaces into plain ones and ligatures into letters."""
    text = _SPACES.sub(" ", clean_text(text).replace("\x0c", "\n").replace("\x85", "\n"))
    return _INVISIBLE.sub("", text.replace("\u2028", "\n").replace("\u2029", "\n")).translate(_LIGATURES)


def assemble(blocks: Iterable[Block], mime: str, title: str | None) -> ParsedDocument:
    """Lay ``blocks`` into one text: an empty line between them, a line break between items of a list."""
    parts: list[str] = []
    elements: list[Element] = []
    length = 0
    before: Block | None = None
    for block in blocks:
        text = tidy(block.text).strip("\n").rstrip()
        if block.kind is not ElementKind.CODE and block.kind is not ElementKind.LIST_ITEM:
            text = text.strip()
        if not text.strip():
            continue
        if before is not None:
            in_list = block.kind is ElementKind.LIST_ITEM and before.kind is ElementKind.LIST_ITEM
            separator = "\n" if in_list or block.continues else "\n\n"
            parts.append(separator)
            length += len(separator)
        parts.append(text)
        indent = len(text) - len(text.lstrip(" \n")) if block.kind is ElementKind.LIST_ITEM else 0
        elements.append(Element(block.kind, length + indent, length + len(text), block.level, block.page))
        length += len(text)
        before = block
    clean_title = " ".join(tidy(title).split())[:300] if title else None
    return ParsedDocument("".join(parts), tuple(elements), mime, clean_title or None)
