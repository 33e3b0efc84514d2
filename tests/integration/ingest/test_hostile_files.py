"""Files made to harm: each gets a verdict within the limits, gives nothing of this machine away and writes nothing to it."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import openpyxl
import pytest
from pypdf import PdfWriter
from pypdf.generic import ArrayObject, DecodedStreamObject, DictionaryObject, NameObject, NumberObject
from sample_files import pdf, saved, sheet, slides, through_pandoc, word

from infra.errors import FootnoteError
from ingest.elements import ParsedDocument
from ingest.sandbox import Sandbox

TIMEOUT_S, MEMORY_MB = 60, 512
SECRET = "the secret of this machine"
LAUGHTER = (
    '<!DOCTYPE d [<!ENTITY a "'
    + "ha" * 100
    + '">'
    + "".join(f'<!ENTITY {name} "{f"&{before};" * 40}">' for before, name in zip("abcdefg", "bcdefgh", strict=True))
    + "]>"
)
CODES = {"malformed", "no_text", "parse_memory", "parse_timeout", "unsupported_format", "encrypted"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(timeout_s=TIMEOUT_S, memory_mb=MEMORY_MB, workers=1) as made:
        yield made


@pytest.fixture
def verdict(sandbox: Sandbox, tmp_path: Path) -> Callable[[bytes, str], str]:
    """The text of a file, or the code of its error; a small file is read after it, in any case."""

    def judge(data: bytes, name: str) -> str:
        path, small = tmp_path / "file", tmp_path / "small"
        path.write_bytes(data)
        small.write_text("Some text.")
        try:
            result = sandbox.parse(path, name).text
        except FootnoteError as error:
            result = error.code
        assert sandbox.parse(small, "small.txt").text == "Some text."
        return result

    return judge


def edited(data: bytes, member: str, change: Callable[[bytes], bytes]) -> bytes:
    """A zip container with one member changed, or added."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as copied:
        names = source.namelist()
        for name in names:
            content = source.read(name)
            copied.writestr(name, change(content) if name == member else content)
        if member not in names:
            copied.writestr(member, change(b""))
    return target.getvalue()


def declaring(declaration: str, word_: str, reference: str) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        end = data.find(b"?>") + 2 if data.startswith(b"<?xml") else 0
        return data[:end] + declaration.encode() + data[end:].replace(word_.encode(), reference.encode())

    return change


XML_HOLDERS: dict[str, Callable[[Callable[[bytes], bytes]], bytes]] = {
    "a.xml": lambda change: change(b"<?xml version='1.0'?><r><t>Everyone</t><u>Kept.</u></r>"),
    "a.html": lambda change: change(b"<html><body><p>Everyone</p><p>Kept.</p></body></html>"),
    "a.docx": lambda change: edited(word(), "word/document.xml", change),
    "a.pptx": lambda change: edited(slides(), "ppt/slides/slide1.xml", change),
    "a.odt": lambda change: edited(through_pandoc("odt"), "content.xml", change),
    "a.epub": lambda change: edited(through_pandoc("epub"), "EPUB/text/ch001.xhtml", change),
    "a.xlsx": lambda change: edited(
        sheet(), "xl/sharedStrings.xml", lambda data: change(data.replace(b"Name", b"Everyone"))
    ),
}


@pytest.mark.parametrize("name", XML_HOLDERS)
def test_entities_are_not_expanded(verdict: Callable[[bytes, str], str], name: str) -> None:
    result = verdict(XML_HOLDERS[name](declaring(LAUGHTER, "Everyone", "&h;")), name)
    assert result in CODES or len(result) < 10_000


@pytest.mark.parametrize("name", XML_HOLDERS)
def test_entities_fetch_no_file(verdict: Callable[[bytes, str], str], name: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    declaration = f'<!DOCTYPE d [<!ENTITY x SYSTEM "{secret.as_uri()}">]>'
    assert SECRET not in verdict(XML_HOLDERS[name](declaring(declaration, "Everyone", "&x;")), name)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("a.rst", "Head\n====\n\n.. include:: {path}\n\n.. literalinclude:: {path}\n\nKept.\n"),
        ("a.rst", "Head\n====\n\n.. raw:: html\n   :file: {path}\n\nKept.\n"),
        ("a.rst", "Head\n====\n\n.. csv-table:: Title\n   :file: {path}\n\nKept.\n"),
        ("a.org", '* Head\n#+INCLUDE: "{path}"\nKept.\n'),
        ("a.md", "# Head\n\n![x]({path})\n\nKept.\n"),
        ("a.html", "<p>Kept.</p><iframe src='{uri}'></iframe><object data='{uri}'></object><embed src='{uri}'>"),
    ],
)
def test_includes_fetch_no_file(verdict: Callable[[bytes, str], str], name: str, source: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    result = verdict(source.format(path=secret, uri=secret.as_uri()).encode(), name)
    assert "Kept." in result
    assert SECRET not in result


def lying(data: bytes) -> bytes:
    """The container with every member said to be ten bytes long, in both of its directories."""
    changed = bytearray(data)
    for mark, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        place = -1
        while (place := changed.find(mark, place + 1)) >= 0:
            struct.pack_into("<I", changed, place + offset, 10)
    return bytes(changed)


def test_bombs_in_zip_containers(verdict: Callable[[bytes, str], str]) -> None:
    large = edited(word(), "word/document.xml", lambda data: data.replace(b"Everyone", b"A" * (300 << 20)))
    assert verdict(large, "a.docx") == "malformed"
    assert verdict(lying(large), "a.docx") == "malformed"
    assert (
        verdict(edited(through_pandoc("odt"), "mimetype", lambda data: data + bytes(300 << 20)), "a.odt") == "malformed"
    )
    text = edited(through_pandoc("odt"), "content.xml", lambda data: data.replace(b"Everyone", b"Every " * (8 << 20)))
    assert verdict(lying(text), "a.odt") in CODES


def test_an_archive_in_a_document_is_not_unpacked(verdict: Callable[[bytes, str], str]) -> None:
    inner = edited(edited(word(), "a", lambda _: bytes(8 << 20)), "b", lambda _: bytes(8 << 20))
    nested = edited(word(), "word/embeddings/archive.zip", lambda _: inner)
    assert verdict(nested, "a.docx").startswith("Leave\n\nEveryone has leave.")


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.docx", word),
        ("a.epub", lambda: through_pandoc("epub")),
        ("a.odt", lambda: through_pandoc("odt")),
    ],
)
def test_names_that_lead_out_of_a_container_write_nothing(
    verdict: Callable[[bytes, str], str], tmp_path: Path, name: str, write: Callable[[], bytes]
) -> None:
    target = tmp_path / "written"
    data = write()
    for member in (f"../../../../../../../../..{target}", str(target)):
        data = edited(data, member, lambda _: b"written")
    assert "Everyone has leave." in verdict(data, name)
    assert not target.exists()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.html", b"<div>" * 100_000 + b"x"),
        ("a.html", b"<ul><li>" * 50_000 + b"x"),
        ("a.html", b"<table><tr><td>" * 20_000 + b"x"),
        ("a.html", b"<table>" + b"<tr><td rowspan=99999 colspan=99999>x</td></tr>" * 3_000 + b"</table>"),
        ("a.json", b"[" * 200_000 + b"]" * 200_000),
        ("a.json", b'{"a":' * 900 + b"1" + b"}" * 900),
        ("a.xml", b"<a>" * 200_000 + b"x" + b"</a>" * 200_000),
        ("a.csv", b"a," * 1_000_000 + b"b\n" + b"1," * 1_000_000 + b"2\n"),
        ("a.md", b"> " * 50_000 + b"x"),
        ("a.md", b"[" * 4_000),
        ("a.md", b"{% a " * 50_000),
        ("a.md", b"---\na: " + b"[" * 5_000 + b"\n---\nText.\n"),
        ("a.md", b"---\na: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
            b"%c: &%c [%s]\n" % (n + 1, n + 1, b",".join([b"*%c" % n] * 9)) for n in range(97, 106)) + b"---\nText.\n"),
        ("a.txt", (b" " * 200_000 + b"a\n") * 4),
        ("a.txt", b"a" + b"\n \t" * 300_000 + b"b"),
        ("a.txt", b"1." * 300_000 + b" a"),
        ("a.rtf", b"{\\rtf1 " + b"{" * 100_000 + b"x" + b"}" * 100_001),
        ("a.eml", b"From: a\nContent-Type: multipart/mixed; boundary=x\n\n" + b"--x\n\nhi\n" * 5_000 + b"--x--\n"),
        ("a.eml", b"From: a\n" + b"".join(
            b"Content-Type: multipart/mixed; boundary=x%d\n\n--x%d\n" % (n, n) for n in range(2_000))),
        ("a.eml", b"From: a\nSubject: b\nContent-Type: message/rfc822\n\n" * 400 + b"From: a\n\nhi"),
    ],
)  # fmt: skip
def test_what_is_nested_or_long_past_reason(verdict: Callable[[bytes, str], str], name: str, data: bytes) -> None:
    result = verdict(data, name)
    assert result in CODES or any(map(str.isalnum, result))


def test_a_sheet_whose_last_cell_is_the_last_there_is(verdict: Callable[[bytes, str], str]) -> None:
    book = openpyxl.Workbook()
    book.active["A1"], book.active["XFD1048576"] = "first", "last"
    assert verdict(saved(book), "a.xlsx") == "Sheet\n\nfirst\n\nlast"


def bomb_pdf(size: int) -> bytes:
    """A page whose drawing is a little text and then nothing but spaces."""
    writer = PdfWriter(io.BytesIO(pdf(1)))
    content = DecodedStreamObject()
    content.set_data(b"BT /F1 12 Tf 72 700 Td (Everyone) Tj ET " + b" " * size)
    writer.pages[0][NameObject("/Contents")] = writer._add_object(content.flate_encode())
    return saved_pdf(writer)


def circular_pdf() -> bytes:
    """A page that draws a form which draws itself."""
    writer = PdfWriter(io.BytesIO(pdf(1)))
    form = DecodedStreamObject()
    form.set_data(b"/X Do /X Do")
    reference = writer._add_object(form)
    resources = DictionaryObject({NameObject("/XObject"): DictionaryObject({NameObject("/X"): reference})})
    form.update(
        {
            NameObject("/Type"): NameObject("/XObject"),
            NameObject("/Subtype"): NameObject("/Form"),
            NameObject("/BBox"): ArrayObject([NumberObject(number) for number in (0, 0, 9, 9)]),
            NameObject("/Resources"): resources,
        }
    )
    content = DecodedStreamObject()
    content.set_data(b"/X Do")
    writer.pages[0][NameObject("/Contents")] = writer._add_object(content)
    writer.pages[0][NameObject("/Resources")] = resources
    return saved_pdf(writer)


def saved_pdf(writer: PdfWriter) -> bytes:
    target = io.BytesIO()
    writer.write(target)
    return target.getvalue()


@pytest.mark.parametrize("write", [lambda: bomb_pdf(200 << 20), circular_pdf], ids=["bomb", "circle"])
def test_pdf_bombs(verdict: Callable[[bytes, str], str], write: Callable[[], bytes]) -> None:
    result = verdict(write(), "a.pdf")
    assert result in CODES or len(result) < 1_000


def test_a_result_is_whole_after_all_of_these(sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "a.docx"
    path.write_bytes(word())
    parsed = sandbox.parse(path, "a.docx")
    assert isinstance(parsed, ParsedDocument)
    assert parsed.text.startswith("Leave\n\nEveryone has leave.")
