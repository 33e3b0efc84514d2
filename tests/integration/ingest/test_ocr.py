"""Text recognition with the real Tesseract: scans, pictures, and what is said where it is off."""

from __future__ import annotations

import shutil
from pathlib import Path

import pypdfium2
import pytest
from sample_files import picture, scan

from infra.errors import SettingsError, Unprocessable, Unsupported
from ingest.elements import ParsedDocument
from ingest.parse import parse
from ingest.sandbox import Sandbox

pytestmark = pytest.mark.skipif(shutil.which("tesseract") is None, reason="Tesseract is not installed")
FIRST = ("The lift is out of order.", "Use the stairs until Monday.")
SECOND = "This page has a text layer of its own, and enough of it."


def pages(parsed: ParsedDocument) -> dict[int | None, str]:
    found: dict[int | None, str] = {}
    for each in parsed.elements:
        found[each.page] = f"{found.get(each.page, '')} {parsed.text[each.start : each.end]}".strip()
    return found


def test_pages_without_a_text_layer_are_recognised_in_their_place() -> None:
    data = scan(FIRST, SECOND, ("The keys are at the desk.",))
    found = pages(parse(data, "scan.pdf", ocr="eng"))
    assert found == {1: " ".join(FIRST), 2: SECOND, 3: "The keys are at the desk."}
    assert pages(parse(data, "scan.pdf")) == {2: SECOND}


def test_a_scan_says_how_recognition_is_turned_on() -> None:
    with pytest.raises(Unprocessable, match="FOOTNOTE_OCR") as caught:
        parse(scan(FIRST), "scan.pdf")
    assert caught.value.code == "no_text"
    with pytest.raises(Unsupported, match="FOOTNOTE_OCR"):
        parse(picture(FIRST), "a.png")


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF"])
def test_pictures(form: str) -> None:
    parsed = parse(picture(FIRST, form), "a", ocr="eng")
    assert pages(parsed) == {1: " ".join(FIRST)}
    assert parsed.mime == f"image/{form.lower()}"


def test_a_picture_without_text_and_a_broken_one() -> None:
    with pytest.raises(Unprocessable) as empty:
        parse(picture(()), "a.png", ocr="eng")
    assert empty.value.code == "no_text"
    with pytest.raises(Unprocessable, match="picture is damaged") as broken:
        parse(picture(FIRST)[:900], "a.png", ocr="eng")
    assert broken.value.code == "malformed"


def test_in_the_sandbox(tmp_path: Path) -> None:
    path = tmp_path / "scan"
    path.write_bytes(scan(FIRST))
    with Sandbox(timeout_s=120, memory_mb=512, workers=1, ocr="eng") as sandbox:
        assert pages(sandbox.parse(path, "scan.pdf")) == {1: " ".join(FIRST)}


def test_a_language_that_is_not_installed_stops_the_start() -> None:
    with pytest.raises(SettingsError, match="xyz"):
        Sandbox(timeout_s=1, memory_mb=256, ocr="xyz")


def test_a_page_that_cannot_be_drawn_costs_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise pypdfium2.PdfiumError("broken")

    monkeypatch.setattr(pypdfium2, "PdfDocument", fail)
    assert pages(parse(scan(FIRST, SECOND), "scan.pdf", ocr="eng")) == {2: SECOND}
    with pytest.raises(Unprocessable, match="recognition found none"):
        parse(scan(FIRST), "scan.pdf", ocr="eng")
