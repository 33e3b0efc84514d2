"""Build the binary documents of the sample company from their Markdown sources.

    python evals/data/build_company.py

Each `sources/<path>.<format>.md` becomes `company/<path>.<format>`, for docx, pptx, xlsx and pdf. The other
formats are written by hand and live in `company/` as they are. The results are committed, so only someone who
edits a source needs this script and its libraries (`reportlab` beside those the product has). A second run
gives the same bytes: every date comes from the source's front matter.

A source is plain Markdown: front matter (`title`, `author`, `date`), `##`/`###` headings, paragraphs, `-` and
`1.` lists, pipe tables, `**bold**`, `*italic*`, and `<!-- page -->` for a page break. In a presentation each
`##` is a slide and a paragraph that begins with `Notes:` its speaker note; in a workbook it is a sheet.
"""

# mypy: disable-error-code="import-untyped, no-untyped-call"

from __future__ import annotations

import re
import sys
import zipfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import docx
import openpyxl
import pptx
import pptx.util
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.lib.units import cm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    ListFlowable,
    PageBreak,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
    TableStyle,
)

HERE = Path(__file__).parent
Kind = Literal["heading", "paragraph", "bullets", "numbers", "table", "page"]


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a source: `level` is a heading's depth, `lines` its text, list items or table rows."""

    kind: Kind
    lines: tuple[str, ...]
    level: int = 0

    def rows(self) -> list[list[str]]:
        """The cells of a table, without the rule under its header."""
        cells = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in self.lines]
        return [cells[0], *cells[2:]]


@dataclass(frozen=True, slots=True)
class Source:
    """A parsed source: its front matter and its blocks in order."""

    title: str
    author: str
    date: datetime
    blocks: tuple[Block, ...]


def read_source(path: Path) -> Source:
    """Read a source; raises ValueError when it has no front matter."""
    _, front, body = path.read_text(encoding="utf-8").split("---\n", 2)
    fields = dict(line.split(": ", 1) for line in front.strip().splitlines())
    blocks: list[Block] = []
    for part in re.split(r"\n\s*\n", body.strip()):
        lines = part.strip().splitlines()
        first = lines[0]
        if heading := re.match(r"(#+) (.*)", first):
            blocks.append(Block("heading", (heading[2],), len(heading[1])))
        elif first == "<!-- page -->":
            blocks.append(Block("page", ()))
        elif first.startswith("|"):
            blocks.append(Block("table", tuple(lines)))
        elif first.startswith("- "):
            blocks.append(Block("bullets", tuple(line[2:] for line in lines)))
        elif re.match(r"\d+\. ", first):
            blocks.append(Block("numbers", tuple(line.split(". ", 1)[1] for line in lines)))
        else:
            blocks.append(Block("paragraph", (" ".join(lines),)))
    return Source(fields["title"], fields["author"], datetime.fromisoformat(fields["date"]), tuple(blocks))


def runs(text: str) -> list[tuple[str, bool, bool]]:
    """Split inline Markdown into (text, bold, italic)."""
    out = []
    for piece in re.split(r"(\*\*.+?\*\*|\*.+?\*)", text):
        if piece.startswith("**"):
            out.append((piece[2:-2], True, False))
        elif piece.startswith("*"):
            out.append((piece[1:-1], False, True))
        elif piece:
            out.append((piece, False, False))
    return out


def plain(text: str) -> str:
    """The text without its inline marks."""
    return "".join(piece for piece, _, _ in runs(text))


def write_docx(source: Source, target: Path) -> None:
    """A Word document with real heading, list and table styles."""
    document = docx.Document()
    properties = document.core_properties
    properties.title, properties.author, properties.comments = source.title, source.author, ""
    properties.created = properties.modified = source.date
    document.add_heading(source.title, 0)
    for block in source.blocks:
        if block.kind == "heading":
            document.add_heading(block.lines[0], block.level - 1)
        elif block.kind == "page":
            document.add_page_break()
        elif block.kind == "table":
            rows = block.rows()
            table = document.add_table(len(rows), len(rows[0]), style="Light Grid Accent 1")
            for y, row in enumerate(rows):
                for x, cell in enumerate(row):
                    table.cell(y, x).text = plain(cell)
        else:
            style = {"bullets": "List Bullet", "numbers": "List Number"}.get(block.kind)
            for line in block.lines:
                paragraph = document.add_paragraph(style=style)
                for text, bold, italic in runs(line):
                    run = paragraph.add_run(text)
                    run.bold, run.italic = bold, italic
    document.save(str(target))


def write_pptx(source: Source, target: Path) -> None:
    """A presentation: a title slide, then one slide for each `##`."""
    deck = pptx.Presentation()
    properties = deck.core_properties
    properties.title, properties.author = source.title, source.author
    properties.last_modified_by = source.author
    properties.created = properties.modified = source.date
    slide = deck.slides.add_slide(deck.slide_layouts[0])
    slide.shapes.title.text = source.title
    slide.placeholders[1].text = source.blocks[0].lines[0]
    for position, block in enumerate(source.blocks[1:], start=1):
        if block.kind == "heading":
            with_table = source.blocks[position + 1].kind == "table"
            slide = deck.slides.add_slide(deck.slide_layouts[5 if with_table else 1])
            slide.shapes.title.text = block.lines[0]
        elif block.kind == "bullets":
            frame = slide.placeholders[1].text_frame
            frame.text = plain(block.lines[0])
            for line in block.lines[1:]:
                frame.add_paragraph().text = plain(line)
        elif block.kind == "table":
            rows = block.rows()
            place = [pptx.util.Inches(size) for size in (0.5, 1.6, 9, 3)]
            shape = slide.shapes.add_table(len(rows), len(rows[0]), *place)
            for y, row in enumerate(rows):
                for x, cell in enumerate(row):
                    shape.table.cell(y, x).text = plain(cell)
        elif block.lines[0].startswith("Notes: "):
            slide.notes_slide.notes_text_frame.text = block.lines[0].removeprefix("Notes: ")
        else:
            raise ValueError(f"{target.name}: a slide has no place for {block.kind!r}: {block.lines[0]!r}")
    deck.save(str(target))


def cell_value(text: str) -> str | int | float:
    """A workbook cell: whole and decimal numbers as numbers, everything else as text."""
    digits = text.replace(",", "")
    if re.fullmatch(r"-?\d+", digits):
        return int(digits)
    return float(digits) if re.fullmatch(r"-?\d+\.\d+", digits) else text


def write_xlsx(source: Source, target: Path) -> None:
    """A workbook: one sheet for each `##`, its remark in the first row, its table below."""
    book = openpyxl.Workbook()
    del book[book.sheetnames[0]]
    book.properties.title, book.properties.creator = source.title, source.author
    book.properties.created = source.date
    for block in source.blocks:
        if block.kind == "heading":
            sheet = book.create_sheet(block.lines[0])
        elif block.kind == "paragraph":
            sheet.append([block.lines[0]])
            sheet.append([])
        else:
            rows = block.rows()
            for row in rows:
                sheet.append([cell_value(cell) for cell in row])
            for cell in sheet[sheet.max_row - len(rows) + 1]:
                cell.font = Font(bold=True)
            for x in range(len(rows[0])):
                sheet.column_dimensions[get_column_letter(x + 1)].width = 4 + max(len(row[x]) for row in rows)
    book.save(str(target))


def write_pdf(source: Source, target: Path) -> None:
    """A paginated A4 document with a running header, page numbers and real tables."""
    styles = getSampleStyleSheet()
    body = styles["BodyText"]

    def markup(text: str) -> str:
        pieces = runs(text.replace("&", "&amp;"))
        return "".join(f"<b>{t}</b>" if bold else f"<i>{t}</i>" if italic else t for t, bold, italic in pieces)

    def decorate(canvas: Canvas, document: BaseDocTemplate) -> None:
        canvas.setFont("Helvetica", 8)
        canvas.drawString(2 * cm, A4[1] - 1.3 * cm, f"Sarnbeck Line - {source.title}")
        canvas.drawRightString(A4[0] - 2 * cm, 1.2 * cm, f"Page {document.page}")

    story: list[Flowable] = [Paragraph(source.title, styles["Title"])]
    for block in source.blocks:
        if block.kind == "heading":
            story.append(Paragraph(block.lines[0], styles[f"Heading{block.level}"]))
        elif block.kind == "page":
            story.append(PageBreak())
        elif block.kind == "table":
            rows = block.rows()
            longest = [max(7, *(len(cell) for cell in column)) for column in zip(*rows, strict=True)]
            widths = [min(0.6 + length * 0.19, 8) * cm for length in longest]
            cells = [[Paragraph(markup(cell), body) for cell in row] for row in rows]
            table = Table(cells, colWidths=widths, repeatRows=1, hAlign="LEFT")
            grid = ("GRID", (0, 0), (-1, -1), 0.4, colors.grey)
            shade = ("BACKGROUND", (0, 0), (-1, 0), colors.whitesmoke)
            table.setStyle(TableStyle([grid, shade, ("VALIGN", (0, 0), (-1, -1), "TOP")]))
            story += [table, Spacer(1, 0.3 * cm)]
        elif block.kind == "paragraph":
            story.append(Paragraph(markup(block.lines[0]), body))
        else:
            kind, form = ("bullet", "%s") if block.kind == "bullets" else ("1", "%s.")
            items = [Paragraph(markup(line), body) for line in block.lines]
            story.append(ListFlowable(items, bulletType=kind, bulletFormat=form, leftIndent=18))
    about = {"title": source.title, "author": source.author}
    document = BaseDocTemplate(str(target), pagesize=A4, invariant=1, **about)
    frame = Frame(2 * cm, 1.8 * cm, A4[0] - 4 * cm, A4[1] - 3.6 * cm)
    document.addPageTemplates(PageTemplate(frames=[frame], onPage=decorate))
    document.build(story)


def freeze(target: Path, date: datetime) -> None:
    """Rewrite an Office file with fixed times in it, so that its bytes repeat."""
    with zipfile.ZipFile(target) as archive:
        entries = [(name, archive.read(name)) for name in archive.namelist()]
    stamp = date.strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            is_core = name == "docProps/core.xml"
            fixed = re.sub(rb"(<dcterms:modified[^>]*>)[^<]*", rb"\g<1>" + stamp, data) if is_core else data
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), fixed, zipfile.ZIP_DEFLATED)


WRITERS = {".docx": write_docx, ".pptx": write_pptx, ".xlsx": write_xlsx, ".pdf": write_pdf}


def build(sources: Path = HERE / "sources", company: Path = HERE / "company") -> list[Path]:
    """Write every document that has a source; returns their paths."""
    written = []
    for path in sorted(sources.rglob("*.md")):
        target = company / path.relative_to(sources).with_suffix("")
        target.parent.mkdir(parents=True, exist_ok=True)
        source = read_source(path)
        WRITERS[target.suffix](source, target)
        if target.suffix != ".pdf":
            freeze(target, source.date)
        written.append(target)
    return written


if __name__ == "__main__":
    sys.stdout.write("".join(f"{path.relative_to(HERE)}\n" for path in build()))
