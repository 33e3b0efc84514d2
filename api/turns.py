"""How many requests may do heavy work at a time; a few more wait for their turn, and the rest are sent away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from infra.errors import Busy


@dataclass(slots=True)
class Turns:
    """``at_once`` requests work, ``waiting`` more wait; all of one event loop."""

    at_once: int = 4
    waiting: int = 64
    _here: int = 0
    _free: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._free = asyncio.Semaphore(self.at_once)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it for the block; raises ``Busy`` if too many wait already."""
        if self._here >= self.at_once + self.waiting:
            raise Busy(
                f"{self.waiting} requests wait to be worked on, which is the limit: send this again later, or without wait=true.",
                code="too_many_waiting",
                retry_after_s=10,
            )
        self._here += 1
        try:
            async with self._free:
                yield
        finally:
            self._here -= 1
