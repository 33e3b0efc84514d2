"""JSON bodies are read strictly, and errors name the field."""

from __future__ import annotations

import pytest
from litestar.exceptions import ValidationException

from api.body import decode
from api.wire import SearchBody, SuggestionBody
from infra.errors import InvalidInput


def test_a_good_body() -> None:
    assert decode(b'{"query": "x", "top_k": 3}', SearchBody) == SearchBody(query="x", top_k=3)


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b"{}", "query"),
        (b'{"query": "x", "top_k": "3"}', "top_k"),
        (b'{"query": "x", "rerank": "true"}', "rerank"),
        (b'{"query": "x", "colour": 1}', "colour"),
        (b'{"query": "x", "collections": [1]}', "collections[0]"),
        (b"[]", ""),
    ],
)
def test_a_wrong_field_is_named(raw: bytes, field: str) -> None:
    with pytest.raises(ValidationException) as caught:
        decode(raw, SearchBody)
    assert caught.value.extra[0]["key"] == field  # type: ignore[index]


def test_a_field_within_is_named_with_its_path() -> None:
    with pytest.raises(ValidationException) as caught:
        decode(b'{"ticket": {"id": "t", "messages": [{"author": "customer"}]}}', SuggestionBody)
    assert caught.value.extra[0]["key"] == "ticket.messages[0].text"  # type: ignore[index]


@pytest.mark.parametrize("raw", [b"", b"{", b'{"query": "\xff"}', b'{"query": "\\ud800"}', b'{"query": "x"} {}'])
def test_what_is_no_json(raw: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode(raw, SearchBody)
    assert caught.value.code == "invalid_json"
