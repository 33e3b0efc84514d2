"""Documents to cut and a tokenizer to cut them with, for tests of chunking."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ingest.block import Block, assemble
from ingest.elements import Chunk, ElementKind, ParsedDocument

FIXED = 2  # a start and an end token


def count_words(texts: Sequence[str]) -> list[int]:
    """A tokenizer for tests: a token for each eight letters of a word and for each other sign."""
    return [
        FIXED + sum(-(-len(part) // 8) if part.isalnum() else len(part) for part in re.findall(r"\w+|[^\w\s]+", text))
        for text in texts
    ]


def document(*blocks: Block, title: str | None = None) -> ParsedDocument:
    return assemble(blocks, "text/plain", title)


def heading(text: str, level: int = 1, page: int | None = None) -> Block:
    return Block(ElementKind.HEADING, text, level=level, page=page)


def paragraph(text: str, page: int | None = None) -> Block:
    return Block(ElementKind.PARAGRAPH, text, page=page)


def texts(parsed: ParsedDocument, chunks: Sequence[Chunk]) -> list[str]:
    return [parsed.text[each.start : each.end] for each in chunks]


def words(count: int, start: int = 0) -> str:
    return " ".join(f"w{number}" for number in range(start, start + count))


def sentences(count: int, size: int, start: int = 0) -> str:
    return " ".join(f"S{number} {words(size - 2)}." for number in range(start, start + count))
