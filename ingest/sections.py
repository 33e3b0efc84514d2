"""Sections: what stands under one heading on one page, and how it is cut into runs of pieces."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ingest.elements import Element, ElementKind, ParsedDocument
from ingest.pieces import Piece, TokenCounter, split_piece

TAIL_TOKENS = 24
MERGED = 1.4  # of the target: sections put together may be this large
_SPACE = re.compile(r"\s*")


@dataclass(frozen=True, slots=True)
class Section:
    """Pieces that follow each other under one heading path, on one page."""

    pieces: tuple[Piece, ...]
    path: tuple[str, ...]
    page: int | None
    # The headings over the first piece, where those of later pieces are others: what stands before the text for the encoder.
    over: tuple[str, ...] | None = None

    @property
    def tokens(self) -> int:
        """The tokens of all pieces."""
        return sum(piece.tokens for piece in self.pieces)


class Headings:
    """The headings that stand over a place, while a document is read from its beginning."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._stack: list[tuple[int, str]] = []

    def enter(self, heading: Piece) -> None:
        """Go on under ``heading``: it takes the place of those of its level and below."""
        level = heading.level or 1
        while self._stack and self._stack[-1][0] >= level:
            self._stack.pop()
        self._stack.append((level, " ".join(self._text[heading.start : heading.whole_end].split())))

    @property
    def path(self) -> tuple[str, ...]:
        """The headings, outermost first."""
        return tuple(name for _, name in self._stack)


def pieces_of(
    parsed: ParsedDocument, count_tokens: TokenCounter, fixed: int, room: int, *, whole_tables: bool = False
) -> list[Piece]:
    """The document in pieces that can stand in a chunk: elements, or parts of those that are too long.

    With ``whole_tables`` a table is left as it is, however long.
    """
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
        kept = piece.tokens <= share or (whole_tables and piece.kind is ElementKind.TABLE)
        found += [piece] if kept else split_piece(text, piece, count_tokens, fixed, share)
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
    headings = Headings(parsed.text)
    held: list[Piece] = []
    has_body = False
    page: int | None = None
    current = headings.path
    for piece in pieces:
        if piece.kind is ElementKind.HEADING and not piece.rest:
            if has_body:
                yield Section(tuple(held), current, page)
                held, has_body = [], False
            headings.enter(piece)
            current = headings.path
        elif piece.kind is not ElementKind.HEADING:
            tail = piece.tokens <= TAIL_TOKENS and runs_on(parsed.text, held, piece)
            if has_body and piece.page != page and not tail:
                yield Section(tuple(held), current, page)
                held, has_body = [], False
            # A heading at a page's foot belongs to the page where its text is.
            page = page if has_body else piece.page
            has_body = True
        held.append(piece)
    if held:
        yield Section(tuple(held), current, page if has_body else held[0].page)


def runs_on(text: str, held: Sequence[Piece], piece: Piece) -> bool:
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
            and before.tokens + section.tokens <= target * MERGED
        ):
            merged[-1] = Section(before.pieces + section.pieces, common(before.path, section.path), before.page)
        else:
            merged.append(section)
    return merged


def common(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    """The headings that both paths begin with."""
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
            carried = lead_in(groups[-1])
            groups.append(carried)
            size = sum(each.tokens for each in carried)
        groups[-1].append(piece)
        size += piece.tokens + header
    return groups


def lead_in(group: list[Piece]) -> list[Piece]:
    """Take what introduces the next piece off the group's end: a heading, or a line that ends with a colon."""
    carried: list[Piece] = []
    while len(group) > 1 and (group[-1].kind is ElementKind.HEADING or (group[-1].introduces and not carried)):
        carried.insert(0, group.pop())
    return carried
