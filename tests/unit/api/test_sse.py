"""Server-sent events: their shape, the comments between them, and the end when the client leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from api.sse import PING_S, encode, with_pings
from infra.telemetry import REGISTRY


def abandoned() -> float:
    return REGISTRY.get_sample_value("footnote_streams_abandoned_total") or 0.0


def test_an_event_is_one_line_of_json() -> None:
    assert encode("delta", {"text": "a\nb ä"}) == 'event: delta\ndata: {"text":"a\\nb ä"}\n\n'.encode()
    assert PING_S == 10.0


def test_comments_fill_the_silence_and_nothing_is_lost() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        await asyncio.sleep(0.2)
        yield b"two"

    async def read() -> list[bytes]:
        return [piece async for piece in with_pings(pieces(), every_s=0.02)]

    before = abandoned()
    found = asyncio.run(read())
    assert [piece for piece in found if piece != b": ping\n\n"] == [b"one", b"two"]
    assert found[0] == b"one"
    assert found[-1] == b"two"
    assert b": ping\n\n" in found
    assert abandoned() == before


@pytest.mark.parametrize("waiting", [True, False])
def test_a_client_that_leaves_ends_the_work(waiting: bool) -> None:
    ended: list[str] = []

    async def pieces() -> AsyncIterator[bytes]:
        try:
            yield b"one"
            await asyncio.sleep(60)
            yield b"never"
        finally:
            ended.append("closed")

    async def leave() -> None:
        stream = with_pings(pieces(), every_s=0.01)
        assert await anext(stream) == b"one"
        if waiting:
            assert await anext(stream) == b": ping\n\n"
        await stream.aclose()
        assert ended == ["closed"]

    before = abandoned()
    asyncio.run(leave())
    assert abandoned() == before + 1


def test_an_error_in_the_work_reaches_the_reader() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        raise ValueError("broken")

    async def read() -> None:
        async for _ in with_pings(pieces()):
            pass

    with pytest.raises(ValueError, match="broken"):
        asyncio.run(read())
