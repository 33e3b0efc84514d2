"""Chunks: the pieces of a document that are embedded, found and cited as one.

A document is cut along its structure into sections (heading and page), a section into chunks of about equal
size at paragraph, list item or row ends. Every character that is not a space belongs to exactly one chunk,
and each chunk fits the encoder's window together with its context, as the encoder's own tokenizer counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ingest.elements import Chunk, Element, ElementKind, ParsedDocument
from ingest.pieces import Piece, TokenCounter, split_in_two, split_piece

DEFAULT_TARGET = 128
DEFAULT_MINIMUM = 32
_CONTEXT_SHARE = 4  # a context takes at most a quarter of the window
_TAIL_TOKENS = 24
_MERGED = 1.4  # of the target: sections put together may be this large
_SPACE = re.compile(r"\s*")


def encoded_text(context: str, text: str) -> str:
    """What the encoder and the lexical index see of a chunk: its context on a line of its own, then its text."""
    return f"{context}\n{text}" if context else text


@dataclass(frozen=True, slots=True)
class _Section:
    """Pieces that follow each other under one heading path, on one page."""

    pieces: tuple[Piece, ...]
    path: tuple[str, ...]
    page: int | None

    @property
    def tokens(self) -> int:
        return sum(piece.tokens for piece in self.pieces)


def chunk(
    parsed: ParsedDocument,
    count_tokens: TokenCounter,
    max_tokens: int,
    *,
    title: str | None = None,
    target_tokens: int = DEFAULT_TARGET,
    minimum_tokens: int = DEFAULT_MINIMUM,
) -> list[Chunk]:
    """Cut ``parsed`` into chunks, in order.

    ``count_tokens`` gives the tokens of each text as the encoder counts them, special tokens included;
    ``max_tokens`` is the encoder's window. Sections are cut to about ``target_tokens``; neighbours on a
    page that are smaller than ``minimum_tokens`` are put together. ``title`` stands for the document's own
    in the context. Raises ``ValueError`` if the window cannot hold even one character.
    """
    fixed = count_tokens([""])[0]
    if max_tokens <= fixed:
        raise ValueError(f"a window of {max_tokens} tokens has no room for text")
    room = max_tokens - fixed
    maker = _Maker(parsed, title or parsed.title, count_tokens, max_tokens, fixed)
    target = min(target_tokens, room)
    sections = _merge_small(
        list(_sections(parsed, _pieces(parsed, count_tokens, fixed, room))), minimum_tokens, target
    )
    groups = [
        (group, section)
        for section in sections
        for group in _split_section(section, target, maker.room_for(section))
    ]
    return maker.make(groups)


# -- pieces and sections
# -------------------------------------------------------------------------------------------------------


def _pieces(parsed: ParsedDocument, count_tokens: TokenCounter, fixed: int, room: int) -> list[Piece]:
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
        for piece, tokens in zip(
            pieces, count_tokens([text[each.start : each.end] for each in pieces]), strict=True
        )
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


def _sections(parsed: ParsedDocument, pieces: Sequence[Piece]) -> Iterator[_Section]:
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
                yield _Section(tuple(held), current, page)
                held, has_body = [], False
            level = piece.level or 1
            while stack and stack[-1][0] >= level:
                stack.pop()
            stack.append((level, " ".join(parsed.text[piece.start : piece.whole_end].split())))
            current = path()
        elif piece.kind is not ElementKind.HEADING:
            tail = piece.tokens <= _TAIL_TOKENS and parsed.text[piece.start : piece.start + 1].islower()
            if has_body and piece.page != page and not tail:
                yield _Section(tuple(held), current, page)
                held, has_body = [], False
            # A heading at a page's foot belongs to the page where its text is.
            page = page if has_body else piece.page
            has_body = True
        held.append(piece)
    if held:
        yield _Section(tuple(held), current, page if has_body else held[0].page)


def _merge_small(sections: list[_Section], minimum: int, target: int) -> list[_Section]:
    """Put a section that is too small together with its smaller neighbour on the page."""
    merged: list[_Section] = []
    for section in sections:
        before = merged[-1] if merged else None
        small = before is not None and (before.tokens < minimum or section.tokens < minimum)
        if (
            before is not None
            and small
            and before.page == section.page
            and before.tokens + section.tokens <= target * _MERGED
        ):
            merged[-1] = _Section(
                before.pieces + section.pieces, _common(before.path, section.path), before.page
            )
        else:
            merged.append(section)
    return merged


def _common(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    length = 0
    while length < min(len(first), len(second)) and first[length] == second[length]:
        length += 1
    return first[:length]


def _split_section(section: _Section, target: int, room: int) -> list[list[Piece]]:
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
    while len(group) > 1 and (
        group[-1].kind is ElementKind.HEADING or (group[-1].introduces and not carried)
    ):
        carried.insert(0, group.pop())
    return carried


# -- chunks
# --------------------------------------------------------------------------------------------------------------------


class _Maker:
    """Makes chunks of runs of pieces, with a context that fits beside them."""

    def __init__(
        self,
        parsed: ParsedDocument,
        title: str | None,
        count_tokens: TokenCounter,
        max_tokens: int,
        fixed: int,
    ) -> None:
        self._parsed, self._title = parsed, title
        self._count, self._max, self._fixed = count_tokens, max_tokens, fixed
        self._contexts: dict[tuple[str, ...], tuple[str, int]] = {}

    def room_for(self, section: _Section) -> int:
        """The tokens that a chunk of ``section`` may have."""
        header = max((piece.header_tokens for piece in section.pieces), default=0)
        return self._max - self._fixed - self._context(section.path)[1] - header

    def make(self, groups: list[tuple[list[Piece], _Section]]) -> list[Chunk]:
        """Chunks in order; those that turn out too long are halved until they fit."""
        waiting = [(group, section, self._chunk(group, section)) for group, section in groups if group]
        done = [False] * len(waiting)
        while not all(done):
            open_places = [place for place, is_done in enumerate(done) if not is_done]
            texts = [self._encoded(waiting[place][2]) for place in open_places]
            sizes = dict(zip(open_places, self._count(texts), strict=True))
            following: list[tuple[list[Piece], _Section, Chunk]] = []
            following_done: list[bool] = []
            for place, (group, section, made) in enumerate(waiting):
                if done[place] or sizes[place] <= self._max:
                    following.append((group, section, made))
                    following_done.append(True)
                    continue
                for part in self._halves(group, section):
                    following.append(part)
                    following_done.append(False)
            waiting, done = following, following_done
        return [made for _, _, made in waiting]

    def _halves(self, group: list[Piece], section: _Section) -> list[tuple[list[Piece], _Section, Chunk]]:
        if len(group) == 1:
            halves = split_in_two(self._parsed.text, group[0])
            if len(halves) == 1:  # one character: only its context can give way
                made = self._chunk(group, section)
                if not made.context:
                    raise ValueError("the encoder's window cannot hold one character")
                return [(group, section, replace(made, context=""))]
            return [([half], section, self._chunk([half], section)) for half in halves]
        middle, seen = sum(piece.tokens for piece in group) / 2, 0
        cut = 1
        for number, piece in enumerate(group[:-1], 1):
            seen += piece.tokens
            cut = number
            if seen >= middle:
                break
        return [(part, section, self._chunk(part, section)) for part in (group[:cut], group[cut:])]

    def _encoded(self, made: Chunk) -> str:
        return encoded_text(made.context, self._parsed.text[made.start : made.end])

    def _chunk(self, group: list[Piece], section: _Section) -> Chunk:
        start, end = group[0].start, group[-1].end
        shown = {
            " ".join(self._parsed.text[piece.start : piece.end].split())
            for piece in group
            if piece.kind is ElementKind.HEADING
        }
        context = self._context(tuple(name for name in section.path if name not in shown), shown)[0]
        if (header := group[0].header) is not None:
            context = f"{context}\n{header}" if context else header
        body = next((piece for piece in group if piece.kind is not ElementKind.HEADING), group[0])
        return Chunk(start, end, section.path, body.page if body.page is not None else section.page, context)

    def _context(self, path: tuple[str, ...], shown: set[str] | None = None) -> tuple[str, int]:
        """Title and heading path on a line, and its tokens; the outer headings give way if it is too long."""
        title = self._title
        with_title = title is not None and title not in (shown or ()) and title not in path
        names = (title, *path) if with_title and title is not None else path
        if names not in self._contexts:
            self._contexts[names] = self._shortened(list(names))
        return self._contexts[names]

    def _shortened(self, names: list[str]) -> tuple[str, int]:
        limit = (self._max - self._fixed) // _CONTEXT_SHARE
        while names:
            text = " > ".join(names)
            tokens = self._count([text])[0] - self._fixed
            if tokens <= limit:
                return text, tokens
            if len(names) > 1:
                names = names[1:] if len(names) == 2 else [names[0], *names[2:]]
            else:
                words = names[0].split()
                names = [" ".join(words[: len(words) // 2])] if len(words) > 1 else []
        return "", 0
