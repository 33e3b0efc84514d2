"""Whether Tesseract can recognise the languages that the operator names: asked at the start, not at the first picture."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess

from infra.errors import SettingsError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:/[A-Za-z0-9_]+)?")
_LIBRARIES = ("pytesseract", "pypdfium2", "PIL")


def installed_languages(program: str) -> list[str]:
    """The languages that the ``tesseract`` at ``program`` has data for; empty if it does not run."""
    try:
        listed = subprocess.run([program, "--list-langs"], capture_output=True, text=True, timeout=60, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return []
    # A heading first; older versions write to the error stream.
    lines = (listed.stdout or listed.stderr).splitlines()
    return [line.strip() for line in lines if _NAME.fullmatch(line.strip())]


def check_languages(languages: str) -> None:
    """Raise ``SettingsError`` unless the recognition of ``languages``, as in ``eng+deu``, is installed whole."""
    if any(importlib.util.find_spec(name) is None for name in _LIBRARIES):
        raise SettingsError(
            f"FOOTNOTE_OCR is {languages!r}, but text recognition is not installed; allowed: install footnote[ocr], or unset it."
        )
    program = shutil.which("tesseract")
    if program is None:
        raise SettingsError(
            f"FOOTNOTE_OCR is {languages!r}, but there is no tesseract program on the PATH; "
            "allowed: install it (Debian: tesseract-ocr), or unset FOOTNOTE_OCR."
        )
    known = installed_languages(program)
    missing = [each for each in languages.split("+") if each not in known]
    if missing:
        offered = ", ".join(each for each in known if each != "osd") or "none"
        raise SettingsError(
            f"FOOTNOTE_OCR names {', '.join(missing)}, which tesseract has no data for; allowed: {offered}."
        )
