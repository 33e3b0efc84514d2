"""Overlap: the last sentences of a chunk, said again at the start of the next one under the same heading."""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ingest.elements import Chunk, ElementKind, encoded_text
from ingest.pieces import Piece, TokenCounter, sentences_of

_REPEATED = {ElementKind.PARAGRAPH, ElementKind.LIST_ITEM}


@dataclass(frozen=True, slots=True)
class _Start:
    """Where chunk number ``chunk`` may begin: the starts of the sentences before it, the farthest first."""

    chunk: int
    starts: tuple[int, ...]


def with_overlap(
    text: str,
    made: Sequence[tuple[Sequence[Piece], Chunk]],
    count_tokens: TokenCounter,
    fixed: int,
    max_tokens: int,
    overlap: int,
) -> list[Chunk]:
    """Begin each chunk up to ``overlap`` tokens of whole sentences earlier, as far as it still fits ``max_tokens``.

    Nothing is repeated over a heading or a page's end, nor of tables and code, and a chunk is never repeated whole.
    """
    chunks = [chunk for _, chunk in made]
    open_starts = _starts(text, made, count_tokens, fixed, overlap)
    while open_starts:
        texts = [
            encoded_text(chunks[each.chunk].context, text[each.starts[0] : chunks[each.chunk].end])
            for each in open_starts
        ]
        following: list[_Start] = []
        for each, tokens in zip(open_starts, count_tokens(texts), strict=True):
            if tokens <= max_tokens:
                chunks[each.chunk] = replace(chunks[each.chunk], start=each.starts[0])
            elif len(each.starts) > 1:
                following.append(_Start(each.chunk, each.starts[1:]))
        open_starts = following
    return chunks


def _starts(
    text: str, made: Sequence[tuple[Sequence[Piece], Chunk]], count_tokens: TokenCounter, fixed: int, overlap: int
) -> list[_Start]:
    tails = [
        (number, _tail(group))
        for number, ((group, chunk), (following, after)) in enumerate(itertools.pairwise(made), 1)
        if chunk.page == after.page and following[0].kind is not ElementKind.HEADING
    ]
    # One count for all: asking the tokenizer chunk by chunk would cost more than cutting them.
    sentences = sentences_of(text, [piece for _, tail in tails for piece in tail], count_tokens, fixed)
    places = [sentence.start for sentence in sentences]
    found: list[_Start] = []
    for number, tail in tails:
        if not tail:
            continue
        own = sentences[bisect_left(places, tail[0].start) : bisect_left(places, tail[-1].end)]
        starts: list[int] = []
        size = 0
        for sentence in reversed(own):
            size += sentence.tokens
            if size > overlap or sentence.start == made[number - 1][0][0].start:
                break
            starts.insert(0, sentence.start)
        if starts:
            found.append(_Start(number, tuple(starts)))
    return found


def _tail(group: Sequence[Piece]) -> list[Piece]:
    tail: list[Piece] = []
    for piece in reversed(group):
        if piece.kind not in _REPEATED:
            break
        tail.insert(0, piece)
    return tail
