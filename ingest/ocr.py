"""Text recognition: pictures of pages to lines of text with their places, by Tesseract.

The lines are of the same kind as a PDF's own, so headings, columns and tables are told from them alike. Only imported
where the operator turned recognition on: its libraries are an extra.
"""

from __future__ import annotations

import contextlib
import io
import math
import statistics
from collections.abc import Iterable, Iterator
from functools import cache

import pypdfium2
import pytesseract
from PIL import Image, ImageOps, ImageSequence

from infra.errors import Unprocessable
from ingest.block import tidy
from ingest.line import Line

_DPI = 300  # what Tesseract's documentation asks for
_MAX_PIXELS = 80_000_000
_MAX_FRAMES = 500
_MIN_CONFIDENCE = 30.0  # percent: under it, specks and pictures become letters
_POINTS = 72 / _DPI
_BODY_SIZE = 10.0
_LARGER = 1.4  # of a page's usual line height: heights of recognised lines vary, so that less says nothing
_STEP = 0.25

Page = tuple[float, list[Line]]
"""A page's height in points, and its lines in reading order."""


def recognise_pdf(data: bytes, numbers: Iterable[int], languages: str) -> Iterator[tuple[int, Page]]:
    """The pages of a PDF with these 1-based ``numbers``, recognised. ``languages`` are Tesseract's, as in ``eng+deu``.

    A page that cannot be drawn is left out: the other pages may have text of their own.
    """
    with contextlib.suppress(pypdfium2.PdfiumError), contextlib.closing(pypdfium2.PdfDocument(data)) as document:
        for number in numbers:
            try:
                page = document[number - 1]
                width, height = page.get_size()
                scale = min(_DPI / 72, math.sqrt(_MAX_PIXELS / max(1.0, width * height)))
                picture = page.render(scale=scale, grayscale=True).to_pil()
            except (pypdfium2.PdfiumError, IndexError):
                continue
            yield number, _page(picture, number, languages, 1 / scale)
            page.close()


def recognise_image(data: bytes, languages: str) -> list[Page]:
    """The frames of a picture as pages. Raises ``Unprocessable`` if it is damaged or too large."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            if picture.width * picture.height > _MAX_PIXELS:
                raise Unprocessable(
                    f"The picture has more than {_MAX_PIXELS // 1_000_000} million pixels: send a smaller copy.",
                    code="malformed",
                )
            return [
                _page(ImageOps.exif_transpose(frame).convert("L"), number, languages, _POINTS)
                for number, frame in zip(range(1, _MAX_FRAMES + 1), ImageSequence.Iterator(picture), strict=False)
            ]
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise Unprocessable("The picture is damaged and cannot be read.", code="malformed") from error


def _page(picture: Image.Image, number: int, languages: str, points: float) -> Page:
    """Recognise one page; ``points`` is how many a pixel measures."""
    try:
        found = pytesseract.image_to_data(
            picture, lang=languages, config=f"--psm {_mode()}", output_type=pytesseract.Output.DICT
        )
    except pytesseract.TesseractError as error:
        raise Unprocessable(f"The text of page {number} could not be recognised.", code="malformed") from error
    words: dict[tuple[int, int, int], list[int]] = {}
    for i, text in enumerate(found["text"]):
        if text.strip() and float(found["conf"][i]) >= _MIN_CONFIDENCE:
            words.setdefault((found["block_num"][i], found["par_num"][i], found["line_num"][i]), []).append(i)
    height = picture.height * points
    heights = {key: max(found["height"][i] for i in line) for key, line in words.items()}
    usual = statistics.median(heights.values()) if heights else 1.0
    boxes = {key: n for n, key in enumerate(dict.fromkeys(key[:2] for key in words), 1)}
    lines = []
    for key, line in words.items():
        ratio = heights[key] / max(1.0, usual)
        lines.append(
            Line(
                text=" ".join(tidy(found["text"][i]) for i in line),
                page=number,
                box=boxes[key[:2]],
                left=found["left"][line[0]] * points,
                right=max(found["left"][i] + found["width"][i] for i in line) * points,
                bottom=height - max(found["top"][i] + found["height"][i] for i in line) * points,
                top=height - min(found["top"][i] for i in line) * points,
                size=_BODY_SIZE * (round(ratio / _STEP) * _STEP if ratio >= _LARGER else 1.0),
                bold=False,
                words=tuple((found["left"][i] * points, found["text"][i]) for i in line),
            )
        )
    return height, lines


@cache
def _mode() -> int:
    """Tesseract's page mode: with the data to tell which way is up (1) where it is installed, else without (3)."""
    return 1 if "osd" in pytesseract.get_languages(config="") else 3
