"""Names: the capitalised words and codes of a text, which an answer must not invent or exchange."""

from __future__ import annotations

import re
from dataclasses import dataclass

from retrieval.terms import STOP_WORDS, word_set, words

_TOKEN = re.compile(r"[^\W_]+(?:[-'’./&][^\W_]+)*")
_MOSTLY_CAPITALS = 0.6
_NO_NAMES = word_set("i yes no the mr mrs ms dr prof")


@dataclass(frozen=True, slots=True)
class Name:
    """A name as written, and the lower-case words that it consists of."""

    text: str
    parts: tuple[str, ...]

    @property
    def is_code(self) -> bool:
        """Whether digits are part of it."""
        return any(char.isdigit() for char in self.text)


def find_names(sentence: str) -> list[Name]:
    """Return the names and codes of one sentence.

    A capitalised word counts anywhere but at the start, where it may be only a capital; a token that mixes
    letters with digits ("Zeta-7", "ISO9001") counts everywhere. A line set mostly in capitals has no names.
    """
    tokens = list(_TOKEN.finditer(sentence))
    alphabetic = [token.group() for token in tokens if token.group()[0].isalpha()]
    capitals = sum(token[0].isupper() for token in alphabetic)
    titled = len(alphabetic) > 3 and capitals > _MOSTLY_CAPITALS * len(alphabetic)
    names = []
    for index, token in enumerate(tokens):
        text = token.group()
        is_code = any(c.isdigit() for c in text) and any(c.isupper() for c in text) and text[0].isalpha()
        inner_capital = any(c.isupper() for c in text[1:])
        capital = text[0].isupper() and not titled and (index > 0 or inner_capital)
        if capital and index > 0 and re.search(r"[.!?:“\"]\s*\Z", sentence[: token.start()]) and not inner_capital:
            capital = False
        parts = tuple(word for word in words(text) if word not in STOP_WORDS)
        if (is_code or capital) and parts and parts[0] not in _NO_NAMES and len(text) > 1:
            names.append(Name(text, parts))
    return names
