"""Chunks: the pieces of a document that are embedded, found and cited as one.

A document is cut along its structure into sections (heading and page), a section into chunks of about equal
size at paragraph, list item or row ends. Every character that is not a space belongs to exactly one chunk,
and each chunk fits the encoder's window together with its context, as the encoder's own tokenizer counts.
"""

from __future__ import annotations

from dataclasses import replace

from ingest.elements import Chunk, ElementKind, ParsedDocument
from ingest.pieces import Piece, TokenCounter, split_in_two
from ingest.sections import Section, merge_small, pieces_of, sections_of, split_section

# Chosen with bench/chunking.py: of 96, 128, 160 and 200 tokens, and minima of 32, 80 and 120, these found the right page of PDFs
# and the right passage of short mixed documents most often; larger ones gain recall on long prose and lose precision.
DEFAULT_TARGET = 160
DEFAULT_MINIMUM = 80
_CONTEXT_SHARE = 4  # a context takes at most a quarter of the window


def encoded_text(context: str, text: str) -> str:
    """What the encoder and the lexical index see of a chunk: its context on a line of its own, then its text."""
    return f"{context}\n{text}" if context else text


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
    sections = merge_small(
        list(sections_of(parsed, pieces_of(parsed, count_tokens, fixed, room))), minimum_tokens, target
    )
    groups = [
        (group, section) for section in sections for group in split_section(section, target, maker.room_for(section))
    ]
    return maker.make(groups)


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

    def room_for(self, section: Section) -> int:
        """The tokens that a chunk of ``section`` may have."""
        header = max((piece.header_tokens for piece in section.pieces), default=0)
        return self._max - self._fixed - self._context(section.path)[1] - header

    def make(self, groups: list[tuple[list[Piece], Section]]) -> list[Chunk]:
        """Chunks in order; those that turn out too long are halved until they fit."""
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
        return [made for _, _, made in waiting]

    def _halves(self, group: list[Piece], section: Section) -> list[tuple[list[Piece], Section, Chunk]]:
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

    def _chunk(self, group: list[Piece], section: Section) -> Chunk:
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
