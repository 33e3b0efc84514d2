"""PDF text: lines with their place and type size become headings, paragraphs, lists and tables.

Read with pdfminer.six, the reader under the parsing library's "fast" strategy. That strategy itself cannot
be imported without a layout model and torchvision, and it loses what is used here: type sizes, bold, and
the lines of a paragraph.
"""

from __future__ import annotations

import io
import math
import re
from collections import Counter
from collections.abc import Iterator

from pdfminer.converter import PDFPageAggregator
from pdfminer.layout import LAParams, LTAnno, LTChar, LTContainer, LTImage, LTPage, LTTextBox, LTTextLine
from pdfminer.pdfdocument import (
    PDFDocument,
    PDFEncryptionError,
    PDFPasswordIncorrect,
    PDFTextExtractionNotAllowed,
)
from pdfminer.pdfexceptions import PDFException
from pdfminer.pdfinterp import PDFPageInterpreter, PDFResourceManager
from pdfminer.pdfpage import PDFPage
from pdfminer.pdfparser import PDFParser
from pdfminer.psexceptions import PSException
from pdfminer.utils import decode_text as decode_pdf_text

from infra.errors import Unprocessable
from ingest.block import Block, tidy
from ingest.layout import blocks_of_lines
from ingest.line import Line
from ingest.mime import encrypted

_CID = re.compile(r"\(cid:\d+\)")
_PAGE_NUMBER = re.compile(
    r"(?:page\s*)?(?:[-–—|]\s*)?(?:\d{1,4}|[ivxlc]{1,7})(?:\s*[-–—|])?(?:\s*(?:of|/)\s*\d{1,4})?",
    re.IGNORECASE,
)
_DIGITS = re.compile(r"\d+")
_EDGE = 0.12  # of the page's height, where running heads and feet stand
_REPEATED = 0.3  # of the pages
_STAMP = 60  # letters that a scanner may write on a page, as its own name and the date
_COVERED = 0.5  # of the page


def read_pdf(data: bytes, ocr: str | None = None) -> tuple[list[Block], str | None]:
    """Return a PDF's blocks with their pages, and its title.

    ``ocr`` names Tesseract's languages if pages without a text layer are to be recognised. Raises
    ``Unprocessable``: ``encrypted``, ``malformed``, or ``no_text`` for a scan that was not recognised.
    """
    pictures: list[int] = []
    images = False
    pages: list[tuple[float, list[Line]]] = []
    try:
        title = _document_title(data)
        for number, page in enumerate(_pages(data), 1):
            pages.append((page.height, list(_lines(page, number))))
            if _is_picture(page, pages[-1][1]):
                pictures.append(number)
            images = images or _image_area(page) > 0
    except (PDFPasswordIncorrect, PDFEncryptionError) as error:
        raise encrypted() from error
    except PDFTextExtractionNotAllowed as error:
        raise Unprocessable(
            "The PDF forbids taking its text out: send a copy that allows it.", code="encrypted"
        ) from error
    except (
        PDFException,
        PSException,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        AssertionError,
    ) as error:
        raise Unprocessable("The PDF is damaged and cannot be read.", code="malformed") from error
    if not pages:
        raise Unprocessable("The PDF is damaged: no page can be found in it.", code="malformed")
    if ocr and pictures:
        # Here and not above: its libraries are an extra, and need not be installed where recognition is off.
        from ingest.ocr import recognise_pdf  # noqa: PLC0415

        for number, recognised in recognise_pdf(data, pictures, ocr):
            pages[number - 1] = recognised
    lines = _without_running_text(pages)
    if not any(any(map(str.isalnum, line.text)) for line in lines):
        raise _no_text(ocr, images)
    return blocks_of_lines(lines), title


def _no_text(ocr: str | None, images: bool) -> Unprocessable:
    if ocr:
        reason = "has no text layer, and text recognition found none in it: send a sharper scan"
    elif images:
        reason = "has no text layer, only pictures of pages: turn text recognition on (FOOTNOTE_OCR), or send a PDF with text"
    else:
        reason = "has no text: its pages are empty, drawn or damaged"
    return Unprocessable(f"The PDF {reason}.", code="no_text")


def _is_picture(page: LTPage, lines: list[Line]) -> bool:
    """Whether a page is a scan: it has no text, or a picture over most of it and no more text than a stamp."""
    letters = sum(sum(map(str.isalnum, line.text)) for line in lines)
    return not letters or (letters < _STAMP and _image_area(page) > _COVERED * page.width * page.height)


def _image_area(container: LTContainer) -> float:  # type: ignore[type-arg]
    return sum(
        item.width * item.height
        if isinstance(item, LTImage)
        else _image_area(item)
        if isinstance(item, LTContainer)
        else 0.0
        for item in container
    )


class _Interpreter(PDFPageInterpreter):
    """Reads a page's text though its colours are described wrongly."""

    def init_resources(self, resources: dict[object, object]) -> None:
        """Leave the colour spaces out if they cannot be read."""
        try:
            super().init_resources(resources)
        except (PDFException, KeyError, TypeError, ValueError):
            super().init_resources({key: value for key, value in resources.items() if key != "ColorSpace"})


def _pages(data: bytes) -> Iterator[LTPage]:
    """The pages' layouts; a page whose letters lie on their side is turned."""
    manager = PDFResourceManager()
    device = PDFPageAggregator(manager, laparams=LAParams())
    interpreter = _Interpreter(manager, device)
    for page in PDFPage.get_pages(io.BytesIO(data)):
        interpreter.process_page(page)
        layout = device.get_result()
        turn = _turn(layout)
        if turn:
            page.rotate = (page.rotate + turn) % 360
            interpreter.process_page(page)
            layout = device.get_result()
        yield layout


def _turn(layout: LTPage) -> int:
    """The degrees, clockwise, that make most of a page's letters stand upright."""
    directions: Counter[int] = Counter()

    def walk(container: LTContainer) -> None:  # type: ignore[type-arg]
        for item in container:
            if isinstance(item, LTChar):
                a, b, *_ = item.matrix
                directions[(round(math.degrees(math.atan2(b, a)) / 90) * 90) % 360] += 1
            elif isinstance(item, LTContainer):
                walk(item)

    walk(layout)
    return directions.most_common(1)[0][0] if directions else 0


def _document_title(data: bytes) -> str | None:
    """The title in the PDF's properties, unless a program wrote it there: a file name, or "Untitled"."""
    document = PDFDocument(PDFParser(io.BytesIO(data)))
    for info in document.info:
        raw = info.get("Title")
        text = decode_pdf_text(raw).strip() if isinstance(raw, bytes) else ""
        if " " in text and not re.search(r"\.\w{2,4}$|^Microsoft |^untitled|^\W*$", text, re.IGNORECASE):
            return text
    return None


def _lines(page: LTPage, number: int) -> Iterator[Line]:
    boxes = 0

    def walk(container: LTContainer) -> Iterator[tuple[int, LTTextLine]]:  # type: ignore[type-arg]
        nonlocal boxes
        for item in container:
            if isinstance(item, LTTextBox):
                boxes += 1
                yield from ((boxes, line) for line in item if isinstance(line, LTTextLine))
            elif isinstance(item, LTContainer) and not isinstance(item, LTTextLine):
                yield from walk(item)

    for box, line in walk(page):
        characters = [char for char in line if isinstance(char, LTChar)]
        text = " ".join(_CID.sub("", tidy(line.get_text())).split())
        if not text or not characters or _is_sideways(characters):
            continue
        sizes = Counter(round(char.size * 2) / 2 for char in characters if char.get_text().strip())
        bold = sum("bold" in char.fontname.lower() or "black" in char.fontname.lower() for char in characters)
        yield Line(
            text=text,
            page=number,
            box=box,
            left=line.x0,
            right=line.x1,
            bottom=line.y0,
            top=line.y1,
            size=sizes.most_common(1)[0][0] if sizes else 0.0,
            bold=bold * 2 > len(characters),
            words=tuple(_words(line)),
        )


def _is_sideways(characters: list[LTChar]) -> bool:
    """Whether a line is a stamp along the page's edge."""
    return sum(not char.upright for char in characters) * 2 > len(characters)


def _words(line: LTTextLine) -> Iterator[tuple[float, str]]:
    """The words of a line with their left edges."""
    left, text = 0.0, ""
    for char in line:
        letter = char.get_text() if isinstance(char, LTChar | LTAnno) else ""
        if letter.isspace() or not letter:
            if text:
                yield left, text
            text = ""
        else:
            left = left if text or not isinstance(char, LTChar) else char.x0
            text += letter
    if text:
        yield left, text


def _without_running_text(pages: list[tuple[float, list[Line]]]) -> list[Line]:
    """Drop page numbers, and heads and feet that return on many pages."""
    weights: Counter[float] = Counter()
    for _, lines in pages:
        for line in lines:
            weights[line.size] += len(line.text)
    body = max(weights, key=weights.__getitem__, default=0.0)
    edges: Counter[str] = Counter()
    for height, lines in pages:
        edges.update({_shape(line) for line in lines if _at_edge(line, height)})
    often = max(2, round(len(pages) * _REPEATED))
    running = {shape for shape, count in edges.items() if count >= often}
    kept: list[Line] = []
    said: set[str] = set()
    for height, lines in pages:
        for line in lines:
            shape = _shape(line)
            if _at_edge(line, height) and _PAGE_NUMBER.fullmatch(line.text):
                continue
            if _at_edge(line, height) and shape in running:
                # In large type it may be the document's title: it stays where it is said first.
                if line.size <= body or shape in said:
                    continue
                said.add(shape)
            kept.append(line)
    return kept


def _shape(line: Line) -> str:
    return f"{_DIGITS.sub('#', line.text.lower())} {round(line.middle / 12)}"


def _at_edge(line: Line, height: float) -> bool:
    return line.middle < height * _EDGE or line.middle > height * (1 - _EDGE)
