"""Tables of a page, told from columns of prose."""

from __future__ import annotations

from ingest.block import Block
from ingest.columns import tables_and_prose
from ingest.line import Line


def line(text: str, left: float, row: int, box: int, width: float | None = None) -> Line:
    right = left + (width if width is not None else 5 * len(text))
    words, place = [], left
    for word in text.split():
        words.append((place, word))
        place += 5 * (len(word) + 1)
    return Line(text, 1, box, left, right, 700 - 14 * row, 710 - 14 * row, 10, False, tuple(words))


def tables(lines: list[Line]) -> list[str]:
    return [part.text for part in tables_and_prose(lines) if isinstance(part, Block)]


def test_rows_under_each_other_are_a_table() -> None:
    rows = [("Item", "Days", "Place"), ("Leave", "27", "office"), ("Ferry leave", "32", "ship")]
    lines = [
        line(text, 60 + 150 * place, row, row) for row, cells in enumerate(rows) for place, text in enumerate(cells)
    ]
    assert tables(lines) == ["Item | Days | Place\nLeave | 27 | office\nFerry leave | 32 | ship"]


def test_cells_that_stand_close_are_cut_at_the_columns() -> None:
    # "Time Where" came as one line: its two words stand under columns of their own.
    lines = [line("Name", 60, 0, 0), line("Time Where", 200, 0, 1)]
    for row, cells in enumerate([("A", "3 h", "pit"), ("B", "6 h", "yard")], 1):
        lines += [line(cells[0], 60, row, 0), line(cells[1], 200, row, 1), line(cells[2], 225, row, 2)]
    assert tables(lines) == ["Name | Time | Where\nA | 3 h | pit\nB | 6 h | yard"]


def test_a_cells_second_line_stays_in_its_cell() -> None:
    lines = [line("Name", 60, 0, 0), line("Meaning", 200, 0, 1), line("A", 60, 1, 0), line("the first of", 200, 1, 1)]
    lines += [line("them all", 200, 2, 1, 40), line("B", 60, 3, 0), line("the next", 200, 3, 1)]
    assert tables(lines) == ["Name | Meaning\nA | the first of them all\nB | the next"]


def test_two_columns_of_prose_are_no_table() -> None:
    left = (
        "the first column of this page holds a text",
        "that goes on from line to line without",
        "an end in sight and fills each of them",
        "up to the same right edge as usual here",
    )
    right = (
        "while the second column tells of others",
        "and of things that are not in the first",
        "which a table would have mixed up badly",
        "as readers of journals know very well",
    )
    lines = [line(text, 60, row, 0, 200) for row, text in enumerate(left)]
    lines += [line(text, 300, row, 1, 200) for row, text in enumerate(right)]
    assert tables(lines) == []
    assert tables_and_prose(lines) == [lines]


def test_lists_side_by_side_are_no_table() -> None:
    lines = [line(f"• item {row}", 60 + 200 * place, row, place) for place in range(2) for row in range(4)]
    assert tables(lines) == []
