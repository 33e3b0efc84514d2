"""Whether the languages to recognise are installed, with a program that stands in for Tesseract."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.errors import SettingsError
from ingest.languages import check_languages, installed_languages


@pytest.fixture
def tesseract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "tesseract"
    program.write_text(
        '#!/bin/sh\necho "List of available languages in \\"/data/\\" (3):"\nprintf "deu\\neng\\nosd\\n"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return program


def test_lists_what_is_installed(tesseract: Path) -> None:
    assert installed_languages(str(tesseract)) == ["deu", "eng", "osd"]
    assert installed_languages(str(tesseract) + "-absent") == []


@pytest.mark.parametrize("languages", ["eng", "eng+deu"])
def test_installed_languages_pass(tesseract: Path, languages: str) -> None:
    check_languages(languages)


def test_a_language_without_data_stops_the_start(tesseract: Path) -> None:
    with pytest.raises(SettingsError, match="names jpn, which tesseract has no data for; allowed: deu, eng"):
        check_languages("eng+jpn")


def test_no_program_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match="there is no tesseract program"):
        check_languages("eng")


def test_no_libraries_stop_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"install footnote\[ocr\]"):
        check_languages("eng")
