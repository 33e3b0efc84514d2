"""Pieces: the parts of a document that chunks are made of, and how one that is too long is cut."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ingest.elements import ElementKind
from retrieval.sentences import split_sentences

TokenCounter = Callable[[Sequence[str]], Sequence[int]]
_WORD = re.compile(r"\S+")
_LINE = re.compile(r"[^\n]*\S[^\n]*")
_HEADER_SHARE = 3


@dataclass(frozen=True, slots=True)
class Piece:
    """Characters ``[start:end]`` that stay together unless they are too long.

    ``header`` is the header row of the table that this piece is a later row of, ``rest`` marks what follows
    the first part of an element that was cut, ``whole_end`` is where that element ends.
    """

    start: int
    end: int
    kind: ElementKind
    tokens: int = 0
    level: int | None = None
    page: int | None = None
    header: str | None = None
    header_tokens: int = 0
    rest: bool = False
    introduces: bool = False
    whole: int | None = None

    @property
    def whole_end(self) -> int:
        """The end of the element that this piece begins."""
        return self.end if self.whole is None else self.whole


def split_piece(text: str, piece: Piece, count_tokens: TokenCounter, fixed: int, room: int) -> list[Piece]:
    """Cut a piece into parts of at most ``room`` tokens: rows or lines, else sentences, else words, else characters."""
    if piece.kind in {ElementKind.TABLE, ElementKind.CODE}:
        spans = [
            (found.start() + piece.start, found.end() + piece.start)
            for found in _LINE.finditer(text[piece.start : piece.end])
        ]
    else:
        spans = _sentence_spans(text, piece)
    spans = [_trim(text, start, end) for start, end in spans]
    sizes = _sizes(text, spans, count_tokens, fixed)
    header, header_tokens = None, 0
    if piece.kind is ElementKind.TABLE and sizes and sizes[0] <= room // _HEADER_SHARE:
        header, header_tokens = text[spans[0][0] : spans[0][1]], sizes[0]
    parts: list[Piece] = []
    for number, ((start, end), tokens) in enumerate(zip(spans, sizes, strict=True)):
        own_header = header if number else None
        part = replace(
            piece,
            start=start,
            end=end,
            tokens=tokens,
            header=own_header,
            header_tokens=header_tokens if own_header else 0,
            rest=piece.rest or number > 0,
            whole=piece.whole_end,
        )
        limit = room - part.header_tokens
        parts += [part] if tokens <= limit else _split_words(text, part, count_tokens, fixed, limit)
    return parts


def sentences_of(text: str, pieces: Sequence[Piece], count_tokens: TokenCounter, fixed: int) -> list[Piece]:
    """``pieces`` with paragraphs and items of lists cut into their sentences; one call of ``count_tokens`` for all."""
    parts: list[Piece] = []
    for piece in pieces:
        if piece.kind not in {ElementKind.PARAGRAPH, ElementKind.LIST_ITEM}:
            parts.append(piece)
            continue
        spans = [_trim(text, start, end) for start, end in _sentence_spans(text, piece)]
        for number, (start, end) in enumerate(spans, 1):
            part = _part(piece, start, end, piece.tokens, number > 1)
            parts.append(replace(part, introduces=piece.introduces and number == len(spans)))
    cut = [number for number, part in enumerate(parts) if part.kind in {ElementKind.PARAGRAPH, ElementKind.LIST_ITEM}]
    sizes = _sizes(text, [(parts[number].start, parts[number].end) for number in cut], count_tokens, fixed)
    for number, tokens in zip(cut, sizes, strict=True):
        parts[number] = replace(parts[number], tokens=tokens)
    return parts


def rows_in_two(text: str, table: Piece, count_tokens: TokenCounter, fixed: int) -> list[Piece]:
    """Halve a table at the line nearest its middle; what is one line is given back whole."""
    lines = split_piece(text, table, count_tokens, fixed, table.tokens + fixed)
    if len(lines) < 2:
        return [table]
    middle = (table.start + table.end) // 2
    cut = min(range(1, len(lines)), key=lambda number: abs(lines[number].start - middle))
    first, second = lines[:cut], lines[cut:]
    return [replace(part[0], end=part[-1].end, tokens=sum(line.tokens for line in part)) for part in (first, second)]


def _sentence_spans(text: str, piece: Piece) -> list[tuple[int, int]]:
    """Sentences that together leave out nothing: each begins where the one before ends."""
    starts = [span.start + piece.start for span in split_sentences(text[piece.start : piece.end])]
    starts = [piece.start, *starts[1:]] if starts else [piece.start]
    return list(zip(starts, [*starts[1:], piece.end], strict=True))


def _split_words(text: str, piece: Piece, count_tokens: TokenCounter, fixed: int, room: int) -> list[Piece]:
    spans = [
        (found.start() + piece.start, found.end() + piece.start)
        for found in _WORD.finditer(text[piece.start : piece.end])
    ]
    sizes = _sizes(text, spans, count_tokens, fixed)
    if max(sizes) > room:
        spans = [part for span, size in zip(spans, sizes, strict=True) for part in _split_word(span, size, room)]
        sizes = _sizes(text, spans, count_tokens, fixed)
    parts: list[Piece] = []
    start, held = spans[0][0], 0
    last = start
    for (left, right), size in zip(spans, sizes, strict=True):
        if held and held + size > room:
            parts.append(_part(piece, start, last, held, len(parts) > 0))
            start, held = left, 0
        held += size
        last = right
    parts.append(_part(piece, start, last, held, len(parts) > 0))
    return parts


def _part(piece: Piece, start: int, end: int, tokens: int, rest: bool) -> Piece:
    return replace(piece, start=start, end=end, tokens=tokens, rest=piece.rest or rest, whole=piece.whole_end)


def _split_word(span: tuple[int, int], size: int, room: int) -> list[tuple[int, int]]:
    """Cut a word at characters into parts that should fit; the chunk maker halves those that do not."""
    start, end = span
    if size <= room:
        return [span]
    width = max(1, (end - start) * room // (size * 2))
    return [(left, min(end, left + width)) for left in range(start, end, width)]


def split_in_two(text: str, piece: Piece) -> list[Piece]:
    """Halve a piece at the space nearest its middle, else between two characters; one character stays whole."""
    if piece.end - piece.start < 2:
        return [piece]
    middle = (piece.start + piece.end) // 2
    spaces = [found.start() + piece.start for found in re.finditer(r"\s", text[piece.start : piece.end])]
    cut = min(spaces, key=lambda place: abs(place - middle), default=middle)
    left, right = _trim(text, piece.start, cut), _trim(text, cut, piece.end)
    halves = [
        _part(piece, *left, piece.tokens // 2, False),
        _part(piece, *right, piece.tokens - piece.tokens // 2, True),
    ]
    return [half for half in halves if half.start < half.end]


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    part = text[start:end]
    stripped = part.strip()
    left = start + len(part) - len(part.lstrip()) if stripped else start
    return left, left + len(stripped)


def _sizes(text: str, spans: Sequence[tuple[int, int]], count_tokens: TokenCounter, fixed: int) -> list[int]:
    return [size - fixed for size in count_tokens([text[start:end] for start, end in spans])] if spans else []
