"""Answer facts: the item's facts that the answer's text contains / its facts; averaged over the given
answers.

A fact is contained when its words stand in the answer, in order and side by side, after this normalisation:
Unicode NFKC, case folded, citation marks such as ``[1]`` dropped, punctuation dropped, ``12,500.00`` =
``12500``, ``%`` = ``percent``, ``one`` … ``twelve`` = ``1`` … ``12``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_MARK = re.compile(r"\[\d+\]")
_THOUSANDS = re.compile(r"(?<=\d)[,  '’](?=\d{3}(?!\d))")
_TOKEN = re.compile(r"\d+(?:[.:]\d+)*|[^\W\d_]+|[%€$£]")
_NUMERALS = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)
_WORDS = {word: str(number) for number, word in enumerate(_NUMERALS)} | {"%": "percent"}


def answer_facts(facts: Sequence[str], answer: str) -> float:
    """Share of ``facts`` (at least one) that ``answer`` contains."""
    words = tokens(answer)
    return sum(contains(words, tokens(fact)) for fact in facts) / len(facts)


def contains(words: Sequence[str], fact: Sequence[str]) -> bool:
    """Whether ``fact`` stands in ``words`` side by side; a fact without words never does."""
    size = len(fact)
    return bool(size) and any(list(words[i : i + size]) == list(fact) for i in range(len(words) - size + 1))


def tokens(text: str) -> list[str]:
    """Normalised words, numbers and units."""
    folded = unicodedata.normalize("NFKC", _MARK.sub(" ", text)).casefold()
    return [_canonical(token) for token in _TOKEN.findall(_THOUSANDS.sub("", folded))]


def _canonical(token: str) -> str:
    if re.fullmatch(r"\d+\.\d+", token):
        return token.rstrip("0").rstrip(".")
    return _WORDS.get(token, token)
