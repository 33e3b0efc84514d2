"""A model writer on a scripted server, and what it drafts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from scripted_server import ScriptedServer

from retrieval.answers.writer import GeneratorUnavailable, Task
from retrieval.generator.client import ModelWriter, Timeouts
from retrieval.generator.draft import DraftStream
from retrieval.passage import DocumentRef, Passage

QUESTION = "How much is the zebra allowance?"
PASSAGE = Passage("c", DocumentRef("d", "leave.md", 1, "Leave"), "Days accrue monthly.", (), None, 0, 20)
TASK = Task(QUESTION, [PASSAGE])
CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
GENERATE = "/generate_stream"
IMPATIENT = Timeouts(first_token_s=0.5, between_tokens_s=0.5)


def writer(server: ScriptedServer, **options: Any) -> ModelWriter:
    return ModelWriter(server.url, **{"model": "m", **options})


async def drafting(made: ModelWriter, task: Task = TASK) -> tuple[list[str], DraftStream]:
    stream = made.write(task)
    try:
        return [piece async for piece in stream], stream
    finally:
        await stream.aclose()
        await made.aclose()


def draft(made: ModelWriter, task: Task = TASK) -> str:
    return "".join(asyncio.run(drafting(made, task))[0])


def failure(made: ModelWriter, task: Task = TASK) -> GeneratorUnavailable:
    with pytest.raises(GeneratorUnavailable) as caught:
        draft(made, task)
    error = caught.value
    assert "zebra" not in error.detail
    assert "127.0.0.1" not in error.detail
    assert error.detail.endswith(".")
    assert error.status == 503
    return error
