"""Every format through the real readers, offline: what a person sees in the file is in the text, in its place."""

from __future__ import annotations

import io
import json
import socket
import zipfile
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

import docx
import openpyxl
import pptx
import pytest
import unstructured.nlp.tokenize as unstructured_nlp
from pypdf import PdfWriter
from sample_files import through_pandoc

from infra.errors import Unprocessable, Unsupported
from ingest.elements import ElementKind, ParsedDocument
from ingest.parse import parse

COMPANY = Path(__file__).parents[3] / "evals" / "data" / "company"
TABLE = "Name | Days\nAnn | 27\nBo | 32"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a parser opened a network connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def lines(parsed: ParsedDocument) -> list[tuple[str, str]]:
    return [(element.kind.value, parsed.text[element.start : element.end]) for element in parsed.elements]


def headings(parsed: ParsedDocument) -> list[tuple[int | None, str]]:
    return [
        (element.level, parsed.text[element.start : element.end])
        for element in parsed.elements
        if element.kind is ElementKind.HEADING
    ]


def check_ranges(parsed: ParsedDocument) -> None:
    end = 0
    for element in parsed.elements:
        assert end <= element.start < element.end <= len(parsed.text)
        assert not parsed.text[end : element.start].strip()
        end = element.end
    assert "\x00" not in parsed.text
    assert "\r" not in parsed.text
    parsed.text.encode("utf-8")


def saved(document: object) -> bytes:
    buffer = io.BytesIO()
    document.save(buffer)  # type: ignore[attr-defined]
    return buffer.getvalue()


# -- the language model trap ---------------------------------------------------------------------------------------------------


def test_the_librarys_language_model_is_ours_and_nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise AssertionError("the parsing library tried to download its language model")

    monkeypatch.setattr(unstructured_nlp, "_install_spacy_model", refuse)
    assert unstructured_nlp.sent_tokenize("One sentence. And another.") == ["One sentence.", "And another."]
    assert ("closed", "VB") in unstructured_nlp.pos_tag("The office closed early") or unstructured_nlp.pos_tag("closed")
    parsed = parse(b"<p>The office is closed on Friday. It opens on Monday.</p>", "a.html")
    assert parsed.text == "The office is closed on Friday. It opens on Monday."


def test_a_pdf_with_text_never_comes_back_empty() -> None:
    parsed = parse((COMPANY / "legal" / "conditions-of-carriage.pdf").read_bytes(), "c.pdf")
    assert len(parsed.elements) > 40
    assert "Sarnbeck Line, a registered cooperative at 14 Capstan Row, Dresmouth" in parsed.text


# -- text formats --------------------------------------------------------------------------------------------------------------


def test_markdown() -> None:
    source = (
        "---\ntitle: Leave policy\nowner: People\n---\n# Leave\n\nIntro that\ncontinues:\n- a\n  - b\n\n1. one\n2. two\n\n"
        "## Table\n\n| Name | Days |\n|---|---|\n| Ann | 27 |\n| Bo | 32 |\n\n```sh\nrun it\n  now\n```\n"
    )
    parsed = parse(source.encode(), "leave.md")
    check_ranges(parsed)
    assert parsed.title == "Leave policy"
    assert parsed.mime == "text/markdown"
    assert lines(parsed) == [
        ("heading", "Leave"),
        ("paragraph", "Intro that continues:"),
        ("list_item", "- a"),
        ("list_item", "- b"),
        ("list_item", "1. one"),
        ("list_item", "2. two"),
        ("heading", "Table"),
        ("table", TABLE),
        ("code", "run it\n  now"),
    ]
    assert headings(parsed) == [(1, "Leave"), (2, "Table")]
    assert "- a\n  - b\n1. one" in parsed.text


def test_html() -> None:
    source = (
        "<html><head><title>The page</title><script>bad()</script></head>"
        "<body><nav>Menu</nav><h1>Head</h1><p>Some <b>bold</b> text.</p>"
        "<ol><li>first</li><li>second</li></ol><table><tr><th>Name</th><th>Days</th></tr><tr><td>Ann</td><td>27</td></tr>"
        "<tr><td>Bo</td><td>32</td></tr></table><details><summary>More</summary>Folded.</details></body></html>"
    )
    parsed = parse(source.encode(), "page.html")
    check_ranges(parsed)
    assert parsed.title == "The page"
    assert lines(parsed) == [
        ("heading", "Head"),
        ("paragraph", "Some bold text."),
        ("list_item", "1. first"),
        ("list_item", "2. second"),
        ("table", TABLE),
        ("paragraph", "More"),
        ("paragraph", "Folded."),
    ]


@pytest.mark.parametrize(
    ("filename", "source"),
    [
        ("a.rst", "Head\n====\n\nSome *text* here.\n\nSub\n---\n\n- one\n- two\n"),
        ("a.org", "* Head\nSome /text/ here.\n** Sub\n- one\n- two\n"),
        ("a.rtf", r"{\rtf1\ansi {\pard\outlinelevel0 Head\par}{\pard Some text here.\par}}"),
    ],
)
def test_through_pandoc(filename: str, source: str) -> None:
    parsed = parse(source.encode(), filename)
    check_ranges(parsed)
    assert "Head" in parsed.text
    assert "Some text here." in parsed.text
    if not filename.endswith("rtf"):
        assert headings(parsed) == [(1, "Head"), (2, "Sub")]
        assert "- one\n- two" in parsed.text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_text_in_any_encoding(encoding: str) -> None:
    parsed = parse("Grüße aus Köln.\r\n\r\nBis bald!\r\n".encode(encoding), "gruss.txt")
    assert parsed.text == "Grüße aus Köln.\n\nBis bald!"
    assert parsed.title == "gruss"


@pytest.mark.parametrize(
    ("form", "title"), [("rst", True), ("org", True), ("odt", True), ("epub", True), ("rtf", False)]
)
def test_converted_formats_keep_titles_notes_lists_tables_and_code(form: str, title: bool) -> None:
    parsed = parse(through_pandoc(form), f"a.{form}")
    check_ranges(parsed)
    assert parsed.title == ("Leave policy" if title else "a")
    found = lines(parsed)
    assert ("list_item", "- first") in found
    assert ("table", TABLE) in found
    assert [text for _, text in headings(parsed)][-2:] == ["Leave", "Days"]
    assert "print('days')" in parsed.text
    if form != "rtf":  # pandoc writes notes there that no reader shows
        place = found.index(("paragraph", "Everyone has leave.[1]"))
        assert found[place + 1] == ("paragraph", "[1] Except in May.")


def test_rtf_notes_and_running_heads_as_word_writes_them() -> None:
    body = r"Everyone has leave.{\super\chftn}{\footnote\pard\plain {\super\chftn} Except in May.} More."
    source = r"{\rtf1\ansi{\header\pard Running\par}{\footer Foot\par}{\info{\title My title}}\pard " + body + r"\par}"
    parsed = parse(source.encode(), "a.rtf")
    assert parsed.text == "Everyone has leave.[1] More.\n\n[1] Except in May."
    assert parsed.title == "My title"


def test_csv_and_tsv() -> None:
    assert parse(b"Name,Days\nAnn,27\nBo,32\n", "a.csv").text == TABLE
    assert parse("Name\tDays\nAnn\t27\nBo\t32\n".encode("utf-16"), "a.tsv").text == TABLE


def test_json_and_ndjson_are_readable_records() -> None:
    parsed = parse(json.dumps([{"name": "Ann", "days": 27}, {"name": "Bo", "tags": ["x"]}]).encode(), "a.json")
    assert [text for _, text in lines(parsed)] == ["name: Ann\ndays: 27", "name: Bo\ntags:\n- x"]
    assert parse(b'{"a": 1}\n{"a": 2}\n', "a.ndjson").text == "a: 1\n\na: 2"


def test_xml_shows_tags_and_expands_no_entity() -> None:
    source = b"<staff><person id='7'><name>Ann</name><days>27</days></person><note>Be <b>kind</b>.</note></staff>"
    assert [text for _, text in lines(parse(source, "a.xml"))] == ["person id: 7\nname: Ann\ndays: 27", "Be kind ."]
    bomb = (
        '<!DOCTYPE a [<!ENTITY a "'
        + "x" * 1000
        + '">'
        + "".join(f'<!ENTITY {name} "{f"&{before};" * 50}">' for before, name in zip("abcde", "bcdef", strict=True))
    )
    with pytest.raises(Unprocessable):
        parse(f"{bomb}]><r>&f;</r>".encode(), "a.xml")


def test_code_is_kept_to_the_letter() -> None:
    source = "a:\n  - b: 1\n\nc:   2  # two"
    parsed = parse(source.encode(), "a.yaml")
    assert parsed.text == source
    assert {kind for kind, _ in lines(parsed)} == {"code"}


# -- office formats ------------------------------------------------------------------------------------------------------------


def test_docx() -> None:
    document = docx.Document()
    document.add_heading("Leave policy", 0)
    document.add_heading("Accrual", 1)
    document.add_paragraph("Short Words In Capitals")
    document.add_paragraph("Everyone has leave.")
    document.add_heading("Details", 2)
    document.add_paragraph("first", style="List Bullet")
    table = document.add_table(3, 2)
    for row, cells in zip(table.rows, [("Name", "Days"), ("Ann", "27"), ("Bo", "32")], strict=True):
        for cell, text in zip(row.cells, cells, strict=True):
            cell.text = text
    document.sections[0].header.paragraphs[0].text = "Internal use only"
    parsed = parse(saved(document), "leave.docx")
    check_ranges(parsed)
    assert headings(parsed) == [(1, "Leave policy"), (2, "Accrual"), (3, "Details")]
    assert ("paragraph", "Short Words In Capitals") in lines(parsed)
    assert ("list_item", "- first") in lines(parsed)
    assert ("table", TABLE) in lines(parsed)
    assert "Internal use only" not in parsed.text  # it runs above every page
    assert parsed.title == "Leave policy"


def test_pptx() -> None:
    deck = pptx.Presentation()
    for title, body, notes in [("Plan", "Bring a coat", "Say hello"), ("Dates", "Come in May", "")]:
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = body
        if notes:
            slide.notes_slide.notes_text_frame.text = notes
    parsed = parse(saved(deck), "deck.pptx")
    check_ranges(parsed)
    assert headings(parsed) == [(1, "Plan"), (1, "Dates")]
    assert parsed.text == "Plan\n\nBring a coat\n\nSpeaker notes: Say hello\n\nDates\n\nCome in May"
    assert [element.page for element in parsed.elements] == [1, 1, 1, 2, 2]


def test_xlsx_shows_cells_as_a_person_sees_them() -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Rates"
    sheet.append(["All amounts in euro."])
    sheet.append(["Item", "Share", "Price", "From", "Code"])
    sheet.append(["Tea", 0.15, 1234.5, "x", "007"])
    sheet["B3"].number_format = "0%"
    sheet["C3"].number_format = '#,##0.00 "€"'
    sheet.append(["Milk", 0.125, 3, "y", 12])
    sheet["B4"].number_format = "0.0%"
    hidden = book.create_sheet("Hidden")
    hidden["A1"] = "secret"
    hidden.sheet_state = "hidden"
    second = book.create_sheet("Other")
    second.append(["a", "b"])
    second.append([1, 2.5])
    parsed = parse(saved(book), "rates.xlsx")
    check_ranges(parsed)
    assert headings(parsed) == [(1, "Rates"), (1, "Other")]
    assert "All amounts in euro." in parsed.text
    assert (
        "Item | Share | Price | From | Code\nTea | 15% | 1,234.50 € | x | 007\nMilk | 12.5% | 3 | y | 12" in parsed.text
    )
    assert "a | b\n1 | 2.5" in parsed.text
    assert "secret" not in parsed.text
    assert {element.page for element in parsed.elements} == {1, 2}
    assert parsed.title == "rates"


def test_eml() -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "Ann <ann@example.org>", "all@example.org", "The lift – again"
    message.set_content("plain")
    message.add_alternative("<p>The lift stops <b>here</b>.</p><ul><li>not there</li></ul>", subtype="html")
    message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="plan.pdf")
    parsed = parse(message.as_bytes(), "m.eml")
    check_ranges(parsed)
    assert parsed.title == "The lift – again"
    assert parsed.text == (
        "The lift – again\n\nFrom: Ann <ann@example.org>\nTo: all@example.org\n\nThe lift stops here.\n\n- not there\n\n"
        "Attachment not read: plan.pdf. The file is called .pdf, but its content is not: it is damaged or has the wrong name."
    )


# -- PDF -----------------------------------------------------------------------------------------------------------------------


def test_pdf_headings_pages_lists_and_tables() -> None:
    parsed = parse((COMPANY / "engineering" / "brindle-4-maintenance-manual.pdf").read_bytes(), "m.pdf")
    check_ranges(parsed)
    assert parsed.title == "Brindle 4 maintenance manual"
    found = headings(parsed)
    assert (2, "2. Inspections") in found
    assert (3, "3.4 Brake fault codes") in found
    assert (
        "Inspection | Every | Time needed | Where\nDaily look | day, by the driver | 12 minutes | depot" in parsed.text
    )
    assert "3. Test the bell, the horn and both lamps.\n4. Read the battery state." in parsed.text
    pages = {parsed.text[e.start : e.end]: e.page for e in parsed.elements}
    assert pages["1.1 Main data"] == 1
    assert pages["4.3 Replacing a module"] == 3
    # The running head returns on each page, and is in the text of none.
    assert "Sarnbeck Line - Brindle" not in parsed.text


def test_pdf_items_are_one_piece_with_their_numbers() -> None:
    parsed = parse((COMPANY / "finance" / "quarterly-report-q2-2026.pdf").read_bytes(), "q.pdf")
    first = next(text for kind, text in lines(parsed) if kind == "list_item")
    assert first.startswith(
        "1. Old Tolliver. Until the haul cable is replaced in November, each day without the crossing costs"
    )
    assert first.endswith("costs about SN 12,300 in lost income and vans.")


# -- files that cannot be read -------------------------------------------------------------------------------------------------


def pdf(change: Callable[[PdfWriter], object]) -> bytes:
    writer = PdfWriter()
    writer.add_blank_page(200, 200)
    change(writer)
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "x")
        archive.writestr("word/document.xml", bytes(64 << 20))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "filename", "code"),
    [
        (b"", "a.md", "empty_file"),
        (b"\n \n", "a.txt", "empty_file"),
        (b"---\ntitle: only\n---\n", "a.md", "no_text"),
        (b"<html><body></body></html>", "a.html", "no_text"),
        (pdf(lambda writer: None), "scan.pdf", "no_text"),
        (pdf(lambda writer: writer.encrypt("secret", algorithm="RC4-128")), "a.pdf", "encrypted"),
        (b"%PDF-1.4 and then nothing of the kind", "a.pdf", "malformed"),
        (b'{"a": ', "a.json", "malformed"),
        (b"<a><b></a>", "a.xml", "malformed"),
        (bomb(), "a.docx", "malformed"),
        (b"no headers at all", "a.eml", "malformed"),
    ],
)
def test_says_why_a_file_cannot_be_read(data: bytes, filename: str, code: str) -> None:
    with pytest.raises(Unprocessable) as caught:
        parse(data, filename)
    assert caught.value.code == code
    assert caught.value.detail.endswith(".")
    assert len(caught.value.detail) > 20


def test_a_broken_office_file_is_malformed() -> None:
    with zipfile.ZipFile(io.BytesIO(), "w"):
        broken = io.BytesIO()
    with zipfile.ZipFile(broken, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", "<broken")
    with pytest.raises(Unprocessable) as caught:
        parse(broken.getvalue(), "a.docx")
    assert caught.value.code == "malformed"
    assert "DOCX" in caught.value.detail


def test_an_unknown_binary_format_is_unsupported() -> None:
    with pytest.raises(Unsupported):
        parse(b"\x89PNG\r\n\x1a\n" + bytes(100), "a.png")


@pytest.mark.parametrize("path", sorted(COMPANY.rglob("*.*")), ids=lambda path: path.name)
def test_the_sample_companys_documents_are_read(path: Path) -> None:
    parsed = parse(path.read_bytes(), path.name)
    check_ranges(parsed)
    assert parsed.title
    assert len(parsed.text) > 500
    assert len(parsed.elements) >= 1
