"""Format detection: bytes where they are certain, labels elsewhere, and a clear reason otherwise."""

from __future__ import annotations

import io
import zipfile

import pytest
from compound_file import compound_file

from infra.errors import Unprocessable, Unsupported
from ingest.mime import FORMATS, Reader, detect_format


def zipped(*names: str, mimetype: str | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        if mimetype is not None:
            archive.writestr("mimetype", mimetype)
        for name in names:
            archive.writestr(name, "x")
    return buffer.getvalue()


DOCX = zipped("[Content_Types].xml", "word/document.xml")
EPUB = zipped("META-INF/container.xml", mimetype="application/epub+zip")


@pytest.mark.parametrize(
    ("data", "filename", "content_type", "reader"),
    [
        (b"# Title", "a.md", None, Reader.MARKDOWN),
        (b"# Title", "a.md", "application/octet-stream", Reader.MARKDOWN),
        (b"# Title", "upload", "text/markdown; charset=utf-8", Reader.MARKDOWN),
        (b"Hello", "upload", None, Reader.TEXT),
        (b"Hello", "a.unknown", "application/x-www-form-urlencoded", Reader.TEXT),
        (b"%PDF-1.7\n...", "a.txt", "text/plain", Reader.PDF),
        (b"\n\n%PDF-1.7\n...", "a.pdf", None, Reader.PDF),
        (b"{\\rtf1 hello}", "a.doc", None, Reader.RTF),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "a.txt", None, Reader.IMAGE),
        (zipped("content.xml", mimetype="application/vnd.oasis.opendocument.spreadsheet"), "a", None, Reader.ODS),
        (zipped("content.xml", mimetype="application/vnd.oasis.opendocument.presentation"), "a", None, Reader.ODP),
        (compound_file({"WordDocument": b"x"}), "a.xls", None, Reader.DOC),
        (compound_file({"PowerPoint Document": b"x"}), "a", None, Reader.PPT),
        (compound_file({"Workbook": b"x"}), "a.doc", None, Reader.XLS),
        (DOCX, "a.bin", None, Reader.DOCX),
        (DOCX, "a.xlsx", None, Reader.DOCX),
        (EPUB, "book", None, Reader.EPUB),
        (b"<!DOCTYPE html><p>x", "a.txt", "text/plain", Reader.HTML),
        (b"<html><p>x", "a.md", None, Reader.MARKDOWN),
        (b"<?xml version='1.0'?><!DOCTYPE html><html><p>x", "page", None, Reader.HTML),
        (b"<?xml version='1.0'?><a>x</a>", "data", None, Reader.XML),
        (b"From: a@b.c\nTo: d@e.f\nSubject: x\n\nhi", "message", None, Reader.EML),
        ("a;b".encode("utf-16"), "a.csv", None, Reader.CSV),
        (b"a: 1", "conf.yaml", None, Reader.CODE),
        (b"FROM scratch", "Dockerfile", None, Reader.CODE),
    ],
)
def test_detects(data: bytes, filename: str, content_type: str | None, reader: Reader) -> None:
    assert detect_format(data, filename, content_type).reader is reader


@pytest.mark.parametrize(
    ("data", "filename", "code"),
    [
        (b"", "a.txt", "empty_file"),
        (b" \n\t\r\n", "a.md", "empty_file"),
        (b"\xef\xbb\xbf", "a.txt", "empty_file"),
        (b"\x00\x01\x02\x03\x04\x05" * 50, "a.txt", "binary_content"),
        (b"just text", "a.docx", "malformed"),
        (b"PK\x03\x04 broken", "a.docx", "malformed"),
        (b"old text", "a.ppt", "malformed"),
        (zipped("a.txt"), "a.docx", "malformed"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 broken", "a.xls", "malformed"),
        (compound_file({"Lost": b"x"}), "a.msg", "malformed"),
        (compound_file({"EncryptedPackage": b"x"}), "a.docx", "encrypted"),
    ],
)
def test_tells_why_a_file_cannot_be_read(data: bytes, filename: str, code: str) -> None:
    with pytest.raises(Unprocessable) as caught:
        detect_format(data, filename)
    assert caught.value.code == code
    assert caught.value.detail.endswith(".")


@pytest.mark.parametrize(
    ("data", "filename", "says"),
    [
        (b"GIF89a" + bytes(40), "a.gif", "GIF"),
        (zipped("a.txt"), "a.zip", "send the files in it one by one"),
        (b"old text", "a.pub", "export it as .pdf"),
    ],
)
def test_says_what_to_do_with_a_format_that_is_not_read(data: bytes, filename: str, says: str) -> None:
    with pytest.raises(Unsupported) as caught:
        detect_format(data, filename)
    assert caught.value.code == "unsupported_format"
    assert says in caught.value.detail
    assert "DOCX" in caught.value.detail


def test_each_suffix_belongs_to_one_format() -> None:
    suffixes = [suffix for each in FORMATS for suffix in each.suffixes]
    assert len(suffixes) == len(set(suffixes))
