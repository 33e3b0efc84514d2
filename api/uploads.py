"""Uploads on their way to the spool, without holding a whole file in memory."""

from __future__ import annotations

import asyncio
import contextlib
import queue
from collections.abc import AsyncIterator, Iterator

from ingest.spool import Spool

_WAITING_PIECES = 16


async def spool_stream(spool: Spool, pieces: AsyncIterator[bytes], limit: int) -> str:
    """Write ``pieces`` to the spool as they arrive; raises ``TooLarge`` over ``limit`` bytes."""
    waiting: queue.Queue[bytes | None] = queue.Queue(_WAITING_PIECES)

    def drain() -> Iterator[bytes]:
        while (piece := waiting.get()) is not None:
            yield piece

    async def put(piece: bytes | None) -> None:
        # Blocking on a full queue would stop the event loop; a short wait lets the disk catch up.
        while not writer.done():
            with contextlib.suppress(queue.Full):
                waiting.put_nowait(piece)
                return
            await asyncio.sleep(0.005)

    writer = asyncio.create_task(asyncio.to_thread(spool.write, drain(), limit))
    try:
        async for piece in pieces:
            if piece:
                await put(piece)
            if writer.done():
                break
    finally:
        await put(None)
    return await writer
