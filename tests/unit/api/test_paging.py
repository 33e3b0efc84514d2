"""Pages: a cursor is opaque, goes round, and is refused when it is not ours."""

from __future__ import annotations

import pytest

from api.paging import decode_cursor, encode_cursor, page
from infra.errors import InvalidInput


@pytest.mark.parametrize("key", ["a", "a/b ä😀", "x" * 1024, "?&=#"])
def test_a_cursor_goes_round(key: str) -> None:
    cursor = encode_cursor(key)
    assert decode_cursor(cursor) == key
    assert cursor.isascii()
    assert not set(cursor) & set("+/=&?#")


@pytest.mark.parametrize("cursor", ["_w", "ä", "a", "AA\x00"])
def test_a_cursor_that_is_not_ours(cursor: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_cursor(cursor)
    assert caught.value.code == "invalid_cursor"


def test_a_page() -> None:
    assert decode_cursor(None) is None
    assert page([{"a": 1}], None) == {"items": [{"a": 1}], "next_cursor": None}
    assert page([], "k") == {"items": [], "next_cursor": encode_cursor("k")}
