"""Chunks: the pieces of a document that are embedded, found and cited as one.

A document is cut along its structure into sections (heading and page), a section into chunks of about equal
size at paragraph, list item or row ends; or, by its settings, into windows of one size. Every character that is
not a space belongs to exactly one chunk (and, where an overlap is wanted, to the start of the next), and each
chunk fits the encoder's window together with its context, as the encoder's own tokenizer counts.
"""

from __future__ import annotations

from dataclasses import replace

from ingest.anchors import anchored_runs, split_evenly
from ingest.chunking import DEFAULT_CHUNKING, ChunkingSettings
from ingest.elements import Chunk, ElementKind, ParsedDocument, encoded_text
from ingest.overlap import with_overlap
from ingest.pieces import Piece, TokenCounter, rows_in_two, sentences_of, split_in_two, split_piece
from ingest.sections import Headings, Section, merge_small, pieces_of, sections_of, split_section
from ingest.windows import windows_of

_CONTEXT_SHARE = 4  # a context takes at most a quarter of the window


def chunk(
    parsed: ParsedDocument,
    count_tokens: TokenCounter,
    max_tokens: int,
    settings: ChunkingSettings = DEFAULT_CHUNKING,
    *,
    title: str | None = None,
) -> list[Chunk]:
    """Cut ``parsed`` into chunks, in order, as ``settings`` say.

    ``count_tokens`` gives the tokens of each text as the encoder counts them, special tokens included;
    ``max_tokens`` is the encoder's window. ``title`` stands for the document's own in the context. Raises
    ``ValueError`` if the window cannot hold even one character.
    """
    fixed = count_tokens([""])[0]
    if max_tokens <= fixed:
        raise ValueError(f"a window of {max_tokens} tokens has no room for text")
    room = max_tokens - fixed
    whole = settings.tables == "whole"
    pieces = pieces_of(parsed, count_tokens, fixed, room, whole_tables=whole)
    maker = _Maker(parsed, title or parsed.title, count_tokens, max_tokens, fixed)
    # What is repeated of the chunk before counts towards the size aimed at.
    target = max(1, min(settings.target_tokens, room) - settings.overlap_tokens)
    if whole:
        pieces = maker.fit_tables(pieces)
    if settings.strategy == "size":
        pieces = sentences_of(parsed.text, pieces, count_tokens, fixed)
        windows = windows_of(parsed.text, pieces, target, settings.minimum_tokens, maker.room_under)
        groups = [(list(each.pieces), each) for each in windows]
    else:
        sections = merge_small(list(sections_of(parsed, pieces)), settings.minimum_tokens, target)
        groups = [(group, section) for section in sections for group in maker.split(section, target)]
    made = maker.make(groups)
    if not settings.overlap_tokens:
        return [each for _, each in made]
    return with_overlap(parsed.text, made, count_tokens, fixed, max_tokens, settings.overlap_tokens)


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

    def fit_tables(self, pieces: list[Piece]) -> list[Piece]:
        """Cut the tables that do not fit the window, with their headings, into rows."""
        room = self._max - self._fixed
        headings = Headings(self._parsed.text)
        found: list[Piece] = []
        over = 0
        for piece in pieces:
            if piece.kind is ElementKind.HEADING:
                if not piece.rest:
                    headings.enter(piece)
                over += piece.tokens
            elif piece.kind is ElementKind.TABLE:
                if over + piece.tokens > room - self._context(headings.path)[1]:
                    found += split_piece(self._parsed.text, piece, self._count, self._fixed, room * 3 // 4)
                    over = 0
                    continue
                over = 0
            else:
                over = 0
            found.append(piece)
        return found

    def split(self, section: Section, target: int) -> list[list[Piece]]:
        """The runs of pieces that become the chunks of ``section``."""
        room = self._room_for(section)
        runs = anchored_runs(self._parsed.text, section.pieces, target)
        if len(runs) == 1:
            return split_section(section, target, room)
        return [group for run in runs for group in split_evenly(run, target, room)]

    def _room_for(self, section: Section) -> int:
        """The tokens that a chunk of ``section`` may have."""
        return self.room_under(section.path) - max((piece.header_tokens for piece in section.pieces), default=0)

    def room_under(self, path: tuple[str, ...]) -> int:
        """The tokens that a chunk under these headings may have."""
        return self._max - self._fixed - self._context(path)[1]

    def make(self, groups: list[tuple[list[Piece], Section]]) -> list[tuple[list[Piece], Chunk]]:
        """Chunks in order, each with its pieces; those that turn out too long are halved until they fit."""
        waiting = [(group, section, self._chunk(group, section)) for group, section in groups if group]
        done = [False] * len(waiting)
        while not all(done):
            open_places = [place for place, is_done in enumerate(done) if not is_done]
            texts = [self._encoded(waiting[place][2]) for place in open_places]
            sizes = dict(zip(open_places, self._count(texts), strict=True))
            following: list[tuple[list[Piece], Section, Chunk]] = []
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
        return [(group, made) for group, _, made in waiting]

    def _halves(self, group: list[Piece], section: Section) -> list[tuple[list[Piece], Section, Chunk]]:
        if len(group) == 1:
            halves = [group[0]]
            if group[0].kind is ElementKind.TABLE:
                halves = rows_in_two(self._parsed.text, group[0], self._count, self._fixed)
            if len(halves) == 1:
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

    def _chunk(self, group: list[Piece], section: Section) -> Chunk:
        start, end = group[0].start, group[-1].end
        shown = {
            " ".join(self._parsed.text[piece.start : piece.end].split())
            for piece in group
            if piece.kind is ElementKind.HEADING
        }
        path = section.path if section.over is None else section.over
        context = self._context(tuple(name for name in path if name not in shown), shown)[0]
        if (header := group[0].header) is not None:
            context = f"{context}\n{header}" if context else header
        body = next((piece for piece in group if piece.kind is not ElementKind.HEADING), group[0])
        return Chunk(start, end, section.path, body.page if body.page is not None else section.page, context)

    def _context(self, path: tuple[str, ...], shown: set[str] | None = None) -> tuple[str, int]:
        """Title and heading path on a line, and its tokens; the headings in the middle give way if it is too long."""
        title = self._title
        names = path
        if title is not None and title not in (shown or ()) and title not in path:
            # What a title page says in several headings is in the title already.
            names = (title, *(name for name in path if name.casefold() not in title.casefold()))
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
