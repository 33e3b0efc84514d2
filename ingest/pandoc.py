"""RST, Org, RTF, OpenDocument text and EPUB to HTML, by pandoc: as a process that opens no file but the one given."""

from __future__ import annotations

import io
import re
import tempfile
import zipfile
from pathlib import Path

import pypandoc
from lxml import etree

from ingest.decode import decode_text
from ingest.mime import Reader

_TEXTS = frozenset({Reader.RST, Reader.ORG})
_TEMPLATE = "<html><head><title>$title$</title></head><body>$body$</body></html>"
# A table kept in another file: it is not here, and pandoc would give the whole document up for it.
_OTHER_FILE = re.compile(r"^[ \t]+:(?:file|url):.*\n", re.MULTILINE)
_TITLE = "{http://purl.org/dc/elements/1.1/}title"


def to_html(data: bytes, reader: Reader) -> str:
    """Return the document as HTML, its title in ``<title>``; raises ``RuntimeError`` if pandoc cannot read it."""
    with tempfile.TemporaryDirectory() as folder:
        source, template = Path(folder, f"document.{reader}"), Path(folder, "template.html")
        if reader in _TEXTS:
            source.write_text(_OTHER_FILE.sub("", decode_text(data).replace("\r\n", "\n")), encoding="utf-8")
        else:
            source.write_bytes(data)
        template.write_text(_TEMPLATE)
        # With a template, RST's only top heading would become the title and leave the text.
        titled = [] if reader is Reader.RST else [f"--template={template}"]
        return str(
            pypandoc.convert_file(
                source, "html", format=str(reader), extra_args=["--quiet", *titled], sandbox=True, verify_format=False
            )
        )


def odt_title(data: bytes) -> str | None:
    """The title in an OpenDocument file's properties, which pandoc leaves out; None without one."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            properties = archive.read("meta.xml")
    except KeyError:
        return None
    root = etree.fromstring(properties, etree.XMLParser(resolve_entities=False, no_network=True, recover=True))
    found = root.find(f".//{_TITLE}") if root is not None else None
    return (found.text or "").strip() or None if found is not None else None
