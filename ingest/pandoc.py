"""RST, Org, RTF, OpenDocument text and EPUB to HTML, by pandoc: as a process that opens no file but the one given."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pypandoc

from ingest.decode import decode_text
from ingest.mime import Reader

_TEXTS = frozenset({Reader.RST, Reader.ORG})
_TEMPLATE = "<html><head><title>$title$</title></head><body>$body$</body></html>"
# A table kept in another file: it is not here, and pandoc would give the whole document up for it.
_OTHER_FILE = re.compile(r"^[ \t]+:(?:file|url):.*\n", re.MULTILINE)


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
