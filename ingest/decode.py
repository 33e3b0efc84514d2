"""Bytes to text: the encoding is told by a mark, by what the text declares, or by trying."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import Counter

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
# What is guessed from: the encodings that people's files are in. With all that Python knows, a short text in KOI8-R is
# as good as one in an encoding that nobody uses.
_CENTRAL_EUROPEAN = ["cp1250", "iso8859_2"]
_OTHER_SCRIPTS = [
    "cp1251", "koi8_r", "cp866", "iso8859_5", "cp932", "euc_jp", "gb18030", "big5", "euc_kr",
    "cp1253", "iso8859_7", "cp1255", "cp1256", "cp874", *_CENTRAL_EUROPEAN,
]  # fmt: skip
_JAPANESE_SWITCH = (b"\x1b$B", b"\x1b$@")  # to two-byte characters, in the encoding of Japanese mail
_COMMON_SIGNS = frozenset(" \n,.、。，　")
_READABLE = 0.97  # of the characters


def _two_byte(sample: bytes) -> str | None:
    """The byte order of UTF-16 without a mark: the bytes that are zero for ASCII, if the others make text."""
    half = max(1, len(sample) // 2)
    for name, zeros in (("utf-16-le", sample[1::2]), ("utf-16-be", sample[0::2])):
        if zeros.count(0) / half > _MANY_ZEROS:
            text = sample[: half * 2].decode(name, "replace")
            if sum(char < " " and char not in "\t\n\r\f" for char in text) < len(text) * 0.02:
                return name
    for name in ("utf-16-le", "utf-16-be"):
        if _reads_as(sample[: half * 2], name):
            return name
    return None


def _reads_as(sample: bytes, name: str) -> bool:
    """Whether UTF-16 without a mark reads as text in a script whose bytes are not zero: one block of letters, and signs."""
    if len(sample) < 16 or len(sample.translate(None, _CONTROL)) > len(sample) * 0.98:
        return False  # no control characters: text in another encoding
    try:
        text = sample.decode(name)
    except UnicodeDecodeError:
        return False
    letters = [ord(char) for char in text if char.isalpha()]
    if len(letters) < 4 or not _COMMON_SIGNS & set(text):
        return False
    readable = sum(char.isalnum() or char.isspace() or unicodedata.category(char)[0] == "P" for char in text)
    return readable >= len(text) * _READABLE and _of_one_script(letters)


def _of_one_script(letters: list[int]) -> bool:
    east_asian = sum(0x3040 <= each < 0x30FF or 0x4E00 <= each < 0xA000 or 0xAC00 <= each < 0xD7B0 for each in letters)
    pages = Counter(each >> 8 for each in letters)
    return max(east_asian, pages.most_common(1)[0][1]) >= len(letters) * 0.9


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
    if any(switch in data[:_SAMPLE] for switch in _JAPANESE_SWITCH):
        declared = declared or "iso2022_jp"
        if (text := _strict(data, declared)) is not None:
            return text
    for name in ("utf-8", declared, _self_declared(data)):
        if name and (text := _strict(data, name)) is not None:
            return text
    sample = data[:_SAMPLE]
    high = sum(byte > 127 for byte in sample)
    if sample.decode("utf-8", "replace").count("\ufffd") * 4 < high:
        return data.decode("utf-8", "replace")
    in_words = sum(len(run) for run in _HIGH_RUN.findall(sample))
    candidates = _OTHER_SCRIPTS if in_words * 2 > high else ["cp1252", *_CENTRAL_EUROPEAN]
    guesses = from_bytes(sample, cp_isolation=candidates)
    western = any(guess.encoding == "cp1252" for guess in guesses)
    best = None if western else guesses.best()
    return data.decode(best.encoding if best is not None else "cp1252", "replace")


def _self_declared(data: bytes) -> str | None:
    found = _DECLARED.search(data[:2048])
    return found.group(1).decode("ascii") if found else None


def _strict(data: bytes, name: str) -> str | None:
    try:
        return data.decode(name)
    except (LookupError, UnicodeDecodeError):
        return None
