"""Source code, kept to the letter: cut at blank lines that are followed by a line without indent, as definitions are."""

from __future__ import annotations

import re

from ingest.block import Block
from ingest.elements import ElementKind

# A blank line and then something at the left edge that is no closing bracket: the next definition begins.
_NEXT = re.compile(r"\n(?:[ \t]*\n)+(?=[^\s)\]}])")
_BLANK = re.compile(r"\n(?:[ \t]*\n)+")
_LONG = 4_000  # characters: a definition longer than this is also cut at its own blank lines


def read_code(text: str) -> list[Block]:
    """One block for each definition at the top level, with the comment that leads it; long ones in their paragraphs."""
    parts = _NEXT.split(text.replace("\r\n", "\n"))
    pieces = (piece for part in parts for piece in ([part] if len(part) <= _LONG else _BLANK.split(part)))
    return [Block(ElementKind.CODE, piece) for piece in pieces]
