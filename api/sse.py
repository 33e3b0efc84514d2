"""Server-sent events: named events of JSON, a comment every ten seconds, and an end to the work when the client leaves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import msgspec
from litestar.response import Stream

from infra.telemetry import observe_abandoned_stream

PING_S = 10.0
_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


def event_stream(events: AsyncIterator[tuple[str, Any]]) -> Stream:
    """A response that sends ``(name, value)`` events."""
    return stream(encode(name, value) async for name, value in events)


def stream(pieces: AsyncIterator[bytes]) -> Stream:
    """A response of ready-made pieces, kept alive by comments."""
    return Stream(with_pings(pieces), media_type="text/event-stream", headers=_HEADERS)


def encode(name: str, value: Any) -> bytes:
    """One event."""
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode(value) + b"\n\n"


async def with_pings(pieces: AsyncIterator[bytes], every_s: float = PING_S) -> AsyncGenerator[bytes, None]:
    """Pass ``pieces`` on, with a comment whenever none came for ``every_s`` seconds; closing this closes them."""
    finished = False
    pending: asyncio.Task[bytes] | None = None
    try:
        while True:
            pending = pending or asyncio.ensure_future(_next(pieces))
            done, _ = await asyncio.wait({pending}, timeout=every_s)
            if not done:
                yield b": ping\n\n"
                continue
            task, pending = pending, None
            try:
                piece = task.result()
            except StopAsyncIteration:
                finished = True
                return
            yield piece
    finally:
        if not finished:
            observe_abandoned_stream()
        if pending is not None:
            pending.cancel()
            with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration):
                await pending
        close = getattr(pieces, "aclose", None)
        if close is not None:
            await close()


async def _next(pieces: AsyncIterator[bytes]) -> bytes:
    return await anext(pieces)
