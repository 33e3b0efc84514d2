"""Units: the words after a number that say what it counts."""

from __future__ import annotations

MONEY = {
    "$": "usd", "us$": "usd", "usd": "usd", "dollar": "usd", "dollars": "usd", "€": "eur", "eur": "eur",
    "euro": "eur", "euros": "eur", "£": "gbp", "gbp": "gbp", "pound": "gbp", "pounds": "gbp", "¥": "jpy",
    "jpy": "jpy", "yen": "jpy", "₹": "inr", "inr": "inr", "rupees": "inr", "chf": "chf", "cent": "cent",
    "cents": "cent", "¢": "cent",
}  # fmt: skip
# Days of each unit of time; months and years are counted in months, since a month has no fixed number of
# days.
_DURATIONS = {"second": 1 / 86400, "sec": 1 / 86400, "minute": 1 / 1440, "min": 1 / 1440, "hour": 1 / 24,
              "hr": 1 / 24, "day": 1.0, "night": 1.0, "week": 7.0, "wk": 7.0, "fortnight": 14.0}  # fmt: skip
_LONG_DURATIONS = {"month": 1.0, "mo": 1.0, "quarter": 3.0, "year": 12.0, "yr": 12.0, "decade": 120.0}
_MEASURES = {
    "km": "km", "kilometre": "km", "kilometer": "km", "mile": "mile", "mi": "mile", "metre": "m",
    "meter": "m",
    "cm": "cm", "centimetre": "cm", "centimeter": "cm", "mm": "mm", "foot": "foot", "feet": "foot",
    "ft": "foot", "inch": "inch", "kg": "kg", "kilogram": "kg", "kilo": "kg", "gram": "g",
    "g": "g",
    "pound": "lb", "lb": "lb", "tonne": "t", "ton": "t", "litre": "l", "liter": "l", "ml": "ml", "kb": "kb",
    "mb": "mb", "gb": "gb", "tb": "tb", "kwh": "kwh", "kw": "kw", "mw": "mw", "degree": "degree",
    "°c": "degree", "ms": "ms",
}  # fmt: skip


def unit_kind(word: str) -> tuple[str, float]:
    """Return the kind that a unit word gives a number, and what the number is multiplied by to compare it."""
    if word in ("%", "percent", "pct", "percentage"):
        return "percent", 1.0
    if word in MONEY and word not in ("pound", "pounds"):
        return f"money:{MONEY[word]}", 1.0
    singular = word[:-1] if word.endswith("s") and len(word) > 2 else word
    if singular in _DURATIONS:
        return "duration", _DURATIONS[singular]
    if singular in _LONG_DURATIONS:
        return "months", _LONG_DURATIONS[singular]
    for form in (word, singular, word.removesuffix("es")):
        if form in _MEASURES:
            return f"measure:{_MEASURES[form]}", 1.0
    return "", 1.0
