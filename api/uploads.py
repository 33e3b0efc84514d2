"""Uploads on their way to the spool, without holding a whole file in memory, or a thread while a sender is slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import TracebackType

from ingest.spool import Spool, Upload

# What arrives is gathered to so much before a thread writes it.
_GATHERED = 2**20


class UploadStream:
    """One upload, written from the event loop: ``write`` its pieces, then ``keep`` it. Left otherwise, it is dropped."""

    def __init__(self, spool: Spool, limit: int) -> None:
        self._spool, self._limit = spool, limit
        self._upload: Upload | None = None
        self._pieces: list[bytes] = []
        self._gathered = 0
        self._kept = False

    async def __aenter__(self) -> UploadStream:
        self._upload = await asyncio.to_thread(self._spool.begin, self._limit)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._upload is not None and not self._kept:
            # Not in a thread: the task may be cancelled, and would not come back for it.
            self._upload.drop()

    async def write(self, piece: bytes) -> None:
        """Add ``piece``; raises as ``Upload.write`` does."""
        self._pieces.append(piece)
        self._gathered += len(piece)
        if self._gathered >= _GATHERED:
            await self._flush()

    async def keep(self) -> str:
        """Sync the upload to disk and give its name; raises as ``Upload`` does."""
        await self._flush()
        name = await asyncio.to_thread(self._opened().keep)
        self._kept = True
        return name

    async def _flush(self) -> None:
        pieces, self._pieces, self._gathered = self._pieces, [], 0
        if pieces:
            await asyncio.to_thread(_write, self._opened(), pieces)

    def _opened(self) -> Upload:
        if self._upload is None:
            raise RuntimeError("an upload stream is used inside `async with`")
        return self._upload


def _write(upload: Upload, pieces: Sequence[bytes]) -> None:
    upload.write(b"".join(pieces))


async def spool_stream(spool: Spool, pieces: AsyncIterator[bytes], limit: int) -> str:
    """Write ``pieces`` to the spool as they arrive.

    Raises ``TooLarge`` over ``limit`` bytes, ``StorageFull`` if the disk has no room, and ``Busy`` if too much waits already.
    """
    async with UploadStream(spool, limit) as upload:
        async for piece in pieces:
            if piece:
                await upload.write(piece)
        return await upload.keep()
