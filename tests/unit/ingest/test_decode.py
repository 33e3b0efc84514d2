"""Encodings: marks, declarations, and what is tried without either."""

from __future__ import annotations

import pytest

from ingest.decode import decode_text, looks_binary

TEXT = "Grüße aus Köln – “naïve” café, 10 €"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_reads_western_text_in(encoding: str) -> None:
    assert decode_text(TEXT.encode(encoding)) == TEXT


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_reads_two_byte_text_without_a_mark(encoding: str) -> None:
    assert decode_text(TEXT.encode(encoding)) == TEXT
    assert not looks_binary(TEXT.encode(encoding))


def test_a_declared_charset_is_used_where_the_bytes_are_not_utf_8() -> None:
    hebrew = "שלום לכולם"
    assert decode_text(hebrew.encode("cp1255"), "cp1255") == hebrew
    page = f'<meta charset="windows-1251"><p>{"Привет, мир. " * 5}'
    assert decode_text(page.encode("cp1251")) == page


def test_other_scripts_are_guessed() -> None:
    russian = "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 10
    assert decode_text(russian.encode("cp1251")) == russian


def test_a_broken_byte_costs_itself_only() -> None:
    assert decode_text("naïve café über".encode() + b"\xff") == "naïve café über\ufffd"


def test_an_unknown_declared_charset_is_ignored() -> None:
    assert decode_text(TEXT.encode("cp1252"), "no-such-charset") == TEXT


def test_tells_binary_from_text() -> None:
    assert looks_binary(bytes(range(256)) * 4)
    assert not looks_binary(TEXT.encode("cp1252"))
    assert not looks_binary(b"a stray \x00 in a long line of text" + b"x" * 200)
