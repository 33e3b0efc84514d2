"""Encodings: marks, declarations, and what is tried without either."""

from __future__ import annotations

import random

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


JAPANESE = "経理部からのお知らせです。交通費の精算は毎月末日までに申請してください。"
CHINESE = "公司规定：员工每年享有十五天带薪年假。请提前两周向主管提交申请。"
RUSSIAN = "Уважаемые коллеги! Отпуск оформляется за две недели до его начала."
POLISH = "Żółta łódź płynie. Pracownicy mają prawo do urlopu, gdyż są zatrudnieni."


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (JAPANESE, "shift_jis"),
        (JAPANESE, "euc_jp"),
        (JAPANESE, "iso2022_jp"),
        (JAPANESE, "utf-16"),
        (JAPANESE, "utf-16-le"),
        (CHINESE, "gb18030"),
        (CHINESE, "utf-16-be"),
        (RUSSIAN, "koi8-r"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "iso8859-5"),
        (RUSSIAN, "utf-16-le"),
        (POLISH, "cp1250"),
        (POLISH, "iso8859-2"),
        ("Größe und Maß: für alle zwölf Räume, déjà vu.", "latin-1"),
        ("“Curly” – 10 € für Müller", "cp1252"),
        ("안녕하세요. 휴가는 이주 전에 신청해야 합니다.", "euc_kr"),
        ("Οι εργαζόμενοι δικαιούνται άδεια είκοσι ημερών.", "iso8859-7"),
    ],
)
def test_one_short_paragraph_is_enough_to_tell(text: str, encoding: str) -> None:
    assert not looks_binary(text.encode(encoding))
    assert decode_text(text.encode(encoding)) == text


def test_random_bytes_are_not_taken_for_two_byte_text() -> None:
    chance = random.Random(1)
    assert sum(not looks_binary(chance.randbytes(chance.randint(200, 4000))) for _ in range(300)) <= 1


def test_a_broken_byte_costs_itself_only() -> None:
    assert decode_text("naïve café über".encode() + b"\xff") == "naïve café über\ufffd"


def test_an_unknown_declared_charset_is_ignored() -> None:
    assert decode_text(TEXT.encode("cp1252"), "no-such-charset") == TEXT


def test_tells_binary_from_text() -> None:
    assert looks_binary(bytes(range(256)) * 4)
    assert not looks_binary(TEXT.encode("cp1252"))
    assert not looks_binary(b"a stray \x00 in a long line of text" + b"x" * 200)
