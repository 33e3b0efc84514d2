"""Windows: runs of sentences of one size, whatever headings stand among them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ingest.anchors import anchored_runs
from ingest.elements import ElementKind
from ingest.pieces import Piece
from ingest.sections import MERGED, TAIL_TOKENS, Headings, Section, common, lead_in, runs_on, split_section

Placed = tuple[Piece, tuple[str, ...]]


@dataclass(slots=True)
class _Page:
    """The pieces of one page so far, each with the headings over it."""

    number: int | None
    placed: list[Placed]
    has_body: bool = False


def windows_of(
    text: str, pieces: Sequence[Piece], target: int, minimum: int, room_under: Callable[[tuple[str, ...]], int]
) -> list[Section]:
    """Each window as a section of its own: up to ``target`` tokens of whole pieces of one page.

    ``room_under`` says how many tokens fit under a heading path. A heading, or a line that introduces a list, goes with
    what follows it. A last window that is smaller than ``minimum`` goes with the one before, or shares evenly with it.
    Only a piece that is larger alone makes a larger window.
    """
    found: list[Section] = []
    for page in _pages(text, pieces):
        paths = {(piece.start, piece.end): path for piece, path in page.placed}
        for run in anchored_runs(text, [piece for piece, _ in page.placed], target):
            # The headings change within a run, and their room with them: the least of it is enough for all.
            room = min(room_under(path) for path in {paths[piece.start, piece.end] for piece in run})
            found += [
                _section([(piece, paths[piece.start, piece.end]) for piece in group], page.number)
                for group in _fill(run, min(target, max(1, room)), minimum)
            ]
    return found


def _pages(text: str, pieces: Sequence[Piece]) -> list[_Page]:
    headings = Headings(text)
    pages: list[_Page] = []
    for piece in pieces:
        if piece.kind is ElementKind.HEADING:
            if not piece.rest:
                headings.enter(piece)
            if not pages:
                pages.append(_Page(piece.page, []))
            pages[-1].placed.append((piece, headings.path))
            continue
        here = pages[-1] if pages else None
        if here is None or (here.has_body and piece.page != here.number and not _ends_sentence(text, here, piece)):
            # Headings at a page's foot belong to the page where their text is.
            carried = _take_headings(here)
            pages.append(here := _Page(piece.page, carried))
        if not here.has_body:
            here.number, here.has_body = piece.page, True
        here.placed.append((piece, headings.path))
    return pages


def _ends_sentence(text: str, page: _Page, piece: Piece) -> bool:
    return piece.tokens <= TAIL_TOKENS and runs_on(text, [held for held, _ in page.placed[-1:]], piece)


def _take_headings(page: _Page | None) -> list[Placed]:
    carried: list[Placed] = []
    while page is not None and page.placed and page.placed[-1][0].kind is ElementKind.HEADING:
        carried.insert(0, page.placed.pop())
    return carried


def _fill(pieces: Sequence[Piece], target: int, minimum: int) -> list[list[Piece]]:
    groups: list[list[Piece]] = [[]]
    size = 0
    for piece in pieces:
        header = piece.header_tokens if not groups[-1] else 0
        only_headings = all(held.kind is ElementKind.HEADING for held in groups[-1])
        if groups[-1] and not only_headings and size + piece.tokens > target:
            groups.append(lead_in(groups[-1]))
            size = _tokens(groups[-1])
        groups[-1].append(piece)
        size += piece.tokens + header
    if len(groups) > 1 and _tokens(groups[-1]) < minimum:
        last = groups[-2] + groups[-1]
        total = _tokens(last)
        if total <= target:
            groups[-2:] = [last]
        else:
            half = Section(tuple(last), (), None)
            groups[-2:] = split_section(half, max(1, -(-total // 2)), max(1, int(target * MERGED)))
    return [group for group in groups if group]


def _tokens(group: Sequence[Piece]) -> int:
    return sum(piece.tokens for piece in group)


def _section(window: Sequence[Placed], page: int | None) -> Section:
    """What is cited is under the headings that all of the window is under; the encoder reads those over its beginning."""
    body = [path for piece, path in window if piece.kind is not ElementKind.HEADING] or [window[0][1]]
    shared = body[0]
    for path in body[1:]:
        shared = common(shared, path)
    return Section(tuple(piece for piece, _ in window), shared, page, over=body[0])
