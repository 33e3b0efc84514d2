"""Spreadsheets: each sheet is a page, its name a heading, its cells written as a person sees them.

Read here and not by the parsing library, which shows 15 % as 0.15, a date with a midnight and an amount
without its currency, and cuts a table at an empty row.
"""

from __future__ import annotations

import datetime as dt
import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any

import openpyxl
import xlrd
from xlrd.biffh import XLRDError

from infra.errors import Unprocessable
from ingest.block import Block
from ingest.elements import ElementKind
from ingest.mime import encrypted
from ingest.table import table_text

_CURRENCY = re.compile(r"[$€£¥₹]|\[\$([^\]-]+)[^\]]*\]")
_DECIMALS = re.compile(r"\.(0+)")
_MAX_CELLS = 2_000_000
_CAPTION_WORDS = 12

Cells = list[list[str]]


def read_xlsx(data: bytes) -> list[Block]:
    """The blocks of an XLSX workbook's visible sheets; formulas show their last computed value."""
    try:
        book = openpyxl.load_workbook(io.BytesIO(data), data_only=True, read_only=True)
        sheets = [
            (
                sheet.title,
                _bounded([_shown(cell.value, cell.number_format) for cell in row] for row in _rows(sheet)),
            )
            for sheet in book.worksheets
            if sheet.sheet_state == "visible"
        ]
    except Unprocessable:
        raise
    except (
        zipfile.BadZipFile,
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
        IndexError,
        OSError,
        SyntaxError,
    ) as error:
        raise Unprocessable("The spreadsheet is damaged and cannot be opened.", code="malformed") from error
    return _workbook(sheets)


def _rows(sheet: Any) -> Iterator[Any]:
    """A sheet's rows, each as long as it is: the extent that the file states is often that of its formats."""
    sheet.reset_dimensions()
    return iter(sheet.iter_rows())


def read_xls(data: bytes) -> list[Block]:
    """The blocks of an old Excel workbook's visible sheets."""
    try:
        book = xlrd.open_workbook(file_contents=data)
    except XLRDError as error:
        if "encrypted" in str(error).lower():
            raise encrypted() from error
        raise Unprocessable("The spreadsheet is damaged and cannot be opened.", code="malformed") from error
    except (AssertionError, ValueError, IndexError, KeyError, TypeError, OSError) as error:
        raise Unprocessable("The spreadsheet is damaged and cannot be opened.", code="malformed") from error
    return _workbook(
        (sheet.name, _bounded([_xls_shown(cell, book.datemode) for cell in row] for row in sheet.get_rows()))
        for sheet in book.sheets()
        if sheet.visibility == 0
    )


def _bounded(rows: Iterable[list[str]]) -> Cells:
    kept: Cells = []
    seen = 0
    for row in rows:
        # Empty cells count little: a stray format in the last column is no large table.
        seen += sum(map(bool, row)) + (len(row) >> 6)
        if seen > _MAX_CELLS:
            raise Unprocessable(
                f"The spreadsheet has more than {_MAX_CELLS:,} cells: export the part that matters as .csv.",
                code="malformed",
            )
        while row and not row[-1].strip():
            row.pop()
        kept.append(row)
    return kept


def _workbook(sheets: Iterable[tuple[str, Cells]]) -> list[Block]:
    blocks: list[Block] = []
    for page, (name, rows) in enumerate(sheets, 1):
        if found := list(_sheet_blocks(rows, page)):
            blocks.append(Block(ElementKind.HEADING, name, level=1, page=page))
            blocks += found
    return blocks


def _sheet_blocks(rows: Cells, page: int) -> Iterator[Block]:
    """Rows with one cell before a table are its caption; an empty row ends a table unless numbers follow it."""
    table: Cells = []
    caption: list[str] = []
    gap = False

    def flush() -> Iterator[Block]:
        if table:
            yield Block(ElementKind.TABLE, table_text(table), page=page)
            table.clear()

    for row in rows:
        filled = [cell for cell in row if cell.strip()]
        if not filled:
            gap = True
            continue
        if len(filled) == 1 and (gap or not table):
            yield from flush()
            caption.append(filled[0])
        else:
            if gap and table and not any(map(_is_number, filled)):
                yield from flush()
            for text in caption:
                short = len(text.split()) <= _CAPTION_WORDS and not text.rstrip().endswith((".", "!", "?", ";"))
                kind, level = (ElementKind.HEADING, 2) if short else (ElementKind.PARAGRAPH, None)
                yield Block(kind, text, level=level, page=page)
            caption.clear()
            table.append(row)
        gap = False
    yield from flush()
    for text in caption:
        yield Block(ElementKind.PARAGRAPH, text, page=page)


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"[-+(]?[$€£¥₹]?[\d.,\s]*\d[\d.,\s]*[%)€]?", text.strip()))


def _shown(value: object, number_format: str | None) -> str:
    """A cell's value as its number format shows it: percent, currency, decimals, dates."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, dt.datetime):
        plain = value.time() == dt.time(0)
        return value.date().isoformat() if plain else value.isoformat(" ", "minutes")
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, dt.time):
        return value.isoformat("minutes")
    if isinstance(value, int | float):
        return _number(value, number_format or "General")
    return str(value)


def _number(value: float, number_format: str) -> str:
    positive = number_format.split(";", maxsplit=1)[0]
    places = _DECIMALS.search(positive)
    digits = len(places.group(1)) if places else 0
    if "%" in positive:
        return f"{value * 100:.{digits}f}%" if digits else f"{round(value * 100, 6):g}%"
    fixed = any(sign in positive for sign in "0#") and positive != "General"
    text = (
        f"{value:,.{digits}f}"
        if fixed and "," in positive
        else f"{value:.{digits}f}"
        if fixed and places
        else _plain(value)
    )
    if (found := _CURRENCY.search(positive)) is not None:
        sign = found.group(1) or found.group(0)
        first = positive.find("0"), positive.find("#")
        before = found.start() < min(place for place in (*first, len(positive)) if place >= 0)
        return f"{sign}{text}" if before else f"{text} {sign}"
    return text


def _plain(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else f"{value:.12g}"


def _xls_shown(cell: xlrd.sheet.Cell, datemode: int) -> str:
    if cell.ctype == xlrd.XL_CELL_DATE:
        try:
            return _shown(xlrd.xldate_as_datetime(float(cell.value), 1 if datemode else 0), None)
        except (ValueError, OverflowError):
            return _plain(float(cell.value))
    if cell.ctype == xlrd.XL_CELL_NUMBER:
        return _plain(float(cell.value))
    if cell.ctype == xlrd.XL_CELL_BOOLEAN:
        return "TRUE" if cell.value else "FALSE"
    return str(cell.value) if cell.ctype == xlrd.XL_CELL_TEXT else ""
