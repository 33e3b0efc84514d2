"""Which lines of plain text read as headings, and what a document without a title is called."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from ingest.elements import ElementKind, ParsedDocument

SECTION = re.compile(
    r"(?:\d+(?:\.\d+)*\.?|(?:chapter|section|part|appendix|annex|article)\s+\w+[.:]?)\s+\S", re.IGNORECASE
)
MAX_TITLE_WORDS = 8
# What programs write where nobody gave a title.
NO_TITLES = {"word document", "document", "untitled", "untitled document", "powerpoint presentation"}
_TITLE_LINES = 3
_TITLE_LENGTH = 200
_SHEETS = {
    "application/vnd.ms-excel",
    "application/vnd.oasis.opendocument.spreadsheet",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_SMALL = "a an and as at by for from how in into of on or our the to vs with your"
_SMALL_WORDS = frozenset(_SMALL.split())


def looks_like_title(text: str) -> bool:
    """Whether a line of plain text reads as a heading: few words, capitals or a section number, no sentence's end."""
    words = text.split()
    if not 1 <= len(words) <= MAX_TITLE_WORDS or text.endswith((".", ",", ";", "!", ":")) or "@" in text or "|" in text:
        return False
    if not any(map(str.isalpha, text)):
        return False
    if SECTION.match(text) and text.split(maxsplit=1)[-1][:1].isupper():
        return True
    if ": " in text:
        return False
    weighty = [word for word in words if word.lower() not in _SMALL_WORDS and word[:1].isalpha()]
    return bool(weighty) and words[0][:1].isupper() and all(word[:1].isupper() for word in weighty)


def derived_title(parsed: ParsedDocument, filename: str) -> str | None:
    """The headings that a document begins with (a title page may break them), else the file's name without its ending."""
    names: list[str] = []
    for element in parsed.elements[:_TITLE_LINES]:
        if element.kind is not ElementKind.HEADING or parsed.mime in _SHEETS:
            break
        if names and (parsed.mime != "application/pdf" or element.page != 1):
            break
        name = " ".join(parsed.text[element.start : element.end].split())
        if names and SECTION.match(name):
            break
        names.append(name)
    if names and len(" ".join(names)) <= _TITLE_LENGTH:
        return " ".join(names)
    return names[0][:_TITLE_LENGTH] if names else PurePosixPath(filename.replace("\\", "/")).stem or None
