"""Old Office files (``.doc``, ``.ppt``) and OpenDocument sheets and slides, brought into formats that are read here.

LibreOffice converts them where it is installed. Without it, old Word and PowerPoint files are read by a small
library, which keeps text, headings and tables of Word, but not the tables of slides.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import office_oxide

from infra.errors import Unprocessable
from ingest.mime import Reader, unsupported

MODERN = {Reader.DOC: Reader.DOCX, Reader.PPT: Reader.PPTX, Reader.ODS: Reader.XLSX, Reader.ODP: Reader.PPTX}
_RUNNING = re.compile(r"<(header|footer)>.*?</\1>", re.DOTALL)
_SLIDE_END = re.compile(r"<hr\s*/?>")
_NOTES = re.compile(r'<aside class="speaker-notes">(?:<p>)?')
# No macro is run, no link is followed, and what asks for a web address is sent nowhere.
_SETTINGS = (
    ("Office.Common/Security/Scripting", "MacroSecurityLevel", "3"),
    ("Office.Common/Security/Scripting", "DisableMacrosExecution", "true"),
    ("Office.Common/Security/Scripting", "BlockUntrustedRefererLinks", "true"),
    ("Office.Common/Security/Scripting", "DisableActiveContent", "true"),
    ("Office.Writer/Content/Update", "Link", "2"),
    ("Office.Calc/Content/Update", "Link", "2"),
    ("Inet/Settings", "ooInetProxyType", "2"),
    ("Inet/Settings", "ooInetHTTPProxyName", "127.0.0.1"),
    ("Inet/Settings", "ooInetHTTPProxyPort", "9"),
    ("Inet/Settings", "ooInetHTTPSProxyName", "127.0.0.1"),
    ("Inet/Settings", "ooInetHTTPSProxyPort", "9"),
)


def find_libreoffice() -> str | None:
    """Where LibreOffice is, if it is installed."""
    return shutil.which("soffice") or shutil.which("libreoffice")


def modernise(data: bytes, reader: Reader, program: str) -> bytes:
    """Convert to DOCX, PPTX or XLSX with LibreOffice at ``program``; raises ``Unprocessable`` if it cannot read ``data``."""
    modern = MODERN[reader]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, f"document.{reader}")
        source.write_bytes(data)
        command = [
            program,
            f"-env:UserInstallation={_profile().as_uri()}",
            *("--headless", "--norestore", "--nolockcheck", "--nologo", "--nodefault"),
            *("--convert-to", str(modern), "--outdir", folder, str(source)),
        ]
        # It stays in this process's group, and is killed with it.
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603 - a fixed command
        target = Path(folder, f"document.{modern}")
        if not target.is_file():
            _profile.cache_clear()  # one that a crash has damaged would fail the next file too
            raise Unprocessable(
                f"The file is damaged: LibreOffice cannot read it as {reader.upper()}.", code="malformed"
            )
        return target.read_bytes()


def read_without_libreoffice(data: bytes, reader: Reader) -> list[str]:
    """HTML of an old Word file as one page, of an old PowerPoint file as a page for each slide.

    Raises ``Unsupported`` for what only LibreOffice reads, ``Unprocessable`` for a damaged file.
    """
    if reader not in {Reader.DOC, Reader.PPT}:
        kind = "spreadsheet (.ods)" if reader is Reader.ODS else "presentation (.odp)"
        raise unsupported(
            f"an OpenDocument {kind} is read only where LibreOffice is installed: save it as .{MODERN[reader]}"
        )
    try:
        with office_oxide.Document.from_bytes(data, "doc" if reader is Reader.DOC else "ppt") as document:
            markup = document.to_html()
    except office_oxide.OfficeOxideError as error:
        raise Unprocessable(f"The file is damaged: it cannot be read as {reader.upper()}.", code="malformed") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # how the library's own errors end; it has no name to import
            raise
        raise Unprocessable(f"The file is damaged: its {reader.upper()} reader gave up.", code="malformed") from error
    if reader is Reader.DOC:
        return [_RUNNING.sub("", markup)]
    return [_NOTES.sub('<aside class="speaker-notes"><p>Speaker notes: ', page) for page in _SLIDE_END.split(markup)]


@cache
def _profile() -> Path:
    """A folder of settings for LibreOffice, made once for this process: it takes a second to set up."""
    folder = Path(tempfile.mkdtemp(prefix="libreoffice-"))
    items = "".join(
        f'<item oor:path="/org.openoffice.{path}"><prop oor:name="{name}" oor:op="fuse"><value>{value}</value></prop></item>'
        for path, name, value in _SETTINGS
    )
    (folder / "user").mkdir()
    (folder / "user" / "registrymodifications.xcu").write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<oor:items xmlns:oor="http://openoffice.org/2001/registry" xmlns:xs="http://www.w3.org/2001/XMLSchema">'
        f"{items}</oor:items>",
        encoding="utf-8",
    )
    return folder
