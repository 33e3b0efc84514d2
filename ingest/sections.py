"""Sections: what stands under one heading on one page, and how it is cut into runs of pieces."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ingest.elements import Element, ElementKind, ParsedDocument
from ingest.pieces import Piece, TokenCounter, split_piece

_TAIL_TOKENS = 24
_MERGED = 1.4  # of the target: sections put together may be this large
_SPACE = re.compile(r"\s*")


@dataclass(frozen=True, slots=True)
class Section:
    """Pieces that follow each other under one heading path, on one page."""

    pieces: tuple[Piece, ...]
    path: tuple[str, ...]
    page: int | None

    @property
    def tokens(self) -> int:
        """The tokens of all pieces."""
        return sum(piece.tokens for piece in self.pieces)


def pieces_of(parsed: ParsedDocument, count_tokens: TokenCounter, fixed: int, room: int) -> list[Piece]:
    """The document in pieces that can stand in a chunk: elements, or parts of those that are too long."""
    text = parsed.text
    pieces = [
        Piece(
            start,
            end,
            element.kind,
            level=element.level,
            page=element.page,
            introduces=element.kind is ElementKind.PARAGRAPH and text[start:end].endswith(":"),
        )
        for start, end, element in _covered(text, parsed.elements)
    ]
    counted = [
        replace(piece, tokens=tokens - fixed)
        for piece, tokens in zip(pieces, count_tokens([text[each.start : each.end] for each in pieces]), strict=True)
    ]
    found: list[Piece] = []
    for piece in counted:
        share = room * 3 // 4
        found += [piece] if piece.tokens <= share else split_piece(text, piece, count_tokens, fixed, share)
    return found


def _covered(text: str, elements: Sequence[Element]) -> Iterator[tuple[int, int, Element]]:
    """Ranges in order that leave out nothing but spaces: the elements, and what no element covers."""
    position, page = 0, None
    for element in elements:
        yield from _gap(text, position, element.start, page)
        start, end = max(position, element.start), element.end
        start = _SPACE.match(text, start, end).end()  # type: ignore[union-attr]
        if start < end:
            yield start, start + len(text[start:end].rstrip()), element
        position, page = max(position, end), element.page
    yield from _gap(text, position, len(text), page)


def _gap(text: str, start: int, end: int, page: int | None) -> Iterator[tuple[int, int, Element]]:
    if text[start:end].strip():
        start = _SPACE.match(text, start, end).end()  # type: ignore[union-attr]
        end = start + len(text[start:end].rstrip())
        yield start, end, Element(ElementKind.PARAGRAPH, start, end, page=page)


def sections_of(parsed: ParsedDocument, pieces: Sequence[Piece]) -> Iterator[Section]:
    """Group pieces by heading and page. Headings without a body go with the section that follows."""
    stack: list[tuple[int, str]] = []
    held: list[Piece] = []
    has_body = False
    page: int | None = None

    def path() -> tuple[str, ...]:
        return tuple(name for _, name in stack)

    current = path()
    for piece in pieces:
        if piece.kind is ElementKind.HEADING and not piece.rest:
            if has_body:
                yield Section(tuple(held), current, page)
                held, has_body = [], False
            level = piece.level or 1
            while stack and stack[-1][0] >= level:
                stack.pop()
            stack.append((level, " ".join(parsed.text[piece.start : piece.whole_end].split())))
            current = path()
        elif piece.kind is not ElementKind.HEADING:
            tail = piece.tokens <= _TAIL_TOKENS and _runs_on(parsed.text, held, piece)
            if has_body and piece.page != page and not tail:
                yield Section(tuple(held), current, page)
                held, has_body = [], False
            # A heading at a page's foot belongs to the page where its text is.
            page = page if has_body else piece.page
            has_body = True
        held.append(piece)
    if held:
        yield Section(tuple(held), current, page if has_body else held[0].page)


def _runs_on(text: str, held: Sequence[Piece], piece: Piece) -> bool:
    """Whether ``piece`` ends the sentence of the piece before."""
    return bool(held) and text[held[-1].end - 1] not in ".!?:" and text[piece.start].islower()


def merge_small(sections: list[Section], minimum: int, target: int) -> list[Section]:
    """Put a section that is too small together with its smaller neighbour on the page."""
    merged: list[Section] = []
    for section in sections:
        before = merged[-1] if merged else None
        small = before is not None and (before.tokens < minimum or section.tokens < minimum)
        if (
            before is not None
            and small
            and before.page == section.page
            and before.tokens + section.tokens <= target * _MERGED
        ):
            merged[-1] = Section(before.pieces + section.pieces, _common(before.path, section.path), before.page)
        else:
            merged.append(section)
    return merged


def _common(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    length = 0
    while length < min(len(first), len(second)) and first[length] == second[length]:
        length += 1
    return first[:length]


def split_section(section: Section, target: int, room: int) -> list[list[Piece]]:
    """Cut a section into runs of pieces of about the same size, none above ``room`` if its pieces allow."""
    total = section.tokens
    count = max(1, round(total / target), -(-total // room))
    share = min(room, total / count * 1.05)
    groups: list[list[Piece]] = [[]]
    size = 0
    for piece in section.pieces:
        header = piece.header_tokens if groups[-1] == [] else 0
        only_headings = all(each.kind is ElementKind.HEADING for each in groups[-1])
        # Go over the share by less than half of the piece rather than leave the chunk that much short.
        over = size + piece.tokens / 2 > share or size + piece.tokens > room
        if groups[-1] and over and not (only_headings and size + piece.tokens <= room):
            carried = _lead_in(groups[-1])
            groups.append(carried)
            size = sum(each.tokens for each in carried)
        groups[-1].append(piece)
        size += piece.tokens + header
    return groups


def _lead_in(group: list[Piece]) -> list[Piece]:
    """Take what introduces the next piece off the group's end: a heading, or a line that ends with a colon."""
    carried: list[Piece] = []
    while len(group) > 1 and (group[-1].kind is ElementKind.HEADING or (group[-1].introduces and not carried)):
        carried.insert(0, group.pop())
    return carried
