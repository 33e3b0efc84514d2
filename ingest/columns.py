"""Tables of a PDF page: rows of lines whose edges stand under each other."""

from __future__ import annotations

import re
from itertools import pairwise

from ingest.block import Block, tidy
from ingest.elements import ElementKind
from ingest.line import Line
from ingest.table import table_text

_ALIGNED = 6.0  # points
_PROSE_LINES = 3
_PROSE_WORDS = 4
_PROSE_LENGTH = 45
_MARK = re.compile(r"\W|\(?\w{1,3}[.)]")  # a bullet or "1." in a column of its own
_BULLET = re.compile(r"[•▪●○◦‣⁃∙·■□➢✓✔*–—-]\s+(?=\S)")


def tables_and_prose(lines: list[Line]) -> list[list[Line] | Block]:
    """Cut a page into runs of prose and tables.

    A table is two or more rows, one under the other, of two or more pieces each, whose columns start or end
    at the same places.
    """
    rows = _rows(lines)
    prose = _prose_boxes(lines)
    in_table: dict[int, int] = {}
    tables: list[list[list[Line]]] = []
    index = 0
    while index < len(rows):
        run = _table_run(rows, index, prose)
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


def _table_run(rows: list[list[Line]], start: int, prose: set[int]) -> int:
    """How many rows from ``start`` on make a table; 0 if none."""
    if not _is_row(rows[start], prose):
        return 0
    end = start + 1
    columns = rows[start]
    while end < len(rows):
        row = rows[end]
        height = columns[0].top - columns[0].bottom
        near = rows[end - 1][0].bottom - row[0].top < 2.5 * height
        if not near:
            break
        if _is_row(row, prose) and _aligned(columns, row):
            columns = max(columns, row, key=len)
        elif not (len(row) == 1 and _wrapped(columns, row[0], rows[end - 1])):
            break
        end += 1
    while end > start and not _is_row(rows[end - 1], prose):
        end -= 1
    table = [row for row in rows[start:end] if _is_row(row, prose)]
    if len(table) < 2:
        return 0
    heads = max(table, key=len)
    held: list[list[Line]] = [[] for _ in heads]
    for row in table:
        for place, line in enumerate(row):
            number = _column(heads, line)
            held[min(place, len(heads) - 1) if number is None else number].append(line)
    if sum(_reads_down(column) for column in held) > 1:
        return 0
    if len(heads) == 2 and len(table) == 2:
        return 0
    cells = [line for row in table for line in row]
    if sum(bool(_BULLET.match(line.text)) for line in cells) > 0.3 * len(cells):
        return 0
    marks = sum(bool(_MARK.fullmatch(row[0].text)) for row in table) > len(table) / 2
    return 0 if marks and len(heads) == 2 else end - start


def _reads_down(column: list[Line]) -> bool:
    """Whether a column is prose: its lines are full and go on in the next one. Two such columns are no table."""
    if len(column) < _PROSE_LINES:
        return sum(len(line.text) for line in column) / max(1, len(column)) > _PROSE_LENGTH
    wordy = sum(len(line.text.split()) >= _PROSE_WORDS for line in column) / len(column)
    left, right = min(line.left for line in column), max(line.right for line in column)
    full = sum(line.right > right - 0.2 * (right - left) for line in column) / len(column)
    going_on = sum(
        after.text[0].islower() and before.text[-1] not in ".!?:;" and len(before.text) > 2 * _PROSE_WORDS
        for before, after in pairwise(column)
    ) / (len(column) - 1)
    return wordy > 0.6 and full > 0.5 and going_on > 0.2


def _prose_boxes(lines: list[Line]) -> set[int]:
    """The boxes that hold paragraphs; on a page in columns, their lines stand beside each other but make no rows."""
    boxes: dict[int, list[Line]] = {}
    for line in lines:
        boxes.setdefault(line.box, []).append(line)
    return {box for box, held in boxes.items() if len(held) > _PROSE_LINES and _reads_down(held)}


def _is_row(row: list[Line], prose: set[int]) -> bool:
    """Whether a row has cells: two or more, with gaps between, and not the lines of two paragraphs."""
    apart = all(right.left - left.right > 4 for left, right in pairwise(row))
    return len(row) > 1 and apart and sum(line.box in prose for line in row) < 2


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
        if distance < _ALIGNED and (best is None or distance < best[0]):
            best = (distance, number)
    if best is not None:
        return best[1]
    over = [number for number, head in enumerate(columns) if head.left < line.right and line.left < head.right]
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
            for column, text in _cut(columns, line, number, row[place + 1] if place + 1 < len(row) else None):
                cells[column] = f"{cells[column]} {text}".strip()
        if len(row) == 1 and grid and len(columns) > 1:
            grid[-1] = [f"{above} {cell}".strip() for above, cell in zip(grid[-1], cells, strict=True)]
        else:
            grid.append(cells)
    return grid


def _cut(columns: list[Line], line: Line, number: int, after: Line | None) -> list[tuple[int, str]]:
    """The parts of a line that fills neighbouring columns, because the gap between its cells is narrow."""
    stop = after.left if after is not None else float("inf")
    reached = [place for place in range(number + 1, len(columns)) if columns[place].left < min(stop, line.right) - 2]
    edges = [columns[place].left for place in reached]
    if not edges or not all(any(abs(left - edge) < _ALIGNED for left, _ in line.words) for edge in edges):
        return [(number, line.text)]
    parts: dict[int, list[str]] = {}
    for left, word in line.words:
        column = number
        for place, edge in zip(reached, edges, strict=True):
            column = place if left >= edge - _ALIGNED else column
        parts.setdefault(column, []).append(tidy(word))
    return [(column, " ".join(words)) for column, words in parts.items()]
