"""Citation marks in text: ``[1]`` as models write them, and as finished answers carry them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_WORD = r"(?:passages?|sources?|documents?|docs?|refs?|citations?)"
_NUMBER = rf"(?:{_WORD}\s*[:#.]?\s*)?\^?\#?\d{{1,3}}"
_JOIN = r"\s*(?:,|;|&|/|\band\b|[-–])\s*"
_LIST = rf"{_NUMBER}(?:{_JOIN}{_NUMBER})*"
_TAIL = r"(?:†[^\]】]*)?"
_MARK = re.compile(
    rf"""
    \[\[\s*{_LIST}\s*\]\]                    # [[1]]
    | \[\s*{_LIST}\s*{_TAIL}\](?:\(\#?[^\s()]*\))?   # [1], [1, 2], [^1], [Passage 2], [1](link)
    | 【\s*{_LIST}\s*{_TAIL}】                # full-width brackets, with or without a dagger's tail
    | \(\s*{_WORD}\s*[:\#.]?\s*\d{{1,3}}(?:{_JOIN}{_NUMBER})*\s*\)  # (Passage 2); a bare (2) is no mark
    """,
    re.VERBOSE | re.IGNORECASE,
)
_RANGE = re.compile(rf"(\d{{1,3}})\s*[-–]\s*(?:{_WORD}\s*)?(\d{{1,3}})", re.IGNORECASE)
_REFERENCE_LIST = re.compile(
    r"\n\s*(?:[#*_]*\s*(?:sources|references|citations|footnotes)\s*:?\s*[*_]*\s*\n)?"
    r"(?:\s*(?:[-*]\s*)?\[\^?\d{1,3}\]:?[^\n]*(?:\n|$))+\s*$",
    re.IGNORECASE,
)
_CLOSING = re.compile(r"(?:[.!?…:;。！？]+[\"'”’»)\]*_]*|\s*\|)\s*$")
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Mark:
    """Characters ``[start:end]`` of a text that cite the 1-based ``numbers``, in the order written."""

    start: int
    end: int
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Stripped:
    """A text without its marks; each mark's ``start == end`` is the place in ``text`` where it stood."""

    text: str
    marks: tuple[Mark, ...]

    def numbers_between(self, start: int, end: int) -> tuple[int, ...]:
        """The numbers cited for characters ``[start:end]``, each once, in the order written.

        A mark belongs to the text before it, so one standing at ``start`` belongs to the sentence before,
        unless no sentence is before it.
        """
        found = (n for m in self.marks if start < m.start <= end or m.start == start == 0 for n in m.numbers)
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class Rendered:
    """An answer with its marks. ``text[start:end]`` of each of ``ranges`` is one sentence, its mark included.

    ``order[n - 1]`` is the caller's number of the citation that the text calls ``n``; ``citations`` are
    each sentence's new numbers.
    """

    text: str
    ranges: tuple[tuple[int, int], ...]
    citations: tuple[tuple[int, ...], ...]
    order: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CitedSentence:
    """A sentence without marks, the numbers it cites (any distinct integers), and the white space before
    it.
    """

    text: str
    citations: Sequence[int] = ()
    before: str = " "


def find_marks(text: str, count: int) -> tuple[Mark, ...]:
    """The marks of a draft about ``count`` passages, in order.

    Numbers outside ``1..count`` are left out, so a mark may be without numbers. Brackets in code, and
    brackets whose numbers are all beyond 99 and beyond ``count`` (a year, a section), are no marks.
    """
    code = [match.span() for match in _CODE.finditer(text)]
    marks = []
    for match in _MARK.finditer(text):
        if any(start <= match.start() < end for start, end in code):
            continue
        written = _numbers(match.group())
        if min(written) > max(99, count):
            continue
        numbers = tuple(dict.fromkeys(n for n in written if 1 <= n <= count))
        marks.append(Mark(match.start(), match.end(), numbers))
    return tuple(marks)


def strip_marks(text: str, count: int) -> Stripped:
    """Take the marks out of a draft about ``count`` passages, and a list of references at its end.

    White space before a mark goes with it, so ``"a month [1]."`` becomes ``"a month."``.
    """
    if reference_list := _REFERENCE_LIST.search(text):
        text = text[: reference_list.start()]
    pieces: list[str] = []
    marks: list[Mark] = []
    length = position = 0
    for mark in find_marks(text, count):
        piece = text[position : mark.start]
        kept = piece.rstrip(" \t\u00a0")
        if not kept and not length:
            kept = ""
        elif mark.end < len(text) and text[mark.end].isalnum():
            kept = piece  # "see [1]for": a space must stay between the words
        pieces.append(kept)
        length += len(kept)
        marks.append(Mark(length, length, mark.numbers))
        position = mark.end
        if not length:  # a mark that opens the text takes the white space after it along
            position += len(text[position:]) - len(text[position:].lstrip())
    pieces.append(text[position:])
    return Stripped("".join(pieces), tuple(mark for mark in marks if mark.numbers))


def apply_marks(plain: str, sentences: Sequence[tuple[int, int, Sequence[int]]]) -> Rendered:
    """Put marks into ``plain``: for each ``(start, end, citations)`` at the sentence's end, before its full
    stop.

    Sentences are in order and do not overlap; text between them is kept. Citations are renumbered 1, 2, 3…
    by first use.
    """
    order: dict[int, int] = {}
    pieces: list[str] = []
    ranges: list[tuple[int, int]] = []
    renumbered: list[tuple[int, ...]] = []
    length = position = 0
    for start, end, citations in sentences:
        numbers = tuple(dict.fromkeys(order.setdefault(c, len(order) + 1) for c in citations))
        between, marked = plain[position:start], _mark(plain[start:end], numbers)
        pieces += [between, marked]
        length += len(between)
        ranges.append((length, length + len(marked)))
        renumbered.append(numbers)
        length += len(marked)
        position = end
    pieces.append(plain[position:])
    return Rendered("".join(pieces), tuple(ranges), tuple(renumbered), tuple(order))


def render(sentences: Sequence[CitedSentence]) -> Rendered:
    """Join sentences to an answer with marks; see ``apply_marks``. The first one's ``before`` is left out."""
    plain = ""
    ranges: list[tuple[int, int, Sequence[int]]] = []
    for sentence in sentences:
        plain += sentence.before if plain else ""
        ranges.append((len(plain), len(plain) + len(sentence.text), sentence.citations))
        plain += sentence.text
    return apply_marks(plain, ranges)


def _numbers(mark: str) -> list[int]:
    """All numbers of a mark, ``1-3`` written out; a range that runs backwards or over 50 counts as its two
    ends.
    """
    body = mark.split("†", maxsplit=1)[0].split("](", maxsplit=1)[0]
    spread = _RANGE.sub(_spread, body)
    return [int(number) for number in re.findall(r"\d{1,3}", spread)]


def _spread(match: re.Match[str]) -> str:
    first, last = int(match[1]), int(match[2])
    numbers = range(first, last + 1) if first <= last <= first + 50 else (first, last)
    return ",".join(map(str, numbers))


def _mark(sentence: str, numbers: Sequence[int]) -> str:
    if not numbers:
        return sentence
    marks = "".join(f"[{n}]" for n in numbers)
    if sentence.rstrip().endswith("```"):
        return f"{sentence}\n{marks}"
    closing = _CLOSING.search(sentence)
    at = closing.start() if closing else len(sentence.rstrip())
    return f"{sentence[:at]} {marks}{sentence[at:]}"
