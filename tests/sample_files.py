"""A small, whole file of every format that is read, written here: tests need none from elsewhere."""

from __future__ import annotations

import io
import json
import subprocess
import tempfile
from collections.abc import Callable
from email.message import EmailMessage
from functools import cache
from pathlib import Path

import docx
import openpyxl
import pptx
import pypandoc
from outlook import outlook_message
from PIL import Image, ImageDraw, ImageFont
from pptx.util import Inches
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from ingest.office import find_libreoffice

ROWS = [("Name", "Days"), ("Ann", "27"), ("Bo", "32")]
TABLE = "\n".join(" | ".join(row) for row in ROWS)
MARKDOWN = (
    "---\ntitle: Leave policy\n---\n# Leave\n\nEveryone has leave.[^1]\n\n- first\n- second\n\n## Days\n\n"
    "| Name | Days |\n|---|---|\n| Ann | 27 |\n| Bo | 32 |\n\n```python\nprint('days')\n```\n\n[^1]: Except in May.\n"
)
PAGE = (
    "<!doctype html><html><head><title>Leave policy</title></head><body><h1>Leave</h1><p>Everyone has leave.</p>"
    "<table><tr><th>Name</th><th>Days</th></tr><tr><td>Ann</td><td>27</td></tr><tr><td>Bo</td><td>32</td></tr></table></body></html>"
)
TEXT = "LEAVE\n\nEveryone has leave, and nobody loses any of it.\n\n- first\n- second\n"


def saved(document: object) -> bytes:
    """What ``document.save`` writes."""
    target = io.BytesIO()
    document.save(target)  # type: ignore[attr-defined]
    return target.getvalue()


def word() -> bytes:
    document = docx.Document()
    document.add_heading("Leave", 1)
    document.add_paragraph("Everyone has leave.")
    document.add_paragraph("first", style="List Bullet")
    table = document.add_table(3, 2)
    for row, texts in zip(table.rows, ROWS, strict=True):
        for cell, text in zip(row.cells, texts, strict=True):
            cell.text = text
    document.sections[0].header.paragraphs[0].text = "For internal use"
    return saved(document)


def slides() -> bytes:
    deck = pptx.Presentation()
    first = deck.slides.add_slide(deck.slide_layouts[1])
    first.shapes.title.text = "Leave"
    first.placeholders[1].text = "Everyone has leave."
    first.notes_slide.notes_text_frame.text = "Say hello."
    second = deck.slides.add_slide(deck.slide_layouts[5])
    second.shapes.title.text = "Days"
    table = second.shapes.add_table(3, 2, Inches(1), Inches(2), Inches(4), Inches(2)).table
    for i, row in enumerate(ROWS):
        for j, text in enumerate(row):
            table.cell(i, j).text = text
    return saved(deck)


def sheet() -> bytes:
    book = openpyxl.Workbook()
    for row in ROWS:
        book.active.append(row)
    return saved(book)


def mail() -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "ann@example.org", "all@example.org", "Leave"
    message.set_content("Everyone has leave.")
    message.add_alternative("<p>Everyone has <b>leave</b>.</p>", subtype="html")
    message.add_attachment(word(), maintype="application", subtype="octet-stream", filename="leave.docx")
    message.add_attachment("Name,Days\nAnn,27\n", subtype="csv", filename="days.csv")
    return message.as_bytes()


def outlook() -> bytes:
    return outlook_message(
        subject="Leave", body="Everyone has leave.", to=["Bo"], files=[("days.csv", "text/csv", b"Name,Days\nAnn,27\n")]
    )


def pdf(pages: int = 2) -> bytes:
    target = io.BytesIO()
    canvas = Canvas(target, pageCompression=0)
    for page in range(1, pages + 1):
        canvas.setFont("Helvetica-Bold", 18)
        canvas.drawString(72, 700, f"Leave, part {page}")
        canvas.setFont("Helvetica", 11)
        canvas.drawString(72, 670, f"Everyone has leave, as page {page} of this document says.")
        canvas.showPage()
    canvas.save()
    return target.getvalue()


def picture(lines: tuple[str, ...] = ("Everyone has leave.",), name: str = "PNG") -> bytes:
    """A picture of ``lines`` in large black letters, as a scanner would make it of a page."""
    target = io.BytesIO()
    page(lines).save(target, name, dpi=(300, 300))
    return target.getvalue()


def page(lines: tuple[str, ...]) -> Image.Image:
    image = Image.new("L", (1600, 300 + 120 * len(lines)), 255)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(64)
    for number, line in enumerate(lines):
        draw.text((120, 120 + 120 * number), line, fill=0, font=font)
    return image


def scan(*pages: tuple[str, ...] | str) -> bytes:
    """A PDF whose pages are pictures of lines of text; a page given as one string has a text layer."""
    target = io.BytesIO()
    canvas = Canvas(target, pagesize=(595, 842))
    for each in pages:
        if isinstance(each, str):
            canvas.drawString(72, 700, each)
        else:
            image = page(each)
            canvas.drawImage(ImageReader(image), 40, 400, 500, 500 * image.height / image.width)
        canvas.showPage()
    canvas.save()
    return target.getvalue()


def through_pandoc(form: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, f"document.{form}")
        extra = ["--standalone", "--metadata=title:Leave policy"]
        pypandoc.convert_text(MARKDOWN, form, format="markdown", outputfile=str(target), extra_args=extra)
        return target.read_bytes()


@cache
def through_libreoffice(data: bytes, form: str, to: str) -> bytes | None:
    """``data`` of the format ``form`` as LibreOffice saves it in the old format ``to``; None where it is not installed."""
    if (program := find_libreoffice()) is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, f"document.{form}")
        source.write_bytes(data)
        command = [
            program,
            f"-env:UserInstallation={Path(folder, 'profile').as_uri()}",
            "--headless",
            "--convert-to",
            to,
        ]
        subprocess.run([*command, "--outdir", folder, str(source)], capture_output=True, check=True)
        return Path(folder, f"document.{to}").read_bytes()


_WRITERS: dict[str, Callable[[], bytes | None]] = {
    "a.md": MARKDOWN.encode,
    "a.html": PAGE.encode,
    "a.txt": TEXT.encode,
    "latin.txt": lambda: "Größe und Maß: für alle zwölf Räume.\n".encode("latin-1"),
    "wide.txt": lambda: TEXT.encode("utf-16"),
    "a.rst": lambda: through_pandoc("rst"),
    "a.org": lambda: through_pandoc("org"),
    "a.rtf": lambda: through_pandoc("rtf"),
    "a.odt": lambda: through_pandoc("odt"),
    "a.epub": lambda: through_pandoc("epub"),
    "a.docx": word,
    "a.pptx": slides,
    "a.xlsx": sheet,
    "a.csv": lambda: "\n".join(",".join(row) for row in ROWS).encode(),
    "a.tsv": lambda: "\n".join("\t".join(row) for row in ROWS).encode(),
    "a.eml": mail,
    "a.msg": outlook,
    "a.xml": lambda: (
        b"<?xml version='1.0'?><staff><p><name>Ann</name><days>27</days></p><p><name>Bo</name></p></staff>"
    ),
    "a.json": lambda: json.dumps([{"name": name, "days": days} for name, days in ROWS[1:]]).encode(),
    "a.ndjson": lambda: b'{"name": "Ann", "days": 27}\n{"name": "Bo", "days": 32}\n',
    "a.pdf": pdf,
    "a.png": picture,
    "a.py": lambda: b"import os\n\n\ndef days(name):\n    return 27\n\n\nclass Leave:\n    total = 5\n",
    "a.yaml": lambda: b"leave:\n  ann: 27\n  bo: 32\n",
    "a.doc": lambda: through_libreoffice(word(), "docx", "doc"),
    "a.ppt": lambda: through_libreoffice(slides(), "pptx", "ppt"),
    "a.xls": lambda: through_libreoffice(sheet(), "xlsx", "xls"),
    "a.ods": lambda: through_libreoffice(sheet(), "xlsx", "ods"),
    "a.odp": lambda: through_libreoffice(slides(), "pptx", "odp"),
}


@cache
def sample_files() -> dict[str, bytes]:
    """File names and bytes: every format that can be written on this machine."""
    made = {name: write() for name, write in _WRITERS.items()}
    return {name: data for name, data in made.items() if data is not None}
