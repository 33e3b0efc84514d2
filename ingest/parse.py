"""Files to text with structure. The only file that knows the ``unstructured`` library; everything runs
offline.

Word, PowerPoint, HTML and Outlook messages are partitioned by it; Markdown, RST, Org, RTF, ODT, EPUB and
mail bodies become HTML first. Sheets, PDF and plain text have files of their own, each saying why.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any

# Before the import: its telemetry and its advertisement are read from the environment there.
os.environ.update(DO_NOT_TRACK="1", SCARF_NO_ANALYTICS="true", UNSTRUCTURED_DISABLE_NOTICE="1")

import pptx
import unstructured.nlp.tokenize as unstructured_nlp
from unstructured.file_utils.file_conversion import convert_file_to_html_text_using_pandoc
from unstructured.partition.docx import partition_docx
from unstructured.partition.html import partition_html
from unstructured.partition.msg import partition_msg
from unstructured.partition.pptx import partition_pptx

from infra.errors import FootnoteError, Unprocessable
from ingest import tagger
from ingest.archive import check_archive
from ingest.block import Block, assemble
from ingest.data import read_json, read_xml
from ingest.decode import decode_text
from ingest.elements import ElementKind, ParsedDocument
from ingest.mail import header_block, read_mail
from ingest.markup import markdown_to_html, split_front_matter, tidy_html
from ingest.mime import Format, Reader, detect_format
from ingest.pdf import read_pdf
from ingest.sheet import read_xls, read_xlsx
from ingest.styles import HeadingStyles
from ingest.table import column_count, delimited_rows, html_rows, table_text
from ingest.text import read_text
from ingest.title import SECTION

if not hasattr(unstructured_nlp, "_get_nlp"):
    raise ImportError(
        "this version of unstructured loads its language model in a new way; ingest/parse.py must be adapted"
    )
_PIPELINE = tagger.load_pipeline()
unstructured_nlp._get_nlp = lambda: _PIPELINE  # type: ignore[assignment]

Read = tuple[list[Block], str | None]
_QUIET: dict[str, Any] = {"languages": [""]}  # no language detection: it is slow, and nothing here needs it
_PAGE_OF = re.compile(r"page[\s\d]*(?:of[\s\d]*)?", re.IGNORECASE)
_TITLE_LINES = 3
_TITLE_LENGTH = 200
_MARKER = re.compile(r"(?:[-*•–]|\(?\d{1,3}[.)]|\(?[A-Za-z][.)]|\(?[ivxIVX]{1,5}[.)])\s")
_ZIPPED = {Reader.DOCX, Reader.PPTX, Reader.XLSX, Reader.ODT, Reader.EPUB}


def parse(data: bytes, filename: str, content_type: str | None = None) -> ParsedDocument:
    """Read a file into one text and its elements.

    ``filename`` and ``content_type`` help to tell the format. Raises ``Unsupported``
    (``unsupported_format``) or ``Unprocessable`` with ``empty_file``, ``encrypted``, ``malformed``,
    ``binary_content`` or ``no_text``. A damaged file may also take long or much memory: run this through
    ``ingest.sandbox``.
    """
    form = detect_format(data, filename, content_type)
    if form.reader in _ZIPPED:
        check_archive(data)
    try:
        blocks, title = _READERS[form.reader](data, form)
    except FootnoteError:
        raise
    except (MemoryError, RecursionError) as error:
        raise Unprocessable("Reading the file took too much memory.", code="parse_memory") from error
    except Exception as error:  # whatever a third-party reader raises on a damaged file costs that file only
        raise Unprocessable(
            f"The file is damaged: it cannot be read as {form.reader.upper()} ({type(error).__name__}).",
            code="malformed",
        ) from error
    parsed = assemble(blocks, form.mime, title)
    if not any(map(str.isalnum, parsed.text)):
        raise Unprocessable("No text was found in the file.", code="no_text")
    if parsed.title:
        return parsed
    return ParsedDocument(parsed.text, parsed.elements, parsed.mime, _derived_title(parsed, filename))


def _derived_title(parsed: ParsedDocument, filename: str) -> str | None:
    """The headings that a document begins with (a title page may break them), else the file's name without its ending."""
    names: list[str] = []
    for element in parsed.elements[:_TITLE_LINES]:
        if element.kind is not ElementKind.HEADING or parsed.mime in _SHEETS:
            break
        if names and (parsed.mime != "application/pdf" or element.page != 1):
            break
        name = " ".join(parsed.text[element.start : element.end].split())
        if names and SECTION.match(name):
            break
        names.append(name)
    if names and len(" ".join(names)) <= _TITLE_LENGTH:
        return " ".join(names)
    return names[0][:_TITLE_LENGTH] if names else PurePosixPath(filename.replace("\\", "/")).stem or None


_SHEETS = {"application/vnd.ms-excel", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}


# -- elements of the library to blocks
# ----------------------------------------------------------------------------------------


def _blocks(elements: list[Any]) -> Iterator[Block]:
    """Blocks of an HTML partition, where a heading is a heading and a list item's depth counts from 1."""
    for element in elements:
        text, depth = element.text or "", element.metadata.category_depth
        match element.category:
            case "Title":
                yield Block(ElementKind.HEADING, text.rstrip(" ¶"), level=(depth or 0) + 1)
            case "ListItem":
                yield _item(text, max(0, (depth or 1) - 1))
            case "Table":
                yield from _table(element)
            case "CodeSnippet":
                yield Block(ElementKind.CODE, text)
            case "PageBreak":
                continue
            case _:
                yield Block(ElementKind.PARAGRAPH, text)


def _item(text: str, depth: int, page: int | None = None) -> Block:
    text = text.strip()
    marked = text if _MARKER.match(text) else f"- {text}"
    return (
        Block(ElementKind.LIST_ITEM, "  " * min(depth, 8) + marked, page=page)
        if text
        else Block(ElementKind.PARAGRAPH, "")
    )


def _table(element: Any, page: int | None = None) -> Iterator[Block]:
    rows = html_rows(element.metadata.text_as_html or "")
    if not rows:
        yield Block(ElementKind.PARAGRAPH, element.text, page=page)
    elif column_count(rows) == 1:  # used for layout
        yield from (Block(ElementKind.PARAGRAPH, " ".join(row), page=page) for row in rows)
    else:
        yield Block(ElementKind.TABLE, table_text(rows), page=page)


def _html_blocks(markup: str) -> Read:
    if not markup.strip():
        return [], None
    tidied, title = tidy_html(markup)
    return list(_blocks(partition_html(text=tidied, **_QUIET))), title


# -- one reader a format
# -------------------------------------------------------------------------------------------------------


def _markdown(data: bytes, _: Format) -> Read:
    meta, body = split_front_matter(decode_text(data))
    blocks, _title = _html_blocks(markdown_to_html(body))
    title = meta.get("title")
    return blocks, title if isinstance(title, str) else None


def _html(data: bytes, _: Format) -> Read:
    return _html_blocks(decode_text(data))


def _through_pandoc(data: bytes, form: Format) -> Read:
    file: io.BytesIO = io.BytesIO(data)
    if form.reader in {Reader.RST, Reader.ORG}:
        file = io.BytesIO(decode_text(data).encode("utf-8"))
    return _html_blocks(convert_file_to_html_text_using_pandoc(source_format=str(form.reader), file=file))


def _text(data: bytes, _: Format) -> Read:
    return read_text(decode_text(data)), None


def _code(data: bytes, _: Format) -> Read:
    parts = re.split(r"\n[ \t]*\n+", decode_text(data).replace("\r\n", "\n"))
    return [Block(ElementKind.CODE, part) for part in parts], None


def _docx(data: bytes, _: Format) -> Read:
    styles = HeadingStyles(data)
    blocks: list[Block] = []
    running: dict[str, None] = {}
    for element in partition_docx(file=io.BytesIO(data), **_QUIET):
        text, kind = element.text or "", element.category
        level = styles.level(text) if kind not in {"Table", "Header", "Footer"} else None
        if level is not None:
            blocks.append(Block(ElementKind.HEADING, text, level=level))
        elif kind == "ListItem":
            blocks.append(_item(text, element.metadata.category_depth or 0))
        elif kind == "Table":
            blocks += _table(element)
        elif kind in {"Header", "Footer"}:
            running[text] = None
        elif kind != "PageBreak":
            blocks.append(Block(ElementKind.PARAGRAPH, text))
    # What stands above and below each page is said once, at the end.
    said = [text for text in running if len(text.split()) > 1 and not _PAGE_OF.fullmatch(text)]
    return blocks + [Block(ElementKind.PARAGRAPH, text) for text in said], styles.title


def _pptx(data: bytes, _: Format) -> Read:
    """A slide's title first, then its shapes, then the speaker's notes."""
    notes = {
        number: slide.notes_slide.notes_text_frame.text
        for number, slide in enumerate(pptx.Presentation(io.BytesIO(data)).slides, 1)
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None
    }
    slides: dict[int, list[Block]] = {number: [] for number in notes}
    for element in partition_pptx(file=io.BytesIO(data), include_slide_notes=False, **_QUIET):
        text, page, depth = (
            element.text or "",
            element.metadata.page_number or 1,
            element.metadata.category_depth,
        )
        slide = slides.setdefault(page, [])
        if element.category == "Title" and depth == 0:
            titled = sum(block.kind is ElementKind.HEADING for block in slide)
            slide.insert(titled, Block(ElementKind.HEADING, text, level=min(titled, 1) + 1, page=page))
        elif element.category == "ListItem":
            slide.append(_item(text, depth or 0, page))
        elif element.category == "Table":
            slide += _table(element, page)
        elif element.category != "PageBreak":
            slide.append(Block(ElementKind.PARAGRAPH, text, page=page))
    blocks: list[Block] = []
    for page in sorted(slides):
        blocks += slides[page]
        if notes.get(page, "").strip():
            blocks.append(Block(ElementKind.PARAGRAPH, f"Speaker notes: {notes[page].strip()}", page=page))
    return blocks, None


def _msg(data: bytes, _: Format) -> Read:
    elements = partition_msg(file=io.BytesIO(data), process_attachments=False, **_QUIET)
    blocks: list[Block] = []
    subject = None
    if elements:
        meta = elements[0].metadata
        subject = meta.subject
        fields = [("From", ", ".join(meta.sent_from or [])), ("To", ", ".join(meta.sent_to or []))]
        head = header_block([*fields, ("Cc", ", ".join(meta.cc_recipient or [])), ("Date", meta.last_modified or "")])
        blocks += [Block(ElementKind.HEADING, subject, level=1)] if subject else []
        blocks += [head] if head else []
    return blocks + list(_blocks(elements)), subject


_READERS: dict[Reader, Callable[[bytes, Format], Read]] = {
    Reader.MARKDOWN: _markdown,
    Reader.HTML: _html,
    Reader.TEXT: _text,
    Reader.CODE: _code,
    Reader.RST: _through_pandoc,
    Reader.ORG: _through_pandoc,
    Reader.RTF: _through_pandoc,
    Reader.ODT: _through_pandoc,
    Reader.EPUB: _through_pandoc,
    Reader.DOCX: _docx,
    Reader.PPTX: _pptx,
    Reader.XLSX: lambda data, _: (read_xlsx(data), None),
    Reader.XLS: lambda data, _: (read_xls(data), None),
    Reader.CSV: lambda data, form: (
        [
            Block(
                ElementKind.TABLE,
                table_text(delimited_rows(decode_text(data), form.mime == "text/tab-separated-values")),
            )
        ],
        None,
    ),
    Reader.EML: lambda data, _: read_mail(data, lambda body: _html_blocks(body)[0], read_text),
    Reader.MSG: _msg,
    Reader.XML: lambda data, _: (read_xml(data), None),
    Reader.JSON: lambda data, _: (read_json(decode_text(data)), None),
    Reader.PDF: lambda data, _: read_pdf(data),
}
