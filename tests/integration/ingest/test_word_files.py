"""Word and PowerPoint files whose text lies where the partitioner does not look, or is none."""

from __future__ import annotations

import copy
import io
import zipfile
from collections.abc import Callable

import docx
import pptx
import pytest
from docx.oxml import parse_xml
from sample_files import saved, sheet, slides, through_pandoc, word

from ingest.elements import ParsedDocument
from ingest.parse import parse

NAMES = (
    'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    ' xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    ' xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape" xmlns:v="urn:schemas-microsoft-com:vml"'
)
OFFICE = "application/vnd.openxmlformats-officedocument."


def texts(parsed: ParsedDocument) -> list[str]:
    return [parsed.text[e.start : e.end] for e in parsed.elements]


def part(markup: str) -> object:
    head, _, rest = markup.partition(">")
    return parse_xml(f"{head} {NAMES}>{rest}")


def run(text: str) -> str:
    return f"<w:r><w:t>{text}</w:t></w:r>"


def test_notes_stand_where_they_are_referred_to() -> None:
    parsed = parse(through_pandoc("docx"), "a.docx")
    found = texts(parsed)
    place = found.index("Everyone has leave.[1]")
    assert found[place + 1] == "[1] Except in May."


def test_changes_text_boxes_and_controls_are_read_as_a_reader_sees_them() -> None:
    document = docx.Document()
    paragraph = document.add_paragraph("Kept ")
    paragraph._p.append(part(f'<w:ins w:id="1" w:author="a">{run("inserted")}</w:ins>'))
    paragraph._p.append(part('<w:del w:id="2" w:author="a"><w:r><w:delText>deleted</w:delText></w:r></w:del>'))
    box = f"<w:txbxContent><w:p>{run('In a box.')}</w:p></w:txbxContent>"
    paragraph._p.append(
        part(
            f"<w:r><mc:AlternateContent><mc:Choice Requires='wps'><w:drawing><wps:txbx>{box}</wps:txbx></w:drawing></mc:Choice>"
            f"<mc:Fallback><w:pict><v:textbox>{box}</v:textbox></w:pict></mc:Fallback></mc:AlternateContent></w:r>"
        )
    )
    body = document.element.body
    body.insert(1, part(f"<w:sdt><w:sdtPr/><w:sdtContent><w:p>{run('In a control.')}</w:p></w:sdtContent></w:sdt>"))
    contents = "<w:sdtPr><w:docPartObj><w:docPartGallery w:val='Table of Contents'/></w:docPartObj></w:sdtPr>"
    body.insert(0, part(f"<w:sdt>{contents}<w:sdtContent><w:p>{run('Leave 3')}</w:p></w:sdtContent></w:sdt>"))
    assert texts(parse(saved(document), "a.docx")) == ["Kept inserted", "In a box.", "In a control."]


def test_running_heads_go_and_a_letterhead_stays() -> None:
    document = docx.Document()
    document.add_paragraph("Dear all, the office is closed.")
    section = document.sections[0]
    section.different_first_page_header_footer = True
    section.header.paragraphs[0].text = "For internal use"
    section.footer.paragraphs[0].text = "Page 3 of 7"
    section.first_page_header.paragraphs[0].text = "Sarnbeck Line, 14 Capstan Row"
    assert texts(parse(saved(document), "a.docx")) == [
        "Dear all, the office is closed.",
        "Sarnbeck Line, 14 Capstan Row",
    ]


def test_slides_lose_their_dates_numbers_and_footers() -> None:
    deck = pptx.Presentation()
    layout = deck.slide_layouts[1]
    slide = deck.slides.add_slide(layout)
    slide.shapes.title.text, slide.placeholders[1].text = "Plan", "Bring a coat"
    for each in layout.placeholders:
        if each.placeholder_format.idx in {10, 11, 12}:
            slide.shapes._spTree.append(copy.deepcopy(each._element))
    for each in slide.placeholders:
        if each.placeholder_format.idx in {10, 11, 12}:
            each.text_frame.text = {10: "22 May", 11: "Confidential", 12: "7"}[each.placeholder_format.idx]
    assert texts(parse(saved(deck), "a.pptx")) == ["Plan", "Bring a coat"]


def declared(data: bytes, plain: str, kind: str, folder: str) -> bytes:
    """The same document as one with macros, or a template, as its types say."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(target, "w") as copied:
        for name in source.namelist():
            content = source.read(name)
            if name == "[Content_Types].xml":
                assert (OFFICE + plain).encode() in content
                content = content.replace((OFFICE + plain).encode(), kind.encode())
            copied.writestr(name, content)
        copied.writestr(f"{folder}/vbaProject.bin", b"Sub AutoOpen() Shell evil End Sub")
    return target.getvalue()


WORD, DECK, BOOK = (
    "wordprocessingml.document.main+xml",
    "presentationml.presentation.main+xml",
    "spreadsheetml.sheet.main+xml",
)


@pytest.mark.parametrize(
    ("write", "plain", "kind", "folder", "ending"),
    [
        (word, WORD, "application/vnd.ms-word.document.macroEnabled.main+xml", "word", "docm"),
        (word, WORD, f"{OFFICE}wordprocessingml.template.main+xml", "word", "dotx"),
        (slides, DECK, "application/vnd.ms-powerpoint.presentation.macroEnabled.main+xml", "ppt", "pptm"),
        (slides, DECK, f"{OFFICE}presentationml.slideshow.main+xml", "ppt", "ppsx"),
        (sheet, BOOK, "application/vnd.ms-excel.sheet.macroEnabled.main+xml", "xl", "xlsm"),
    ],
)
def test_files_with_macros_and_templates_read_as_plain_ones(
    write: Callable[[], bytes], plain: str, kind: str, folder: str, ending: str
) -> None:
    data = write()
    parsed = parse(declared(data, plain, kind, folder), f"a.{ending}")
    assert parsed.text == parse(data, f"a.{plain[0]}").text
    assert "AutoOpen" not in parsed.text
