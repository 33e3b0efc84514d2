"""Quantities: the numbers, amounts, dates and times of a text, in a form that can be compared."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from retrieval.terms import stem, word_set
from retrieval.verify.units import MONEY, unit_kind


@dataclass(frozen=True, slots=True)
class Quantity:
    """A value with its kind, at characters ``[start:end]``.

    ``kind`` is ``money:eur``, ``percent``, ``duration`` (value in days), ``months`` (value in months),
    ``time`` (value in minutes of the day), ``date`` (value = 100 · month + day), ``measure:km``, or ``""``
    for a bare number. ``unit`` is the stem of the word that follows; ``written`` is the number before its
    unit is counted in. ``approximate``: the text says "about".
    """

    value: float
    kind: str
    unit: str
    start: int
    end: int
    written: float = 0.0
    approximate: bool = False


_SMALL = [
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
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_CARDINALS = {word: value for value, word in enumerate(_SMALL)}
_TENS = {
    word: 10 * value
    for value, word in enumerate(
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], start=2
    )
}
_ORDINALS = {
    word: value
    for value, word in enumerate(
        [
            "first",
            "second",
            "third",
            "fourth",
            "fifth",
            "sixth",
            "seventh",
            "eighth",
            "ninth",
            "tenth",
            "eleventh",
            "twelfth",
        ],
        start=1,
    )
}
_SCALES = {
    "hundred": 1e2, "thousand": 1e3, "k": 1e3, "million": 1e6, "mn": 1e6, "m": 1e6, "billion": 1e9, "bn": 1e9,
    "b": 1e9, "trillion": 1e12, "dozen": 12.0,
}  # fmt: skip
_MULTIPLES = {"once": 1.0, "twice": 2.0, "thrice": 3.0, "half": 0.5}
_MONTHS = {
    name: number
    for number, names in enumerate(
        ("jan january", "feb february", "mar march", "apr april", "may", "jun june", "jul july", "aug august",
         "sep sept september", "oct october", "nov november", "dec december"), start=1
    )
    for name in names.split()
}  # fmt: skip
_APPROXIMATE = re.compile(
    r"(?:about|approximately|approx\.?|around|roughly|nearly|almost|circa|some|over|under|more than"
    r"|less than|~|≈)\s*"
    r"(?:[$€£¥₹]\s*)?\Z",
    re.IGNORECASE,
)
_MONTH_PATTERN = "|".join(sorted(_MONTHS, key=len, reverse=True))
_DATE = re.compile(
    rf"\b(?:(?P<d1>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<m1>{_MONTH_PATTERN})\b\.?"
    rf"|(?P<m2>{_MONTH_PATTERN})\.?\s+(?:the\s+)?(?P<d2>\d{{1,2}})(?:st|nd|rd|th)?(?![\d:%])"
    r"|(?P<y3>\d{4})-(?P<m3>\d{2})-(?P<d3>\d{2})(?!\d))",
    re.IGNORECASE,
)
_TIME = re.compile(
    r"(?<![\d.:])(?:(?P<h>\d{1,2}):(?P<min>[0-5]\d)(?::[0-5]\d)?\s*(?P<ap>[ap])?(?(ap)\.?\s?m\b\.?)"
    r"|(?P<h2>\d{1,2})\s*(?P<ap2>[ap])\.?\s?m\b\.?|\b(?P<word>noon|midday|midnight)\b)",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"\b\w{1,20}://\S+|[\w.+-]{1,64}@\S{1,250}|\b(?:[A-Za-z]+[-_/]?|[A-Z]\.)\d[\w-]*(?:\.\d[\w-]*)*|\b\d+(?:\.\d+){2,}\b"
)
_NUMBER = re.compile(
    r"(?P<money>(?:US|us)?[$€£¥₹]\s?)?(?<![\w])"
    r"(?P<digits>\d{1,3}(?:[,\u00a0\u202f]\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
    r"(?:(?P<ordinal>st|nd|rd|th)\b)?(?P<scale>\s?(?:k|m|mn|bn|b)\b(?!\.))?"
)
_RANGE = re.compile(r"\s?(?:-|–|to|or)\s?\d+(?:[.,]\d+)*(?=[\s%-])")
_WORDS_AFTER = re.compile(r"[\s\-–‑]*(?P<word>%|¢|°[cC]|[^\W\d_]+)")
_LONG_SCALES = [scale for scale in _SCALES if len(scale) > 2]
_FIRST_WORD = "|".join([*_CARDINALS, *_TENS, *_ORDINALS, *_MULTIPLES, *_LONG_SCALES])
_NEXT_WORD = "|".join([*_CARDINALS, *_TENS, *_ORDINALS, *_LONG_SCALES])
_NUMBER_WORD = re.compile(rf"\b(?:{_FIRST_WORD})\b(?:[\s-]+(?:and\s+)?(?:{_NEXT_WORD})\b)*", re.IGNORECASE)
_SKIPPED_BEFORE_UNIT = word_set(
    "calendar business working full paid unpaid consecutive additional further extra more whole straight "
    "complete square cubic us per of the or"
)
_ABOUT, _EXACT = 0.05, 1e-9  # relative; a claim that says "about" may round
_MIN_YEAR, _MAX_YEAR = 1500, 2200


def find_quantities(text: str) -> list[Quantity]:
    """Find the quantities of ``text`` in order.

    Digits inside codes, versions and addresses are no quantities.
    """
    taken = [False] * len(text)
    found: list[Quantity] = []
    for source in (_dates, _times, _codes, _numbers, _number_words):
        for quantity in source(text):
            if not any(taken[quantity.start : quantity.end]):
                taken[quantity.start : quantity.end] = [True] * (quantity.end - quantity.start)
                if not math.isnan(quantity.value):
                    found.append(quantity)
    return sorted(found, key=lambda quantity: quantity.start)


def _dates(text: str) -> Iterator[Quantity]:
    for match in _DATE.finditer(text):
        month = int(match["m3"]) if match["m3"] else _MONTHS[(match["m1"] or match["m2"]).lower()]
        day = int(match["d1"] or match["d2"] or match["d3"])
        if not (1 <= day <= 31 and 1 <= month <= 12):
            continue
        name = match["m1"] or match["m2"] or ""
        if name in ("may", "march") and not match["d1"]:
            continue  # the verbs: "you may 3 times"
        start = match.start()
        if match["y3"]:
            yield Quantity(float(match["y3"]), "", "", start, start + 4, float(match["y3"]))
            start += 4
        yield Quantity(100.0 * month + day, "date", "", start, match.end())


def _times(text: str) -> Iterator[Quantity]:
    for match in _TIME.finditer(text):
        if match["word"]:
            minutes = 0 if match["word"].lower() == "midnight" else 720
        else:
            hour, half = int(match["h"] or match["h2"]), (match["ap"] or match["ap2"] or "").lower()
            if hour > 24:
                continue
            hour = hour % 12 + (12 if half == "p" else 0) if half else hour
            minutes = 60 * hour + int(match["min"] or 0)
        yield Quantity(float(minutes), "time", "", match.start(), match.end())


def _codes(text: str) -> Iterator[Quantity]:
    for match in _CODE.finditer(text):
        if not re.fullmatch(r"(?i)(?:us|usd|eur|gbp|chf|inr)\d+(?:\.\d+)?", match.group()):
            yield Quantity(math.nan, "", "", match.start(), match.end())


def _numbers(text: str) -> Iterator[Quantity]:
    for match in _NUMBER.finditer(text):
        value = float(re.sub(r"[,\u00a0\u202f]", "", match["digits"]))
        scale = (match["scale"] or "").strip()
        money = MONEY.get((match["money"] or "").strip().lower(), "")
        end = match.end()
        if scale:
            if money or scale not in ("m", "b"):
                value *= _SCALES[scale]
            else:
                end = match.start("scale")
        yield _quantity(text, value, match.start(), end, money)


def _number_words(text: str) -> Iterator[Quantity]:
    for match in _NUMBER_WORD.finditer(text):
        total, current = 0.0, 0.0
        parts = re.findall(r"[a-z]+", match.group().lower())
        if parts in (["one"], ["second"], ["once"], ["half"], ["first"]):
            continue  # mostly not counting anything: "the one that", "at first"
        if parts[0] in _ORDINALS:
            parts = parts[:1]  # "the second one"
        for part in parts:
            if part in _SCALES:
                current = max(current, 1.0) * _SCALES[part]
                if _SCALES[part] >= 1e3:
                    total, current = total + current, 0.0
            else:
                current += _CARDINALS.get(part, _TENS.get(part, _ORDINALS.get(part, _MULTIPLES.get(part, 0.0))))
        yield _quantity(text, total + current, match.start(), match.end(), "")


def _quantity(text: str, value: float, start: int, end: int, money: str) -> Quantity:
    """Read scale and unit from the words that follow the number."""
    kind, unit = f"money:{money}" if money else "", ""
    written = value
    to = _RANGE.match(text, end)
    position = to.end() if to else end
    for _ in range(3):
        match = _WORDS_AFTER.match(text, position)
        if match is None:
            break
        word = match["word"].lower()
        if word in _SCALES and len(word) > 1 and not unit:
            value, written = value * _SCALES[word], written * _SCALES[word]
            position = end = match.end()
            continue
        unit = unit or stem(word)
        if not kind:
            kind, factor = unit_kind(word)
            value *= factor
        if kind or word not in _SKIPPED_BEFORE_UNIT:
            break
        position = match.end()
    if not kind and (before := re.search(r"([A-Za-z]{3})\s?\Z", text[max(0, start - 5) : start])):
        code = MONEY.get(before[1].lower(), "")
        kind = f"money:{code}" if code else ""
    approximate = _APPROXIMATE.search(text[max(0, start - 20) : start]) is not None
    return Quantity(value, kind, unit, start, end, written, approximate)


def same(claimed: Quantity, proven: Quantity) -> bool:
    """Whether ``proven`` proves ``claimed``: the same value, and no two kinds that exclude each other."""
    if claimed.kind and proven.kind and claimed.kind != proven.kind:
        return False
    if "time" in (claimed.kind, proven.kind) and claimed.kind != proven.kind:
        return False
    if claimed.kind == "time" and abs(claimed.value - proven.value) == 720:
        return min(claimed.value, proven.value) >= 60  # "9:00" said of 9 in the evening
    if "date" in (claimed.kind, proven.kind):
        return claimed.kind == proven.kind and claimed.value == proven.value
    tolerance = _ABOUT if claimed.approximate else _EXACT
    if claimed.kind == proven.kind:
        return math.isclose(claimed.value, proven.value, rel_tol=tolerance)
    return math.isclose(claimed.written, proven.written, rel_tol=tolerance)  # "4" under a header "weeks"


def is_year(quantity: Quantity) -> bool:
    """Whether the quantity reads as a calendar year."""
    return not quantity.kind and quantity.value.is_integer() and _MIN_YEAR <= quantity.value <= _MAX_YEAR
