"""Lines on a page to blocks: which are headings, which belong to one paragraph, list item or table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from ingest.block import Block
from ingest.elements import ElementKind
from ingest.line import Line
from ingest.table import table_text

_BULLET = re.compile(r"([•▪●○◦‣⁃∙·■□➢✓✔*–—-]|\uf0b7|\uf0a7)\s+(?=\S)")
_NUMBERED = re.compile(r"\(?(?:\d{1,2}|[a-zA-Z]|[ivx]{1,4})[.)]\s+(?=\S)")
_SECTION = re.compile(
    r"(?:\d+(?:\.\d+)*\.?|(?:chapter|section|part|appendix|annex|article)\s+\w+[.:]?)\s+\S", re.IGNORECASE
)
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_SMALL_WORDS = frozenset(
    [
        "a",
        "an",
        "and",
        "as",
        "at",
        "by",
        "for",
        "from",
        "in",
        "into",
        "of",
        "on",
        "or",
        "the",
        "to",
        "vs",
        "with",
        "your",
        "our",
        "how",
    ]
)
_LEADERS = re.compile(r"\s*\.{4,}\s*")
_LARGER = 1.12
_HEADING_WORDS = 16
_PLAIN_HEADING_WORDS = 8
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
    larger = sorted(
        {line.size for line in lines if line.size > body * _LARGER and _short(line.text)}, reverse=True
    )
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
    for part in _tables_and_prose(lines):
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


# -- tables
# ---------------------------------------------------------------------------------------------------------------


def _tables_and_prose(lines: list[Line]) -> list[list[Line] | Block]:
    """Cut a page into runs of prose and tables.

    A table is two or more rows, one under the other, of two or more pieces each, whose columns start or end
    at the same places.
    """
    rows = _rows(lines)
    in_table: dict[int, int] = {}
    tables: list[list[list[Line]]] = []
    index = 0
    while index < len(rows):
        run = _table_run(rows, index)
        if run:
            for row in rows[index : index + run]:
                in_table.update({id(line): len(tables) for line in row})
            tables.append(rows[index : index + run])
            index += run
        else:
            index += 1
    parts: list[list[Line] | Block] = []
    done: set[int] = set()
    for line in lines:
        number = in_table.get(id(line))
        if number is None:
            if parts and isinstance(parts[-1], list):
                parts[-1].append(line)
            else:
                parts.append([line])
        elif number not in done:
            done.add(number)
            parts.append(Block(ElementKind.TABLE, table_text(_grid(tables[number])), page=line.page))
    return parts


def _rows(lines: list[Line]) -> list[list[Line]]:
    """Lines at one height, left to right; rows from top to bottom."""
    rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: (-line.middle, line.left)):
        if rows and abs(rows[-1][0].middle - line.middle) < 0.4 * (line.top - line.bottom):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [sorted(row, key=lambda line: line.left) for row in rows]


def _table_run(rows: list[list[Line]], start: int) -> int:
    """How many rows from ``start`` on make a table; 0 if none."""
    if not _is_row(rows[start]):
        return 0
    end = start + 1
    columns = rows[start]
    while end < len(rows):
        row = rows[end]
        height = columns[0].top - columns[0].bottom
        near = rows[end - 1][0].bottom - row[0].top < 2.5 * height
        if not near:
            break
        if _is_row(row) and _aligned(columns, row):
            columns = max(columns, row, key=len)
        elif not (len(row) == 1 and _wrapped(columns, row[0], rows[end - 1])):
            break
        end += 1
    while end > start and not _is_row(rows[end - 1]):
        end -= 1
    table = [row for row in rows[start:end] if _is_row(row)]
    if len(table) < 2:
        return 0
    cells = [line for row in table for line in row]
    two_columns_of_prose = (
        max(map(len, table)) == 2 and sum(len(line.text) for line in cells) / len(cells) > 45
    )
    bulleted = (
        sum(len(row[0].text) <= 2 or bool(_BULLET.match(row[0].text)) for row in table) > len(table) / 2
    )
    return 0 if two_columns_of_prose or (bulleted and max(map(len, table)) == 2) else end - start


def _is_row(row: list[Line]) -> bool:
    return len(row) > 1 and all(
        right.left - left.right > 4 for left, right in zip(row, row[1:], strict=False)
    )


def _aligned(columns: list[Line], row: list[Line]) -> bool:
    return sum(_column(columns, line) is not None for line in row) >= len(row) - (len(row) > 2)


def _column(columns: list[Line], line: Line) -> int | None:
    """The column that ``line`` stands in: the same left edge, right edge or centre, or an overlap with that one alone."""
    best: tuple[float, int] | None = None
    for number, head in enumerate(columns):
        distance = min(
            abs(head.left - line.left),
            abs(head.right - line.right),
            abs(head.left + head.right - line.left - line.right) / 2,
        )
        if distance < 6 and (best is None or distance < best[0]):
            best = (distance, number)
    if best is not None:
        return best[1]
    over = [
        number for number, head in enumerate(columns) if head.left < line.right and line.left < head.right
    ]
    return over[0] if len(over) == 1 else None


def _wrapped(columns: list[Line], line: Line, above: list[Line]) -> bool:
    """Whether a lone line is a cell's second line: in a column, close under the row above, and not as wide as the table."""
    close = above[0].bottom - line.top < 0.6 * (line.top - line.bottom)
    inside = line.right <= columns[-1].right + 20 and line.left >= columns[0].left - 2
    number = _column(columns, line)
    ends = columns[number + 1].left if number is not None and number + 1 < len(columns) else float("inf")
    return close and inside and number is not None and line.right < ends


def _grid(rows: list[list[Line]]) -> list[list[str]]:
    columns = max(rows, key=len)
    grid: list[list[str]] = []
    for row in rows:
        cells = [""] * len(columns)
        for place, line in enumerate(row):
            number = _column(columns, line)
            number = min(place, len(columns) - 1) if number is None else number
            cells[number] = f"{cells[number]} {line.text}".strip()
        if len(row) == 1 and grid and len(columns) > 1:
            grid[-1] = [f"{above} {cell}".strip() for above, cell in zip(grid[-1], cells, strict=True)]
        else:
            grid.append(cells)
    return grid


# -- prose
# ----------------------------------------------------------------------------------------------------------------


def _prose(lines: list[Line], style: _Style) -> list[Block]:
    groups: list[list[Line]] = []
    kinds: list[ElementKind] = []
    for position, line in enumerate(lines):
        after = lines[position + 1] if position + 1 < len(lines) else None
        before = lines[position - 1] if position else None
        heading = _is_heading(line, before, after, style)
        if heading:
            same = (
                before is not None
                and kinds
                and kinds[-1] is ElementKind.HEADING
                and _same_heading(before, line)
            )
            if same:
                groups[-1].append(line)
                continue
            kind = ElementKind.HEADING
        elif _BULLET.match(line.text) or _NUMBERED.match(line.text):
            kind = ElementKind.LIST_ITEM
        elif (
            before is not None
            and kinds
            and kinds[-1] is not ElementKind.HEADING
            and _joins(groups[-1], line, lines)
        ):
            groups[-1].append(line)
            continue
        else:
            kind = ElementKind.PARAGRAPH
        groups.append([line])
        kinds.append(kind)
    return [_block(kind, group, style) for kind, group in zip(kinds, groups, strict=True)]


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
    known = (
        vocabulary[f"{first}-{second}"] or (vocabulary[first] > 1 and vocabulary[second] > 1) or "-" in first
    )
    return text[:-1] + more if whole or not known else text + more


def _joins(group: list[Line], line: Line, lines: list[Line]) -> bool:
    """Whether ``line`` goes on with the paragraph or item that ends with the line before."""
    last = group[-1]
    height = last.top - last.bottom
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
    return (
        abs(last.left - line.left) < 30
        and line.text[:1].islower()
        and not last.text.endswith((".", "!", "?", ":"))
    )


def _same_heading(before: Line, line: Line) -> bool:
    return (
        before.size == line.size
        and before.bold == line.bold
        and before.bottom - line.top < line.top - line.bottom
    )


def _is_heading(line: Line, before: Line | None, after: Line | None, style: _Style) -> bool:
    text = line.text
    if (
        not _short(text)
        or not any(map(str.isalpha, text))
        or text.endswith((",", ";"))
        or _BULLET.match(text)
    ):
        return False
    if line.size > style.body * _LARGER:
        return not (text.endswith(".") and len(text.split()) > _PLAIN_HEADING_WORDS)
    alone = (
        before is None or before.box != line.box or before.bottom - line.top > _GAP * (line.top - line.bottom)
    )
    if line.size < style.body * 0.95 or (text.endswith((".", "!", "?")) and not _SECTION.match(text)):
        return False
    if line.bold:
        bold_run = before is not None and before.bold and before.size == line.size
        return (alone or bold_run or before is None or not before.bold) and (
            after is None or not after.bold or _short(after.text)
        )
    ends = after is None or after.box != line.box or line.bottom - after.top > _GAP * (line.top - line.bottom)
    wide_after = (
        after is not None
        and after.page == line.page
        and len(after.text) > 1.3 * len(text)
        and len(after.text) > 40
    )
    return alone and ends and wide_after and looks_like_title(text)


def looks_like_title(text: str) -> bool:
    """Whether a line of plain text reads as a heading: few words, capitals or a section number, no sentence's end."""
    words = text.split()
    if (
        not 1 <= len(words) <= _PLAIN_HEADING_WORDS
        or text.endswith((".", ",", ";", "!", ":"))
        or "@" in text
        or "|" in text
    ):
        return False
    if not any(map(str.isalpha, text)):
        return False
    if _SECTION.match(text) and text.split(maxsplit=1)[-1][:1].isupper():
        return True
    weighty = [word for word in words if word.lower() not in _SMALL_WORDS and word[:1].isalpha()]
    return bool(weighty) and words[0][:1].isupper() and all(word[:1].isupper() for word in weighty)
