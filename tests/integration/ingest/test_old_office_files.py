"""Old Office files: with LibreOffice where it is installed, and without."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sample_files import TABLE, sheet, slides, through_libreoffice, word

from infra.errors import Unprocessable, Unsupported
from ingest import office
from ingest.elements import ElementKind, ParsedDocument
from ingest.office import find_libreoffice
from ingest.parse import parse
from ingest.sandbox import Sandbox

needs_libreoffice = pytest.mark.skipif(find_libreoffice() is None, reason="LibreOffice is not installed")
MADE: dict[str, tuple[Callable[[], bytes], str]] = {
    "doc": (word, "docx"),
    "ppt": (slides, "pptx"),
    "ods": (sheet, "xlsx"),
    "odp": (slides, "pptx"),
}


def made(form: str) -> bytes:
    write, source = MADE[form]
    data = through_libreoffice(write(), source, form)
    assert data is not None
    return data


def lines(parsed: ParsedDocument) -> list[tuple[str, int | None, str]]:
    return [(e.kind.value, e.page, parsed.text[e.start : e.end]) for e in parsed.elements]


@needs_libreoffice
def test_with_libreoffice_an_old_file_reads_as_its_successor(tmp_path: Path) -> None:
    with Sandbox(timeout_s=120, memory_mb=512, workers=1) as sandbox:
        parsed = {}
        for form in MADE:
            path = tmp_path / f"a.{form}"
            path.write_bytes(made(form))
            parsed[form] = sandbox.parse(path, path.name)
    assert lines(parsed["doc"]) == [
        ("heading", None, "Leave"),
        ("paragraph", None, "Everyone has leave."),
        ("list_item", None, "- first"),
        ("table", None, TABLE),
    ]
    deck = [
        ("heading", 1, "Leave"),
        ("list_item", 1, "- Everyone has leave."),
        ("paragraph", 1, "Speaker notes: Say hello."),
        ("heading", 2, "Days"),
        ("table", 2, TABLE),
    ]
    assert lines(parsed["ppt"]) == lines(parsed["odp"]) == deck
    assert lines(parsed["ods"]) == [("heading", 1, "Sheet"), ("table", 1, TABLE)]
    assert parsed["doc"].mime == "application/msword"
    assert parsed["ppt"].mime == "application/vnd.ms-powerpoint"


@needs_libreoffice
def test_without_libreoffice_old_word_and_powerpoint_files_are_read_too(monkeypatch: pytest.MonkeyPatch) -> None:
    document, deck, workbook = made("doc"), made("ppt"), made("ods")
    monkeypatch.setattr(office, "find_libreoffice", lambda: None)
    assert [each for each in lines(parse(document, "a.doc")) if each[0] in {"heading", "table"}] == [
        ("heading", None, "Leave"),
        ("table", None, TABLE),
    ]
    assert "For internal use" not in parse(document, "a.doc").text
    slides_ = parse(deck, "a.ppt")
    assert ("heading", 1, "Leave") in lines(slides_)
    assert ("paragraph", 1, "Speaker notes: Say hello.") in lines(slides_)
    assert ("heading", 2, "Days") in lines(slides_)
    with pytest.raises(Unsupported, match=r"only where LibreOffice is installed: save it as \.xlsx"):
        parse(workbook, "a.ods")


@needs_libreoffice
@pytest.mark.parametrize("with_it", [True, False])
def test_a_damaged_old_file_says_so(monkeypatch: pytest.MonkeyPatch, with_it: bool) -> None:
    data = bytearray(made("doc"))
    data[512:9000] = bytes(9000 - 512)
    if not with_it:
        monkeypatch.setattr(office, "find_libreoffice", lambda: None)
    with pytest.raises(Unprocessable) as caught:
        parse(bytes(data), "a.doc")
    assert caught.value.code in {"malformed", "no_text"}


@needs_libreoffice
def test_libreoffice_is_held_to_the_time_limit_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "soffice"
    slow.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec /bin/sleep 600\n")
    slow.chmod(0o755)
    path = tmp_path / "a.doc"
    path.write_bytes(made("doc"))
    small = tmp_path / "a.txt"
    small.write_text("Some text.")
    monkeypatch.setattr("ingest.sandbox.os.defpath", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with Sandbox(timeout_s=3, memory_mb=512, workers=1) as sandbox:
        sandbox.parse(small, "a.txt")
        with pytest.raises(Unprocessable) as caught:
            sandbox.parse(path, "a.doc")
    assert caught.value.code == "parse_timeout"
    pid = int((tmp_path / "pid").read_text())
    status = Path(f"/proc/{pid}/status")
    assert not status.exists() or "zombie" in status.read_text()


def test_the_settings_of_libreoffice_forbid_macros_and_links() -> None:
    settings = (office._profile() / "user" / "registrymodifications.xcu").read_text()
    assert 'oor:name="MacroSecurityLevel" oor:op="fuse"><value>3</value>' in settings
    assert 'oor:name="DisableMacrosExecution" oor:op="fuse"><value>true</value>' in settings


def test_headings_are_kept_by_either_way() -> None:
    assert ElementKind.HEADING in {each.kind for each in parse(word(), "a.docx").elements}
