"""Sentences: the pieces of a text that are judged, cited and written, each with its exact characters.

Own code, because a sentence here must end after its citation marks, never cross a line that is a heading,
a list item or a table row, and keep exact offsets. Tried beside it: syntok does not end sentences before
lower-case or numeric starts, pySBD loses "approx." and bracketed sentences, spaCy's sentencizer loses "No. 5"
and quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from retrieval.terms import word_set


@dataclass(frozen=True, slots=True)
class Span:
    """Characters ``[start:end]`` of a text."""

    start: int
    end: int


_LINE = re.compile(r"[^\n\r\x0b\x0c\x85\u2028\u2029]+")
# What stands before the words of a line of its own: a bullet, a number, a letter, hashes, a quote mark.
_MARKER = re.compile(
    r"[ \t]*(?:>[ \t]*)*(?:(?P<heading>\#{1,6}[ \t]+)|(?P<item>(?:[-*+•‣◦▪●○·–—][ \t]+(?:\[[ xX]\][ \t]+)?"
    r"|\(?(?:\d{1,2}|[A-Za-z]|[ivxIVX]{1,5})\)[ \t]+|(?:\d{1,2}|[a-z]|[ivx]{2,5})\.[ \t]+(?=\S))))?",
)
_ROW = re.compile(r"[ \t]*\||.*\S[ \t]*(?: \| |\t[ \t]*\S)")
_WORDLESS = re.compile(r"[\W_]*\Z")

# A possible end: the stop, what closes around it, then citation marks such as [1], [2, 3] or [^1].
_END = re.compile(
    r"(?P<stop>[.!?…]+|[。！？]+)(?P<close>[\"'”’»)\]}*_`]*)"
    r"(?P<marks>(?:[ \t\n]*\[\^?\d+(?:[ ]?[,–-][ ]?\d+)*\])*)"
    r"(?=\s|\Z|(?<=[。！？]))",
)
_TOKEN_BEFORE = re.compile(r"[^\s\"'“‘(\[{«*_`/]*\Z")
_WORD_AFTER = re.compile(r"\s*[\"'“‘(\[{«*_`]*(\w[\w'’-]*)?")

# Never an end.
_INSIDE = word_set("e.g eg i.e ie approx ca cf vs viz esp incl excl resp dept govt temp min max avg")
# Not an end before a number: "No. 5", "p. 3".
_NUMBERED = word_set("no nos p pp fig figs sec sect art vol ch chap eq para pt ref rev ver nr tab app")
# Not an end before a name: "Dr. Smith".
_TITLES = word_set("dr mr mrs ms mx prof st sen rep gov gen col lt sgt capt hon rev messrs mt ft fr pres supt")
# An end only before a word that begins sentences: "the U.S. Government", "in the U.S. The".
_EITHER = word_set(
    "inc ltd co corp bros jr sr u.s u.k u.n e.u d.c ph.d m.d b.a m.a al jan feb mar apr jun jul aug sep "
    "sept oct nov dec mon tue tues wed thu thur thurs fri sat sun ext tel assn dist ave blvd rd"
)
_STARTERS = word_set(
    "the a an this that these those it its he she they we you i his her their our your my there here all "
    "any each every no not none some most many both either if when while where what who which how why in "
    "on at by for from to as with without after before since until during under over and but or so yet "
    "however therefore please see use only also then once unless although because such other another new "
    "employees staff"
)
_MIN_WORD_BEFORE_LOWER = 4
_DELIBERATE_BREAK = 0.7


def split_sentences(text: str) -> list[Span]:
    """Split ``text`` into sentences, in order, without overlap.

    Whitespace and the marker of a list item or heading are left out; citation marks belong to the sentence
    they follow. A blank line always ends a sentence; headings, list items and table rows are pieces of their
    own; the other line breaks are only spaces.
    """
    return [span for block in _blocks(text) for span in _split_block(text, block)]


@dataclass(frozen=True, slots=True)
class _Block:
    start: int
    end: int
    whole: bool  # a heading or a table row: never split


def _blocks(text: str) -> Iterator[_Block]:
    """Yield runs of lines that read as one text."""
    for lines in _paragraphs(text):
        width = max(end - start for start, end in lines)
        open_block: _Block | None = None
        for start, end in lines:
            line = text[start:end]
            marker = _MARKER.match(line)
            body = start + (marker.end() if marker else 0)
            row, heading = _ROW.match(line) is not None, bool(marker and marker["heading"])
            if _WORDLESS.match(text, body, end):
                body = end
            starts_anew = row or heading or body == end or bool(marker and marker["item"])
            if open_block and not starts_anew and not _breaks(text, open_block, start, end, width):
                open_block = _Block(open_block.start, end, False)
                continue
            if open_block:
                yield open_block
            open_block = None
            if row or heading:
                if body < end:
                    yield _Block(start if row else body, end, True)
            elif body < end:
                open_block = _Block(body, end, False)
        if open_block:
            yield open_block


def _paragraphs(text: str) -> Iterator[list[tuple[int, int]]]:
    """Yield the lines of each run between blank lines."""
    lines: list[tuple[int, int]] = []
    for match in _LINE.finditer(text):
        if lines and (match.group().isspace() or _is_gap(text[lines[-1][1] : match.start()])):
            yield lines
            lines = []
        if not match.group().isspace():
            lines.append(match.span())
    if lines:
        yield lines


def _is_gap(breaks: str) -> bool:
    return len(breaks.replace("\r\n", "\n")) > 1


def _breaks(text: str, block: _Block, start: int, end: int, width: int) -> bool:
    """Whether the break before ``[start:end]`` was meant: a wrapped line would have taken the next word."""
    last_line = text[max(block.start, block.end - width) : block.end].rstrip()
    first = text[start:end].lstrip()
    if not first[0].isupper() or last_line[-1] in ",;-–(/&":
        return False
    length = len(last_line.rsplit("\n", 1)[-1]) + 1 + len(first.split(maxsplit=1)[0])
    return length <= _DELIBERATE_BREAK * width


def _split_block(text: str, block: _Block) -> Iterator[Span]:
    start = block.start
    if not block.whole:
        for match in _END.finditer(text, block.start, block.end):
            if match.start() > start and _is_end(text, start, block.end, match):
                yield from _trimmed(text, start, match.end())
                start = match.end()
    yield from _trimmed(text, start, block.end)


def _trimmed(text: str, start: int, end: int) -> Iterator[Span]:
    piece = text[start:end]
    stripped = piece.strip()
    if stripped and not _WORDLESS.match(stripped):
        start += len(piece) - len(piece.lstrip())
        yield Span(start, start + len(stripped))


def _is_end(text: str, start: int, end: int, match: re.Match[str]) -> bool:
    after = _WORD_AFTER.match(text, match.end(), end)
    word = (after[1] if after else None) or ""
    lower = word[:1].islower()
    stop = match["stop"]
    if stop[0] in "。！？" or not word:
        return True
    if match["marks"] and not lower:
        return True
    if "!" in stop or "?" in stop:
        return not (lower and match["close"])
    if stop != ".":
        return not lower
    return _is_period_end(text[max(start, match.start() - 40) : match.start()], match["close"], word, lower)


def _is_period_end(before: str, close: str, word: str, lower: bool) -> bool:
    token_match = _TOKEN_BEFORE.search(before)
    token = token_match.group() if token_match else ""
    bare = token.lower()
    if close:
        return not lower
    if bare in _INSIDE or (bare in _NUMBERED and word[0].isdigit()):
        return False
    if bare in _TITLES:
        return False
    is_initial = len(token) == 1 and token.isupper()
    if bare in _EITHER or is_initial or re.fullmatch(r"(?:[a-z]\.)+[a-z]", bare):
        if bare in ("a.m", "p.m"):
            return word[0].isupper()
        return word[0].isupper() and word.lower() in _STARTERS
    if lower:
        return len(token) >= _MIN_WORD_BEFORE_LOWER or token[-1:].isdigit() or not token[-1:].isalnum()
    return True
