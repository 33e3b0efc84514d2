"""Asking on behalf of a caller: every way in answers through here, so that each answer is kept and counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from api.caller import Caller
from api.services import Services
from infra.telemetry import observe_answer
from retrieval.answers.answering import Ask, Done, Event, answer_events
from retrieval.answers.records import save_answer


async def ask_events(services: Services, ask: Ask, caller: Caller) -> AsyncGenerator[Event, None]:
    """The events of an answer; its record is stored before ``Done`` is passed on."""
    async with aclosing(answer_events(services.engine, ask, caller.access)) as events:
        async for event in events:
            if isinstance(event, Done):
                await asyncio.to_thread(_keep, services, event, ask, caller)
            yield event


async def ask_once(services: Services, ask: Ask, caller: Caller) -> Done:
    """The answer at once."""
    async with aclosing(ask_events(services, ask, caller)) as events:
        async for event in events:
            if isinstance(event, Done):
                return event
    raise RuntimeError("the stream of events ended without an answer")


def _keep(services: Services, done: Done, ask: Ask, caller: Caller) -> None:
    answer = done.answer
    with services.database.write() as session:
        save_answer(session, done, ask, caller.access, caller.name)
    reason = None if answer.reason is None else answer.reason.value
    observe_answer(answer.status.value, reason, answer.degraded, dict(answer.timings_ms))
