"""Values as byte strings that compare as filters compare the values.

A value of a document is stored under one key or two, a filter's value seeks one or two. The first byte of a key is its kind: two
values are equal to a filter when a stored key is a sought one, and ordered as their keys of the same kind are. ``compares`` in
``retrieval/filters.py`` is the definition that this follows.
"""

from __future__ import annotations

import struct
import sys
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from retrieval.filters import comparable

# The kinds. The text of a date is kept apart from other texts, as only these are compared with it as a text.
NULL, BOOLEAN, NUMBER, TEXT, MOMENT, DATED_TEXT, OTHER = (bytes([kind]) for kind in range(7))
KINDS = 7

_FIRST_MOMENT = datetime(1, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SIGN = 1 << 63
_ALL_BITS = (1 << 64) - 1
_REMEMBERED = 64


def stored_keys(value: Any) -> tuple[bytes, ...]:
    """The keys of a document's value; of an object or a list ``OTHER``, which is never sought."""
    if isinstance(value, str):
        return _text_keys(value) if len(value) <= _REMEMBERED else _stored_text(value)
    return _keys(value) or (OTHER,)


def sought_keys(wanted: Any) -> tuple[bytes, ...]:
    """The keys that a filter's value is compared with, each with those of its kind."""
    if not isinstance(wanted, str):
        return _keys(wanted)
    text = text_key(wanted)
    kind, moment = comparable(wanted)
    return (TEXT + text, DATED_TEXT + text) if kind == "text" else (MOMENT + moment_key(moment), TEXT + text)


def _stored_text(text: str) -> tuple[bytes, ...]:
    kind, moment = comparable(text)
    key = text_key(text)
    return (TEXT + key,) if kind == "text" else (MOMENT + moment_key(moment), DATED_TEXT + key)


# Most texts of a collection come again: types, departments, dates. The limit keeps long ones out of memory.
_text_keys = lru_cache(maxsize=16_384)(_stored_text)


def _keys(value: Any) -> tuple[bytes, ...]:
    """The key of a value that is no text; stored and sought are the same."""
    kind, compared = comparable(value)
    if kind == "number":
        return (NUMBER + number_key(compared),)
    if kind == "moment":
        return (MOMENT + moment_key(compared),)
    if kind == "null":
        return (NULL,)
    if kind == "boolean":
        return (BOOLEAN + (b"\1" if compared else b"\0"),)
    return ()


def text_key(text: str) -> bytes:
    """UTF-8, whose bytes are ordered as the code points are; lone surrogates are let through."""
    return text.encode("utf-8", "surrogatepass")


def number_key(number: int | float) -> bytes:
    """The nearest float, ordered as its bits are when a negative one's are inverted; then what an integer is off it, signed.

    An integer beyond all floats is written as off the last one, so that every key is exact. ``number`` is no NaN.
    """
    try:
        near = float(number)
    except OverflowError:
        near = sys.float_info.max if number > 0 else -sys.float_info.max
    bits = int.from_bytes(struct.pack(">d", near + 0.0), "big")  # -0.0 + 0.0 is 0.0
    ordered = (bits ^ _ALL_BITS if bits & _SIGN else bits | _SIGN).to_bytes(8, "big")
    off = number - int(near) if isinstance(number, int) else 0
    if not off:
        return ordered + b"\1"
    size = (off.bit_length() + 7) // 8
    if off > 0:
        return ordered + b"\2" + size.to_bytes(4, "big") + off.to_bytes(size, "big")
    inverted = (1 << 8 * (size + 4)) - 1 - ((size << 8 * size) - off)
    return ordered + b"\0" + inverted.to_bytes(size + 4, "big")


def moment_key(moment: datetime) -> bytes:
    """Microseconds since the year 1 in UTC; a zone may put a moment before that."""
    return ((moment - _FIRST_MOMENT) // _MICROSECOND + _SIGN).to_bytes(8, "big")
