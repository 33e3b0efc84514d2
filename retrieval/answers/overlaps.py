"""Overlaps: where chunks repeat the end of the one before, the passages of an answer still say everything once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from retrieval.passage import Passage

Range = tuple[int, int]


def without_overlaps(passages: Sequence[Passage]) -> tuple[Passage, ...]:
    """``passages`` (best first), each without the characters that a better one of the same document version shows already.

    A passage stays verbatim: it loses its beginning or its end, and is left out if nothing remains. Should it be cut in the
    middle, its longest part is kept.
    """
    shown: dict[tuple[str, int], list[Range]] = {}
    kept: list[Passage] = []
    for passage in passages:
        before = shown.setdefault((passage.document.id, passage.document.version), [])
        own = (passage.char_start, passage.char_end)
        parts = [part for part in (_trimmed(passage, left) for left in _minus(own, before)) if part is not None]
        before.append(own)
        if parts:
            kept.append(max(parts, key=lambda part: len(part.text)))
    return tuple(kept)


def _minus(own: Range, taken: Iterable[Range]) -> list[Range]:
    left = [own]
    for start, end in taken:
        left = [
            part
            for a, b in left
            for part in ((a, min(b, max(a, start))), (max(a, min(b, end)), b))
            if part[0] < part[1]
        ]
    return left


def _trimmed(passage: Passage, part: Range) -> Passage | None:
    """The passage's characters ``[start:end]`` of the document without space around them; itself if that is all of it."""
    if part == (passage.char_start, passage.char_end):
        return passage
    text = passage.text[part[0] - passage.char_start : part[1] - passage.char_start]
    stripped = text.strip()
    if not stripped:
        return None
    start = part[0] + len(text) - len(text.lstrip())
    return replace(passage, text=stripped, char_start=start, char_end=start + len(stripped))
