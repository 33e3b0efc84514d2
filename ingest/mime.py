"""Which format a file is in: told by its bytes where they are certain, by its name and declared type elsewhere."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

import filetype
import olefile

from infra.errors import Unprocessable, Unsupported
from ingest.decode import looks_binary


class Reader(StrEnum):
    """The way a format is read."""

    MARKDOWN = "markdown"
    HTML = "html"
    TEXT = "text"
    CODE = "code"
    RST = "rst"
    ORG = "org"
    RTF = "rtf"
    ODT = "odt"
    EPUB = "epub"
    DOCX = "docx"
    PPTX = "pptx"
    XLSX = "xlsx"
    XLS = "xls"
    CSV = "csv"
    EML = "eml"
    MSG = "msg"
    DOC = "doc"
    PPT = "ppt"
    ODS = "ods"
    ODP = "odp"
    IMAGE = "image"
    XML = "xml"
    JSON = "json"
    PDF = "pdf"


@dataclass(frozen=True, slots=True)
class Format:
    """A supported format: its media type, the file name endings it goes by, and how it is read."""

    reader: Reader
    mime: str
    suffixes: tuple[str, ...]
    aliases: tuple[str, ...] = ()


_OFFICE = "application/vnd.openxmlformats-officedocument."
_ODF = "application/vnd.oasis.opendocument."
FORMATS: tuple[Format, ...] = (
    Format(Reader.MARKDOWN, "text/markdown", ("md", "markdown", "mdx", "mkd"), ("text/x-markdown",)),
    Format(Reader.HTML, "text/html", ("html", "htm", "xhtml"), ("application/xhtml+xml",)),
    Format(Reader.TEXT, "text/plain", ("txt", "text")),
    Format(Reader.RST, "text/x-rst", ("rst", "rest"), ("text/prs.fallenstein.rst",)),
    Format(Reader.ORG, "text/x-org", ("org",), ("text/org",)),
    Format(Reader.RTF, "application/rtf", ("rtf",), ("text/rtf",)),
    Format(Reader.DOCX, _OFFICE + "wordprocessingml.document", ("docx", "docm", "dotx")),
    Format(Reader.ODT, _ODF + "text", ("odt", "ott")),
    Format(Reader.PPTX, _OFFICE + "presentationml.presentation", ("pptx", "pptm", "ppsx", "potx")),
    Format(Reader.XLSX, _OFFICE + "spreadsheetml.sheet", ("xlsx", "xlsm", "xltx")),
    Format(Reader.XLS, "application/vnd.ms-excel", ("xls",)),
    Format(Reader.CSV, "text/csv", ("csv",), ("application/csv",)),
    Format(Reader.CSV, "text/tab-separated-values", ("tsv", "tab")),
    Format(Reader.EPUB, "application/epub+zip", ("epub",)),
    Format(Reader.EML, "message/rfc822", ("eml", "p7s")),
    Format(Reader.MSG, "application/vnd.ms-outlook", ("msg",)),
    Format(Reader.DOC, "application/msword", ("doc", "dot")),
    Format(Reader.PPT, "application/vnd.ms-powerpoint", ("ppt", "pps", "pot")),
    Format(Reader.ODS, _ODF + "spreadsheet", ("ods", "ots")),
    Format(Reader.ODP, _ODF + "presentation", ("odp", "otp")),
    Format(Reader.IMAGE, "image/png", ("png",)),
    Format(Reader.IMAGE, "image/jpeg", ("jpg", "jpeg")),
    Format(Reader.IMAGE, "image/tiff", ("tif", "tiff")),
    Format(Reader.XML, "application/xml", ("xml", "xsl", "xslt", "xsd", "rss", "atom"), ("text/xml",)),
    Format(Reader.JSON, "application/json", ("json",)),
    Format(Reader.JSON, "application/x-ndjson", ("ndjson", "jsonl"), ("application/jsonl",)),
    Format(Reader.PDF, "application/pdf", ("pdf",)),
    Format(Reader.CODE, "application/yaml", ("yaml", "yml"), ("text/yaml", "application/x-yaml")),
    Format(
        Reader.CODE,
        "text/x-source",
        (
            "toml", "ini", "cfg", "conf", "env", "properties", "log", "py", "js", "mjs", "jsx", "ts", "tsx", "java", "kt",
            "go", "rs", "rb", "php", "c", "h", "cc", "cpp", "hpp", "cs", "swift", "scala", "sh", "bash", "zsh", "ps1",
            "sql", "css", "scss", "r", "pl", "lua", "tf", "proto", "graphql", "dockerfile", "makefile", "diff", "patch",
        ),
    ),
)  # fmt: skip
_BY_SUFFIX = {suffix: each for each in FORMATS for suffix in each.suffixes}
_BY_MIME = {name: each for each in FORMATS for name in (each.mime, *each.aliases)}
_BY_READER = {each.reader: each for each in reversed(FORMATS)}
_BINARY_READERS = {
    Reader.DOCX,
    Reader.PPTX,
    Reader.XLSX,
    Reader.XLS,
    Reader.ODT,
    Reader.EPUB,
    Reader.MSG,
    Reader.DOC,
    Reader.PPT,
    Reader.ODS,
    Reader.ODP,
    Reader.IMAGE,
    Reader.PDF,
}

_COMPOUND = {Reader.DOC, Reader.PPT, Reader.XLS, Reader.MSG}
_UNREAD = {"pub": "a Publisher file (.pub) is not read: export it as .pdf and send that"}
_READ = (
    "Markdown, HTML, text, RST, Org, RTF, DOCX, DOC, ODT, PPTX, PPT, ODP, XLSX, XLS, ODS, CSV, TSV, EPUB, EML, MSG, XML, JSON,"
    " YAML, source code and PDF"
)
_HTML_START = re.compile(
    r"\s*(?:<!--.*?-->\s*|<\?xml[^>]*\?>\s*)*<(?:!doctype\s+html|html[\s>])", re.IGNORECASE | re.DOTALL
)
_XML_START = re.compile(r"\s*<\?xml\s")
_MAIL_HEADER = re.compile(
    r"(?:From|To|Subject|Date|Received|Return-Path|Message-ID|MIME-Version|Delivered-To): ?\S", re.IGNORECASE
)


def unsupported(reason: str) -> Unsupported:
    """The error for a format that is not read; it always names those that are."""
    return Unsupported(f"{reason[0].upper()}{reason[1:]}. Formats that are read: {_READ}.")


def image_off() -> Unsupported:
    """The error for a picture where none are read."""
    return unsupported(
        "a picture is read only where text recognition is on: FOOTNOTE_OCR names the languages, as in eng"
    )


def _suffix(filename: str) -> str:
    name = PurePosixPath(filename.replace("\\", "/")).name.lower()
    return name.rpartition(".")[2] if "." in name else name


def label_format(filename: str, content_type: str | None) -> Format | None:
    """What the name and the declared type claim, the name first; None where neither says anything useful."""
    if found := _BY_SUFFIX.get(_suffix(filename)):
        return found
    declared = (content_type or "").partition(";")[0].strip().lower()
    return _BY_MIME.get(declared)


def detect_format(data: bytes, filename: str, content_type: str | None = None) -> Format:
    """Tell the format of ``data``.

    Bytes win where they are certain: a PDF named ``.txt`` is a PDF. Text is what its label says, but text
    that starts as an HTML page is HTML unless it is labelled Markdown, which may hold HTML. Raises
    ``Unsupported`` for a format that is not read and ``Unprocessable`` (``empty_file``, ``encrypted``,
    ``malformed``, ``binary_content``) for one that cannot be.
    """
    if not data.strip(b" \t\r\n\x0b\x0c\x00\xef\xbb\xbf"):
        raise Unprocessable("The file is empty: it must hold some text.", code="empty_file")
    label = label_format(filename, content_type)
    if b"%PDF-" in data[:1024]:
        return _BY_READER[Reader.PDF]
    if data.startswith(b"{\\rtf"):
        return _BY_READER[Reader.RTF]
    if data.startswith(b"PK\x03\x04"):
        return _zip_format(data, label)
    if data.startswith(olefile.MAGIC):
        return _ole_format(data, label)
    if (kind := filetype.guess(data[:8192])) is not None:
        known = _BY_MIME.get(kind.mime)
        if known is None:
            raise unsupported(f"this is a {kind.extension.upper()} file ({kind.mime}), which is not read")
        if known.reader is Reader.IMAGE:
            return known
    if looks_binary(data):
        if label is not None and label.reader in _BINARY_READERS:
            raise _mislabelled(label)
        raise Unprocessable("The file holds binary data, not a document's text.", code="binary_content")
    return _text_format(data, label, _suffix(filename))


def _mislabelled(label: Format) -> Unprocessable:
    return Unprocessable(
        f"The file is called .{label.suffixes[0]}, but its content is not: it is damaged or has the wrong name.",
        code="malformed",
    )


def _text_format(data: bytes, label: Format | None, suffix: str) -> Format:
    head = (
        data[:4096].decode("utf-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8", "replace").lstrip("\ufeff")
    )
    is_page = _HTML_START.match(head) is not None
    if is_page and (label is None or label.reader is not Reader.MARKDOWN):
        return _BY_READER[Reader.HTML]
    if label is not None:
        if label.reader in _BINARY_READERS:
            raise _mislabelled(label)
        return label
    if suffix in _UNREAD:
        raise unsupported(_UNREAD[suffix])
    if _XML_START.match(head):
        return _BY_READER[Reader.XML]
    lines = [line for line in head.splitlines()[:12] if line.strip()]
    if len([line for line in lines if _MAIL_HEADER.match(line)]) >= 3:
        return _BY_READER[Reader.EML]
    return _BY_READER[Reader.TEXT]


def _zip_format(data: bytes, label: Format | None) -> Format:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            kind = ""
            if "mimetype" in names:
                with archive.open("mimetype") as member:
                    kind = member.read(100).decode("ascii", "replace").strip()
    except (zipfile.BadZipFile, zlib.error, KeyError, OSError, EOFError, ValueError, RuntimeError) as error:
        raise Unprocessable("The file is damaged: its zip container cannot be opened.", code="malformed") from error
    if kind in _BY_MIME:
        return _BY_MIME[kind]
    for folder, reader in (("word/", Reader.DOCX), ("ppt/", Reader.PPTX), ("xl/", Reader.XLSX)):
        if "[Content_Types].xml" in names and any(name.startswith(folder) for name in names):
            return _BY_READER[reader]
    if label is not None and label.reader in _BINARY_READERS:
        raise _mislabelled(label)
    raise unsupported("a ZIP archive is not read: send the files in it one by one")


def _ole_format(data: bytes, label: Format | None) -> Format:
    try:
        with olefile.OleFileIO(io.BytesIO(data)) as container:
            streams = {"/".join(path).lower() for path in container.listdir()}
    except (OSError, ValueError, IndexError) as error:
        raise Unprocessable("The file is damaged: its Office container cannot be opened.", code="malformed") from error
    if "encryptedpackage" in streams:
        raise encrypted()
    if streams & {"workbook", "book"}:
        return _BY_READER[Reader.XLS]
    if "__properties_version1.0" in streams:
        return _BY_READER[Reader.MSG]
    if "worddocument" in streams:
        return _BY_READER[Reader.DOC]
    if "powerpoint document" in streams:
        return _BY_READER[Reader.PPT]
    if label is not None and label.reader in _COMPOUND:
        raise _mislabelled(label)
    raise unsupported("this Office file is of a kind that is not read: save it as .docx, .xlsx, .pptx or .pdf")


def encrypted() -> Unprocessable:
    """The error for a file that asks for a password."""
    return Unprocessable("The file is protected by a password: send a copy without one.", code="encrypted")
