"""Turns: so many work, so many wait, the rest are sent away."""

from __future__ import annotations

import asyncio

import pytest

from api.turns import Turns
from infra.errors import Busy


def test_so_many_at_once_and_so_many_waiting() -> None:
    async def run() -> tuple[int, int]:
        turns, leave = Turns(at_once=2, waiting=3), asyncio.Event()
        here = most = refused = 0

        async def work() -> None:
            nonlocal here, most, refused
            try:
                async with turns.turn():
                    here += 1
                    most = max(most, here)
                    await leave.wait()
                    here -= 1
            except Busy:
                refused += 1

        tasks = [asyncio.create_task(work()) for _ in range(7)]
        await asyncio.sleep(0)
        assert (here, refused) == (2, 2)
        leave.set()
        await asyncio.gather(*tasks)
        return most, refused

    assert asyncio.run(run()) == (2, 2)


def test_one_that_fails_or_leaves_gives_its_turn_back() -> None:
    async def run() -> None:
        turns = Turns(at_once=1, waiting=0)
        for _ in range(3):
            with pytest.raises(ValueError, match="no"):
                async with turns.turn():
                    raise ValueError("no")
        task = asyncio.create_task(_hold(turns))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with turns.turn():
            pass

    asyncio.run(run())


async def _hold(turns: Turns) -> None:
    async with turns.turn():
        await asyncio.Event().wait()
