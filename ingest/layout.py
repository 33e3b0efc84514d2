"""Lines on a page to blocks: which are headings, which belong to one paragraph, list item or table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from ingest.block import Block
from ingest.columns import tables_and_prose
from ingest.elements import ElementKind
from ingest.line import Line
from ingest.title import MAX_TITLE_WORDS, SECTION, looks_like_title

_BULLET = re.compile(r"([•▪●○◦‣⁃∙·■□➢✓✔*–—-]|\uf0b7|\uf0a7)\s+(?=\S)")
_NUMBERED = re.compile(r"\(?(?:\d{1,2}|[a-zA-Z]|[ivx]{1,4})[.)]\s+(?=\S)")
_MARKER_ALONE = re.compile(r"[•▪●○◦‣⁃∙·■□➢✓✔*–—-]|\uf0b7|\uf0a7|\(?(?:\d{1,2}|[a-zA-Z]|[ivx]{1,4})[.)]")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_LEADERS = re.compile(r"\s*\.{4,}\s*")
_LARGER = 1.12
_HEADING_WORDS = 16
_FULL_WIDTH = 0.72  # a line that ends before this part of the column ends its paragraph
_GAP = 0.75  # of a line's height, between two lines: a new paragraph
_DEEPEST = 6


@dataclass(frozen=True, slots=True)
class _Style:
    """What the document's body looks like, and the heading sizes above it, largest first."""

    body: float
    sizes: tuple[float, ...]
    vocabulary: Counter[str]

    def level(self, line: Line) -> int:
        if line.size in self.sizes:
            return min(_DEEPEST, self.sizes.index(line.size) + 1)
        return min(_DEEPEST, len(self.sizes) + (1 if line.bold else 2))


def blocks_of_lines(lines: Sequence[Line]) -> list[Block]:
    """Turn a document's lines, page by page and in reading order, into blocks."""
    if not lines:
        return []
    weights: Counter[float] = Counter()
    for line in lines:
        weights[line.size] += len(line.text)
    body = weights.most_common(1)[0][0]
    larger = sorted({line.size for line in lines if line.size > body * _LARGER and _short(line.text)}, reverse=True)
    words = Counter(word.lower() for line in lines for word in _WORD.findall(line.text.rstrip("-")))
    style = _Style(body, tuple(larger), words)
    blocks: list[Block] = []
    for _, page in groupby(lines, key=lambda line: line.page):
        blocks += _page_blocks(list(page), style, blocks[-1] if blocks else None)
    return blocks


def _short(text: str) -> bool:
    return len(text.split()) <= _HEADING_WORDS


def _page_blocks(lines: list[Line], style: _Style, before: Block | None) -> list[Block]:
    blocks: list[Block] = []
    for part in tables_and_prose(_with_markers(lines)):
        if isinstance(part, Block):
            blocks.append(part)
            continue
        blocks += _prose(part, style)
    if blocks and before is not None and _runs_on(before, blocks[0]):
        first = blocks[0]
        blocks[0] = Block(first.kind, first.text, first.level, first.page, continues=True)
    return blocks


def _runs_on(before: Block, after: Block) -> bool:
    prose = {ElementKind.PARAGRAPH, ElementKind.LIST_ITEM}
    return (
        before.kind in prose
        and after.kind is ElementKind.PARAGRAPH
        and after.text[:1].islower()
        and before.text[-1:] not in {".", "!", "?", ":"}
    )


def _with_markers(lines: list[Line]) -> list[Line]:
    """Put a bullet or number that stands as a line of its own before the line beside it."""
    markers = [line for line in lines if _MARKER_ALONE.fullmatch(line.text)]
    beside: dict[int, Line] = {}
    for marker in markers:
        right = [
            line
            for line in lines
            if line.left > marker.left
            and id(line) not in beside
            and abs(marker.middle - line.middle) < 0.4 * (line.top - line.bottom)
        ]
        if right:
            beside[id(min(right, key=lambda line: line.left))] = marker
    used = {id(marker) for marker in beside.values()}
    out: list[Line] = []
    for line in lines:
        own = beside.get(id(line))
        if own is not None:
            text = f"{own.text} {line.text}"
            out.append(replace(line, text=text, left=own.left, words=own.words + line.words))
        elif id(line) not in used:
            out.append(line)
    return out


def _prose(lines: list[Line], style: _Style) -> list[Block]:
    groups: list[list[Line]] = []
    kinds: list[ElementKind] = []
    for position, line in enumerate(lines):
        after = lines[position + 1] if position + 1 < len(lines) else None
        before = lines[position - 1] if position else None
        heading = _is_heading(line, before, after, style)
        if heading:
            same = before is not None and kinds and kinds[-1] is ElementKind.HEADING and _same_heading(before, line)
            if same:
                groups[-1].append(line)
                continue
            kind = ElementKind.HEADING
        elif _BULLET.match(line.text) or _NUMBERED.match(line.text):
            kind = ElementKind.LIST_ITEM
        elif before is not None and kinds and kinds[-1] is not ElementKind.HEADING and _joins(groups[-1], line, lines):
            groups[-1].append(line)
            continue
        else:
            kind = ElementKind.PARAGRAPH
        groups.append([line])
        kinds.append(kind)
    return [_block(_checked(kind, group), group, style) for kind, group in zip(kinds, groups, strict=True)]


def _checked(kind: ElementKind, lines: list[Line]) -> ElementKind:
    """A run of bold or large lines as long as a paragraph is one."""
    long = sum(len(line.text.split()) for line in lines) > _HEADING_WORDS + 4
    return ElementKind.PARAGRAPH if kind is ElementKind.HEADING and long else kind


def _block(kind: ElementKind, lines: list[Line], style: _Style) -> Block:
    text = lines[0].text
    for line in lines[1:]:
        text = _join(text, line.text, style.vocabulary)
    text = _LEADERS.sub(" … ", text)
    if kind is ElementKind.LIST_ITEM:
        text = _BULLET.sub("- ", text, count=1) if _BULLET.match(text) else text
    level = style.level(lines[0]) if kind is ElementKind.HEADING else None
    return Block(kind, text, level=level, page=lines[0].page)


def _join(text: str, more: str, vocabulary: Counter[str]) -> str:
    """Join two lines; a hyphen at the end goes if the document knows the word without it, or neither half alone."""
    if not text.endswith("-") or text.endswith((" -", "--")) or not more[:1].islower():
        return f"{text}{more}" if text.endswith("-") and not text.endswith((" -", "--")) else f"{text} {more}"
    left, right = _WORD.findall(text[:-1])[-1:], _WORD.findall(more)[:1]
    if not left or not right:
        return text + more
    first, second = left[0].lower(), right[0].lower()
    whole = vocabulary[first + second]
    known = vocabulary[f"{first}-{second}"] or (vocabulary[first] > 1 and vocabulary[second] > 1) or "-" in first
    return text[:-1] + more if whole or not known else text + more


def _joins(group: list[Line], line: Line, lines: list[Line]) -> bool:
    """Whether ``line`` goes on with the paragraph or item that ends with the line before."""
    last = group[-1]
    height = last.top - last.bottom
    first = group[0]
    hanging = bool(_BULLET.match(first.text) or _NUMBERED.match(first.text)) and 4 < line.left - first.left < 60
    if hanging and abs(last.size - line.size) <= 1 and 0 < last.middle - line.middle < 2 * height:
        return True
    if abs(last.size - line.size) > 1 or (last.box != line.box and not _flows(last, line)):
        return False
    if line.middle > last.middle:  # the next column
        return not last.text.endswith((".", "!", "?", ":")) and line.text[:1].islower()
    if last.bottom - line.top > _GAP * height:
        return False
    right = max(each.right for each in lines if each.box == last.box)
    left = min(each.left for each in lines if each.box == last.box)
    full = last.right - left > (right - left) * _FULL_WIDTH
    return full or line.text[:1].islower()


def _flows(last: Line, line: Line) -> bool:
    """Whether two boxes are one paragraph that was cut: a line's distance apart, the same left edge, no sentence end."""
    return abs(last.left - line.left) < 30 and line.text[:1].islower() and not last.text.endswith((".", "!", "?", ":"))


def _same_heading(before: Line, line: Line) -> bool:
    return before.size == line.size and before.bold == line.bold and before.bottom - line.top < line.top - line.bottom


def _is_heading(line: Line, before: Line | None, after: Line | None, style: _Style) -> bool:
    text = line.text
    if not _short(text) or not any(map(str.isalpha, text)) or text.endswith((",", ";")) or _BULLET.match(text):
        return False
    if text[0].islower() and not (before is not None and line.size > style.body and _same_heading(before, line)):
        return False
    if line.size > style.body * _LARGER:
        return not (text.endswith(".") and len(text.split()) > MAX_TITLE_WORDS)
    alone = before is None or before.box != line.box or before.bottom - line.top > _GAP * (line.top - line.bottom)
    if line.size < style.body * 0.95 or (text.endswith((".", "!", "?")) and not SECTION.match(text)):
        return False
    if line.bold:
        bold_run = before is not None and before.bold and before.size == line.size
        return (alone or bold_run or before is None or not before.bold) and (
            after is None or not after.bold or _short(after.text)
        )
    ends = after is None or after.box != line.box or line.bottom - after.top > _GAP * (line.top - line.bottom)
    wide_after = (
        after is not None and after.page == line.page and len(after.text) > 1.3 * len(text) and len(after.text) > 40
    )
    return alone and ends and wide_after and looks_like_title(text)
