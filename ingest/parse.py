"""Files to text with structure. The only file that knows the ``unstructured`` library; everything runs
offline.

Word, PowerPoint and HTML are partitioned by it; Markdown, RST, Org, RTF, ODT, EPUB and mail bodies become HTML first,
old Office files what replaced them. Sheets, PDF, mails, pictures and plain text have files of their own, each saying why.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

# Before the import: its telemetry and its advertisement are read from the environment there.
os.environ.update(DO_NOT_TRACK="1", SCARF_NO_ANALYTICS="true", UNSTRUCTURED_DISABLE_NOTICE="1")

import unstructured.nlp.tokenize as unstructured_nlp
from unstructured.partition.docx import partition_docx
from unstructured.partition.html import partition_html
from unstructured.partition.pptx import partition_pptx

from infra.errors import FootnoteError, Unprocessable
from ingest import office, pandoc, tagger
from ingest.archive import as_plain_document, check_archive
from ingest.attachment import Attachment
from ingest.block import Block, assemble
from ingest.code import read_code
from ingest.context import Context
from ingest.data import read_json, read_xml
from ingest.decode import decode_text
from ingest.elements import ElementKind, ParsedDocument
from ingest.layout import blocks_of_lines
from ingest.mail import MailReaders, read_mail
from ingest.markup import markdown_to_html, split_front_matter, tidy_html
from ingest.mime import Format, Reader, detect_format, image_off
from ingest.msg import read_msg
from ingest.pdf import read_pdf
from ingest.sheet import read_xls, read_xlsx
from ingest.slides import tidy_pptx
from ingest.styles import HeadingStyles
from ingest.table import column_count, delimited_rows, html_rows, table_text
from ingest.text import read_text
from ingest.title import NO_TITLES, derived_title
from ingest.word import tidy_docx

if not hasattr(unstructured_nlp, "_get_nlp"):
    raise ImportError(
        "this version of unstructured loads its language model in a new way; ingest/parse.py must be adapted"
    )
_PIPELINE = tagger.load_pipeline()
unstructured_nlp._get_nlp = lambda: _PIPELINE  # type: ignore[assignment]

Read = tuple[list[Block], str | None]
_QUIET: dict[str, Any] = {"languages": [""]}  # no language detection: it is slow, and nothing here needs it
_PAGE_OF = re.compile(r"page[\s\d]*(?:of[\s\d]*)?", re.IGNORECASE)
_MARKER = re.compile(r"(?:[-*•–]|\(?\d{1,3}[.)]|\(?[A-Za-z][.)]|\(?[ivxIVX]{1,5}[.)])\s")
_ZIPPED = {Reader.DOCX, Reader.PPTX, Reader.XLSX, Reader.ODT, Reader.ODS, Reader.ODP, Reader.EPUB}


def parse(data: bytes, filename: str, content_type: str | None = None, *, ocr: str | None = None) -> ParsedDocument:
    """Read a file into one text and its elements.

    ``filename`` and ``content_type`` help to tell the format; ``ocr`` names Tesseract's languages (``eng+deu``) if
    pictures of text are to be read. Raises ``Unsupported`` (``unsupported_format``) or ``Unprocessable`` with
    ``empty_file``, ``encrypted``, ``malformed``, ``binary_content`` or ``no_text``. A damaged file may also take
    long or much memory: run this through ``ingest.sandbox``.
    """
    form, blocks, title = _read(data, filename, content_type, Context(ocr))
    parsed = assemble(blocks, form.mime, title)
    if not any(map(str.isalnum, parsed.text)):
        raise Unprocessable("No text was found in the file.", code="no_text")
    if parsed.title:
        return parsed
    return ParsedDocument(parsed.text, parsed.elements, parsed.mime, derived_title(parsed, filename))


def _read(
    data: bytes, filename: str, content_type: str | None, context: Context
) -> tuple[Format, list[Block], str | None]:
    """A file's format, its blocks and its title; raises as ``parse`` does."""
    kind = ""
    try:
        form = detect_format(data, filename, content_type)
        kind = f" as {form.reader.upper()}"
        if form.reader in _ZIPPED:
            check_archive(data)
        return form, *_READERS[form.reader](data, form, context)
    except FootnoteError:
        raise
    except MemoryError as error:
        raise Unprocessable("Reading the file took too much memory.", code="parse_memory") from error
    except RecursionError as error:
        raise Unprocessable("The file is nested too deeply to be read.", code="malformed") from error
    except Exception as error:  # whatever a third-party reader raises on a damaged file costs that file only
        name = type(error).__name__ if type(error).__name__ != "error" else f"{type(error).__module__}.error"
        raise Unprocessable(f"The file is damaged: it cannot be read{kind} ({name}).", code="malformed") from error


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


def _markdown(data: bytes, _: Format, __: Context) -> Read:
    meta, body = split_front_matter(decode_text(data))
    blocks, _title = _html_blocks(markdown_to_html(body))
    title = meta.get("title")
    return blocks, title if isinstance(title, str) else None


def _html(data: bytes, _: Format, __: Context) -> Read:
    return _html_blocks(decode_text(data))


def _through_pandoc(data: bytes, form: Format, _: Context) -> Read:
    blocks, title = _html_blocks(pandoc.to_html(data, form.reader))
    if form.reader is Reader.ODT:
        title = pandoc.odt_title(data)
    return blocks, None if title is not None and title.lower() in NO_TITLES else title


def _office(data: bytes, form: Format, context: Context) -> Read:
    """What LibreOffice converts is read as what it became; without it, old files are read by another library."""
    if program := office.find_libreoffice():
        modern = office.MODERN[form.reader]
        return _READERS[modern](office.modernise(data, form.reader, program), form, context)
    pages = [_html_blocks(page)[0] for page in office.read_without_libreoffice(data, form.reader)]
    if form.reader is Reader.DOC:
        return pages[0], None
    return [replace(block, page=number) for number, page in enumerate(pages, 1) for block in page], None


def _delimited(data: bytes, form: Format, _: Context) -> Read:
    rows = delimited_rows(decode_text(data), form.mime == "text/tab-separated-values")
    return [Block(ElementKind.TABLE, table_text(rows))], None


def _docx(data: bytes, _: Format, __: Context) -> Read:
    data = tidy_docx(as_plain_document(data))
    styles = HeadingStyles(data)
    blocks: list[Block] = []
    first_page: dict[str, None] = {}
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
            if element.metadata.header_footer_type == "first_page":
                first_page[text] = None
        elif kind != "PageBreak":
            blocks.append(Block(ElementKind.PARAGRAPH, text))
    # What runs above and below each page is no text of the document. A letterhead, on the first page only, is.
    said = [text for text in first_page if len(text.split()) > 1 and not _PAGE_OF.fullmatch(text)]
    return blocks + [Block(ElementKind.PARAGRAPH, text) for text in said], styles.title


def _pptx(data: bytes, _: Format, __: Context) -> Read:
    """A slide's title first, then its shapes, then the speaker's notes."""
    data, notes = tidy_pptx(as_plain_document(data))
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


def _readers_of_mail(context: Context) -> MailReaders:
    deeper = replace(context, depth=context.depth + 1)

    def attached(file: Attachment) -> list[Block]:
        return _read(file.data, file.name, file.mime, deeper)[1]

    return MailReaders(html=lambda body: _html_blocks(body)[0], text=read_text, attachment=attached)


def _image(data: bytes, _: Format, context: Context) -> Read:
    if context.ocr is None:
        raise image_off()
    # Here and not above: its libraries are an extra, and need not be installed where recognition is off.
    from ingest.ocr import recognise_image  # noqa: PLC0415

    return blocks_of_lines([line for _, lines in recognise_image(data, context.ocr) for line in lines]), None


_READERS: dict[Reader, Callable[[bytes, Format, Context], Read]] = {
    Reader.MARKDOWN: _markdown,
    Reader.HTML: _html,
    Reader.TEXT: lambda data, _, __: (read_text(decode_text(data)), None),
    Reader.CODE: lambda data, _, __: (read_code(decode_text(data)), None),
    Reader.RST: _through_pandoc,
    Reader.ORG: _through_pandoc,
    Reader.RTF: _through_pandoc,
    Reader.ODT: _through_pandoc,
    Reader.EPUB: _through_pandoc,
    Reader.DOCX: _docx,
    Reader.PPTX: _pptx,
    Reader.XLSX: lambda data, _, __: (read_xlsx(data), None),
    Reader.XLS: lambda data, _, __: (read_xls(data), None),
    Reader.DOC: _office,
    Reader.PPT: _office,
    Reader.ODS: _office,
    Reader.ODP: _office,
    Reader.CSV: _delimited,
    Reader.EML: lambda data, _, context: read_mail(data, _readers_of_mail(context), context.depth),
    Reader.MSG: lambda data, _, context: read_msg(data, _readers_of_mail(context), context.depth),
    Reader.XML: lambda data, _, __: (read_xml(data), None),
    Reader.JSON: lambda data, _, __: (read_json(decode_text(data)), None),
    Reader.PDF: lambda data, _, context: read_pdf(data, context.ocr),
    Reader.IMAGE: _image,
}
