"""Bytes to text: the encoding is told by a mark, by what the text declares, or by trying."""

from __future__ import annotations

import codecs
import re

from charset_normalizer import from_bytes

# UTF-32 first: its little-endian mark begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DECLARED = re.compile(rb"(?:charset\s*=\s*|encoding\s*=\s*)[\"']?([A-Za-z0-9_.:-]{3,20})", re.IGNORECASE)
_CONTROL = bytes(set(range(32)) - {9, 10, 12, 13, 27})
_SAMPLE = 65536
_MANY_ZEROS = 0.3  # of every second byte: text in a two-byte encoding, not a stray NUL
# Western text has single accents and quotes beyond ASCII; other scripts have whole words of such bytes.
_HIGH_RUN = re.compile(rb"[\x80-\xff]{3,}")


def _two_byte(sample: bytes) -> str | None:
    """The byte order of UTF-16 without a mark: the bytes that are zero for ASCII, if the others make text."""
    half = max(1, len(sample) // 2)
    for name, zeros in (("utf-16-le", sample[1::2]), ("utf-16-be", sample[0::2])):
        if zeros.count(0) / half > _MANY_ZEROS:
            text = sample[: half * 2].decode(name, "replace")
            if sum(char < " " and char not in "\t\n\r\f" for char in text) < len(text) * 0.02:
                return name
    return None


def _marked(data: bytes) -> str | None:
    for mark, name in _MARKS:
        if data.startswith(mark):
            return name
    return None


def looks_binary(data: bytes) -> bool:
    """Whether ``data`` is no text in any encoding: it has too many control characters."""
    sample = data[:_SAMPLE]
    if _marked(sample) or _two_byte(sample):
        return False
    return len(sample) - len(sample.translate(None, _CONTROL)) > len(sample) * 0.02


def decode_text(data: bytes, declared: str | None = None) -> str:
    """Decode ``data``; ``declared`` is a charset that its envelope names. Never fails: a bad byte becomes U+FFFD."""
    if mark := _marked(data):
        return data.decode(mark, "replace")
    if two_byte := _two_byte(data[:_SAMPLE]):
        return data.decode(two_byte, "replace")
    for name in ("utf-8", declared, _self_declared(data)):
        if name and (text := _strict(data, name)) is not None:
            return text
    sample = data[:_SAMPLE]
    high = sum(byte > 127 for byte in sample)
    if sample.decode("utf-8", "replace").count("\ufffd") * 4 < high:
        return data.decode("utf-8", "replace")
    in_words = sum(len(run) for run in _HIGH_RUN.findall(sample))
    if in_words * 2 > high and (guess := from_bytes(sample).best()) is not None:
        return data.decode(guess.encoding, "replace")
    return data.decode("cp1252", "replace")


def _self_declared(data: bytes) -> str | None:
    found = _DECLARED.search(data[:2048])
    return found.group(1).decode("ascii") if found else None


def _strict(data: bytes, name: str) -> str | None:
    try:
        return data.decode(name)
    except (LookupError, UnicodeDecodeError):
        return None
