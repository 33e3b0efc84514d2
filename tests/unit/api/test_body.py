"""JSON bodies are read strictly, and errors name the field."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from litestar.exceptions import ValidationException

from api import body as body_module
from api.body import decode, read_whole
from api.wire import SearchBody, SuggestionBody
from infra.errors import Busy, InvalidInput, TooLarge


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


def pieces(*sizes: int) -> AsyncIterator[bytes]:
    async def give() -> AsyncIterator[bytes]:
        for size in sizes:
            yield b"x" * size

    return give()


def test_a_body_has_a_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "MAX_JSON", 10)
    assert asyncio.run(read_whole(pieces(4, 6))) == b"x" * 10
    with pytest.raises(TooLarge, match="send larger documents as files"):
        asyncio.run(read_whole(pieces(4, 6, 1)))


def test_all_bodies_that_are_being_received_have_a_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "_MAX_RECEIVED", 10)

    async def slow(leave: asyncio.Event) -> AsyncIterator[bytes]:
        yield b"x" * 8
        await leave.wait()

    async def run() -> None:
        leave = asyncio.Event()
        first = asyncio.create_task(read_whole(slow(leave)))
        await asyncio.sleep(0)
        with pytest.raises(Busy) as caught:
            await read_whole(pieces(3))
        assert caught.value.code == "too_many_bodies"
        leave.set()
        assert await first == b"x" * 8
        assert await read_whole(pieces(10)) == b"x" * 10

    asyncio.run(run())
