"""Values as byte strings that compare as filters compare the values.

A value of a document is stored under one key or two, a filter's value seeks one or two, each of a kind: two values are equal to a filter
when a stored key is a sought one, and ordered as the bytes of their keys of the same kind are. ``compares`` in ``retrieval/filters.py`` is
the definition that this follows.
"""

from __future__ import annotations

import struct
import sys
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any

from retrieval.filters import comparable

ValueKey = tuple["KeyKind", bytes]


class KeyKind(IntEnum):
    """What a key was made of. ``DATED`` is the text of a date, which a text that is no date is compared with."""

    NULL = 0
    BOOLEAN = 1
    NUMBER = 2
    TEXT = 3
    MOMENT = 4
    DATED = 5
    OTHER = 6


_FIRST_MOMENT = datetime(1, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SIGN = 1 << 63
_ALL_BITS = (1 << 64) - 1


def stored_keys(value: Any) -> tuple[ValueKey, ...]:
    """The keys of a document's value; of an object or a list ``OTHER``, which is never sought."""
    return _keys(value, KeyKind.DATED) or ((KeyKind.OTHER, b""),)


def sought_keys(wanted: Any) -> tuple[ValueKey, ...]:
    """The keys that a filter's value is compared with, each with those of its kind."""
    if comparable(wanted)[0] == "text":
        text = text_key(wanted)
        return (KeyKind.TEXT, text), (KeyKind.DATED, text)
    return _keys(wanted, KeyKind.TEXT)


def _keys(value: Any, text_of_a_moment: KeyKind) -> tuple[ValueKey, ...]:
    kind, compared = comparable(value)
    if kind == "text":
        return ((KeyKind.TEXT, text_key(compared)),)
    if kind == "number":
        return ((KeyKind.NUMBER, number_key(compared)),)
    if kind == "boolean":
        return ((KeyKind.BOOLEAN, b"\1" if compared else b"\0"),)
    if kind == "moment":
        key = (KeyKind.MOMENT, moment_key(compared))
        return (key, (text_of_a_moment, text_key(value))) if isinstance(value, str) else (key,)
    return ((KeyKind.NULL, b""),) if kind == "null" else ()


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
