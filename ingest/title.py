"""Which lines of plain text read as headings."""

from __future__ import annotations

import re

SECTION = re.compile(
    r"(?:\d+(?:\.\d+)*\.?|(?:chapter|section|part|appendix|annex|article)\s+\w+[.:]?)\s+\S", re.IGNORECASE
)
MAX_TITLE_WORDS = 8
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
