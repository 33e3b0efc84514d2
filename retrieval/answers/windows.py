"""Windows: the sentences of some passages, each with what a reader sees around it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from retrieval.answers.question import Question
from retrieval.passage import Passage
from retrieval.sentences import Span, split_sentences
from retrieval.terms import STOP_WORDS, stem, words


@dataclass(frozen=True, slots=True)
class Window:
    """Sentence ``text`` = ``[start:end]`` of passage number ``passage``, with its surroundings.

    ``lead`` is the sentence before (for an item of a list: the line that introduces it); ``place`` is
    title, heading path and table header. ``leans`` says that the sentence cannot be read without its lead;
    ``heading`` and ``row`` (of a table) what it is.
    """

    passage: int
    start: int
    end: int
    text: str
    lead: Span | None
    lead_text: str
    next_text: str
    place: str
    leans: bool
    heading: bool
    row: bool = False

    @property
    def reading(self) -> str:
        """The text that stands for this window in the encoder: its nearest heading, its lead where needed,
        itself.
        """
        heading = self.place.rsplit(" / ", 1)[-1]
        before = f"{self.lead_text} " if self.leans else ""
        return f"{heading}: {before}{self.text}" if heading else f"{before}{self.text}"

    @property
    def body(self) -> str:
        """The sentence as it is read alone: with its lead where needed, a row with its columns' names."""
        if self.row:
            columns, cells = self.lead_text.split(CELLS), self.text.split(CELLS)
            if len(columns) == len(cells):
                return "; ".join(f"{c.strip()}: {v.strip()}" for c, v in zip(columns, cells, strict=True))
        return f"{self.lead_text} {self.text}" if self.leans else self.text

    @property
    def candidate(self) -> str:
        """The text that stands for this window in the answer scorer: title, nearest heading, ``body``."""
        parts = [part for part in self.place.split(" / ") if part and CELLS not in part]
        head = " / ".join(dict.fromkeys((parts[0], parts[-1]))) if parts else ""
        return f"{head}: {self.body}" if head else self.body


# What stands between the cells of a row.
CELLS = " | "
_PRONOUN = re.compile(
    r"(?:It|Its|They|Their|Them|This|That|These|Those|He|She|His|Her|Such|Otherwise|Then|Also|Instead|"
    r"However|Therefore|Thus|"
    r"After that|Before that|In that case|If so|If not|Both|Beyond that|There)\b"
)
_ITEM = re.compile(r"[ \t]*(?:[-*+•‣◦▪●○·–—]|\(?(?:\d{1,2}|[A-Za-z])[.)])[ \t]+$")
_MAX_FOLLOWERS = 6
_MAX_ANSWER = 2
_TERSE = 3
_SHORT_HEADING = 9
_HEADED = re.compile(r"[ \t]*(?:\d+(?:\.\d+)*\.?[ \t]+)?\Z")
_HEADING = re.compile(r"[ \t]*#{1,6}[ \t]+$")
_RULE_ROW = re.compile(r"[\s|:+=_-]*\Z")


def windows(passages: Sequence[Passage]) -> list[Window]:
    """Return every sentence of ``passages`` in reading order; headings are marked, rules of tables left
    out.
    """
    return [window for number, passage in enumerate(passages) for window in _of_passage(number, passage)]


def _of_passage(number: int, passage: Passage) -> list[Window]:
    text = passage.text
    spans = [span for span in split_sentences(text) if not _RULE_ROW.match(text[span.start : span.end])]
    place = " / ".join(
        dict.fromkeys(part for part in (passage.document.title, *passage.heading_path, passage.context) if part)
    )
    found: list[Window] = []
    lead_in: Span | None = None
    header: Span | None = None
    section = ""
    for index, span in enumerate(spans):
        line = text[text.rfind("\n", 0, span.start) + 1 : span.start]
        item, heading = _ITEM.match(line) is not None, _is_heading(text, span, line, passage)
        body = text[span.start : span.end]
        row = CELLS in body
        if heading:
            section, lead_in = body, None
        elif not item and not row:
            lead_in = span if body.endswith(":") else None
        header = _header(text, spans, index, header, passage) if row else None
        before = spans[index - 1] if index and not (found and found[-1].heading) else None
        intro = header if row else lead_in if item else None
        lead = intro or (None if row else before)
        if lead == span:
            lead = None
        here = place if not section or section in place else f"{place} / {section}" if place else section
        found.append(
            Window(
                number,
                span.start,
                span.end,
                body,
                lead,
                text[lead.start : lead.end] if lead else "",
                text[spans[index + 1].start : spans[index + 1].end] if index + 1 < len(spans) else "",
                here,
                lead is not None
                and (intro is not None or _PRONOUN.match(body) is not None or _is_reply(body, text, lead, span)),
                heading,
                row,
            ),
        )
    return found


def _is_reply(body: str, text: str, lead: Span, span: Span) -> bool:
    """Whether the sentence answers a question before it, or is too short to be read alone ("No.")."""
    if "\n" in text[lead.end : span.start]:
        return False
    return text[lead.end - 1] == "?" or (len(body.split()) < _TERSE and body.endswith("."))


def _header(text: str, spans: Sequence[Span], index: int, header: Span | None, passage: Passage) -> Span | None:
    """The header row of the table whose row is number ``index``: its first row, unless the passage goes on
    with a table.
    """
    if header is not None:
        return header
    first = spans[index]
    if CELLS in passage.context or any(char.isdigit() for char in text[first.start : first.end]):
        return None
    return first


def _is_heading(text: str, span: Span, line: str, passage: Passage) -> bool:
    body = text[span.start : span.end]
    short = len(body.split()) < _SHORT_HEADING
    if _HEADING.match(line):
        return True
    if (
        body in passage.heading_path
        or f"{line.strip()} {body}" in passage.heading_path
        or body == passage.document.title
    ):
        return short  # a long one is a statement, as on slides
    if not short or body[-1] in ".!?:;,|" or CELLS in body or not _HEADED.match(line):
        return False
    # A short line of its own, without a stop, a blank line after it: the heading of a section that
    # was put together with others.
    return (body[0].isupper() or body[0].isdigit()) and text[span.end : span.end + 2] == "\n\n"


def followers(window: Window, text: str) -> list[Span]:
    """What a window only announces: the items after a colon (at most six), the answer after a question (two
    sentences).

    Nothing for other windows. ``text`` is the passage's.
    """
    asks, lists = window.text.endswith("?"), window.text.endswith(":")
    found: list[Span] = []
    if not asks and not lists:
        return found
    for span in split_sentences(text):
        if span.start < window.end:
            continue
        line = text[text.rfind("\n", 0, span.start) + 1 : span.start]
        if lists and (len(found) == _MAX_FOLLOWERS or (found and not _ITEM.match(line))):
            break
        last = found[-1].end if found else window.end
        if asks and (len(found) == _MAX_ANSWER or "\n" in text[last : span.start] or text[span.end - 1] == "?"):
            break
        found.append(span)
    return found


def shortlist(question: Question, found: Sequence[Window], limit: int) -> list[Window]:
    """Return at most ``limit`` windows, in order: those that share most with ``question``, and of the best
    passages.

    Keeps the encoder's work bounded however long the passages are.
    """
    usable = [window for window in found if not window.heading]
    if len(usable) <= limit:
        return usable
    weights = {term.stem: term.weight for term in question.terms}
    total = sum(weights.values()) or 1.0

    def promise(window: Window) -> float:
        own = stems(window.text)
        near = stems(window.place) | stems(window.lead_text)
        shared = sum(weight * (1.0 if root in own else 0.5 * (root in near)) for root, weight in weights.items())
        return shared / total + 0.5 / (1 + window.passage)

    best = sorted(range(len(usable)), key=lambda i: -promise(usable[i]))[:limit]
    return [usable[i] for i in sorted(best)]


def stems(text: str) -> frozenset[str]:
    """Return the stems of the content words of ``text``."""
    return frozenset(stem(word) for word in words(text) if word not in STOP_WORDS)
