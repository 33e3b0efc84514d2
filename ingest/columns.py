"""Tables of a PDF page: rows of lines whose edges stand under each other."""

from __future__ import annotations

import re
from itertools import pairwise

from ingest.block import Block, tidy
from ingest.elements import ElementKind
from ingest.line import Line
from ingest.table import table_text

_ALIGNED = 6.0  # points
_BULLET = re.compile(r"[•▪●○◦‣⁃∙·■□➢✓✔*–—-]\s+(?=\S)")


def tables_and_prose(lines: list[Line]) -> list[list[Line] | Block]:
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
    two_columns_of_prose = max(map(len, table)) == 2 and sum(len(line.text) for line in cells) / len(cells) > 45
    bulleted = sum(len(row[0].text) <= 2 or bool(_BULLET.match(row[0].text)) for row in table) > len(table) / 2
    return 0 if two_columns_of_prose or (bulleted and max(map(len, table)) == 2) else end - start


def _is_row(row: list[Line]) -> bool:
    return len(row) > 1 and all(right.left - left.right > 4 for left, right in pairwise(row))


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
