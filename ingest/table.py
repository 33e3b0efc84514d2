"""Tables as text that a person can read: one line a row, cells joined by `` | ``."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from lxml import etree, html

Row = Sequence[str]
_MAX_SPAN = 200


def table_text(rows: Iterable[Row]) -> str:
    """Render rows, header first; rows and columns with nothing in them are left out. Empty if nothing remains."""
    cells = [[" ".join(cell.split()) for cell in row] for row in rows]
    cells = [row for row in cells if any(row)]
    width = max((len(row) for row in cells), default=0)
    used = [i for i in range(width) if any(i < len(row) and row[i] for row in cells)]
    lines = [" | ".join(row[i] if i < len(row) else "" for i in used) for row in cells]
    return "\n".join(line.strip() for line in lines)


def column_count(rows: Iterable[Row]) -> int:
    """How many columns hold anything."""
    rows = list(rows)
    width = max((len(row) for row in rows), default=0)
    return sum(any(i < len(row) and row[i].strip() for row in rows) for i in range(width))


def html_rows(markup: str) -> list[list[str]]:
    """The rows of the first table in ``markup``.

    A cell that spans rows is repeated in each, so that every row says what it is about; one that spans
    columns is followed by empty cells.
    """
    table = html.fragment_fromstring(markup, create_parent="div").find(".//table")
    if table is None:
        return []
    rows: list[list[str]] = []
    hanging: dict[int, tuple[int, str]] = {}
    for line in table.iter("tr"):
        row: list[str] = []

        def fill(row: list[str] = row) -> None:
            while (held := hanging.get(len(row))) is not None:
                left, text = held
                if left > 1:
                    hanging[len(row)] = (left - 1, text)
                else:
                    del hanging[len(row)]
                row.append(text)

        for cell in line:
            if cell.tag not in {"td", "th"}:
                continue
            fill()
            text = " ".join(" ".join(cell.itertext()).split())
            down, across = _span(cell, "rowspan"), _span(cell, "colspan")
            for offset in range(across):
                if down > 1:
                    hanging[len(row)] = (down - 1, text if offset == 0 else "")
                row.append(text if offset == 0 else "")
        fill()
        rows.append(row)
    return rows


def _span(cell: etree._Element, name: str) -> int:
    value = str(cell.get(name) or "1").strip()
    return min(_MAX_SPAN, max(1, int(value))) if value.isascii() and value.isdigit() else 1


def delimited_rows(text: str, tabs: bool) -> list[list[str]]:
    """The rows of CSV or TSV text, cells as written: codes keep their zeros, and ``NA`` stays ``NA``."""
    delimiter = "\t" if tabs else _delimiter(text)
    csv.field_size_limit(10_000_000)
    return [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if any(map(str.strip, row))]


def _delimiter(text: str) -> str:
    """The candidate that cuts the first lines into the most even rows, a comma if none does."""
    sample = [line for line in text[:65536].splitlines() if line.strip()][:50]
    best, best_score = ",", 0.0
    for candidate in ",;\t|":
        counts = [len(row) - 1 for row in csv.reader(sample, delimiter=candidate)]
        common = max(set(counts), key=counts.count, default=0)
        score = common and counts.count(common) / len(counts) * min(common, 3)
        if score > best_score:
            best, best_score = candidate, score
    return best
