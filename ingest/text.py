"""Plain text: headings, paragraphs, lists and tables told from line breaks, capitals and columns.

The parsing library either keeps each wrapped line as a paragraph or joins addresses and tables into one,
and takes most short lines for titles; so the lines are read here.
"""

from __future__ import annotations

import itertools
import re

from ingest.block import Block, tidy
from ingest.elements import ElementKind
from ingest.table import table_text
from ingest.title import looks_like_title

_BLANK = re.compile(r"\n(?:[ \t]*\n)+")
_ITEM = re.compile(r"[ \t]*(?:[-*+•‣◦▪●·–—]|\(?[A-Z]?\d{1,3}(?:\.\d{1,3})*[.)]|\(?[a-zA-Z][.)])[ \t]+(?=\S)")
_UNDERLINE = re.compile(r"[ \t]*([=\-~^#*_])\1{2,}[ \t]*")
_CELLS = re.compile(r"\t+| {2,}")
_RULE_ROW = re.compile(r"[\s|+:=-]+")
_FULL = 0.6  # of the usual line width: a line this long was broken by its width, not by its writer
_NARROW = 45
_CAPS_WORDS = 10
_BODY = 40  # characters that make a paragraph


def read_text(text: str) -> list[Block]:
    """The blocks of plain text."""
    text = tidy(text).expandtabs(1) if "\t" not in text else tidy(text)
    lengths = sorted(len(line) for line in text.splitlines() if line.strip())
    width = lengths[int(len(lengths) * 0.9)] if lengths else 0
    blocks: list[Block] = []
    parts = [part.strip("\n") for part in _BLANK.split(text) if part.strip()]
    for part, after in itertools.pairwise([*parts, ""]):
        blocks += _part_blocks([line.rstrip() for line in part.splitlines()], width, after)
    return blocks


def _part_blocks(lines: list[str], width: int, following: str) -> list[Block]:
    if rows := _table(lines):
        return [Block(ElementKind.TABLE, table_text(rows))]
    blocks: list[Block] = []
    kind, open_text = ElementKind.PARAGRAPH, ""
    last = ""

    def close() -> None:
        nonlocal open_text
        if open_text.strip():
            blocks.append(Block(kind, open_text))
        open_text = ""

    for number, line in enumerate(lines):
        after = lines[number + 1] if number + 1 < len(lines) else ""
        if not line.strip() or _UNDERLINE.fullmatch(line):
            continue
        alone = not open_text and (len(lines) == 1 or _is_capitals(line))
        underlined = bool(_UNDERLINE.fullmatch(after)) and len(line.split()) <= _CAPS_WORDS and not open_text
        if underlined or (alone and _reads_as_heading(line, following)):
            close()
            level = 1 if underlined and after.strip()[0] == "=" else 2
            blocks.append(Block(ElementKind.HEADING, line.strip(), level=level))
        elif _ITEM.match(line):
            close()
            kind, open_text = ElementKind.LIST_ITEM, line
        elif not open_text:
            kind, open_text = ElementKind.PARAGRAPH, line
        elif _wrapped(last, line, width):
            open_text += f" {line.strip()}"
        else:
            open_text += f"\n{line.strip()}" if kind is ElementKind.PARAGRAPH else f" {line.strip()}"
        last = line
    close()
    return blocks


def _wrapped(last: str, line: str, width: int) -> bool:
    """Whether the break between two lines was made by the line width."""
    if width <= _NARROW:
        return line.lstrip()[:1].islower()
    return len(last) + len(line.split(maxsplit=1)[0]) >= width * _FULL or line.lstrip()[:1].islower()


def _is_capitals(line: str) -> bool:
    letters = [char for char in line if char.isalpha()]
    return len(letters) > 3 and all(char.isupper() for char in letters) and len(line.split()) <= _CAPS_WORDS


def _reads_as_heading(line: str, following: str) -> bool:
    """Capitals, or the look of a title with a paragraph to follow: a signature has none."""
    line = line.strip()
    if _is_capitals(line):
        return not line.endswith((",", ";"))
    return looks_like_title(line) and len(following) > _BODY


def _table(lines: list[str]) -> list[list[str]]:
    """The rows of a part in which every line has as many cells: three or more, or two between tabs or bars."""
    lines = [line for line in lines if not _RULE_ROW.fullmatch(line)]
    if len(lines) < 2:
        return []
    if all(" | " in line for line in lines):
        return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
    rows = [_CELLS.split(line.strip()) for line in lines]
    counts = {len(row) for row in rows}
    tabs = all("\t" in line.strip() for line in lines)
    fits = len(counts) == 1 and (min(counts) > 2 or (tabs and min(counts) > 1))
    return rows if fits and not any(_ITEM.match(line) for line in lines) else []
