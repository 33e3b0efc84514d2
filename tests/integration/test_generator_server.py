"""Drafts from a real model server, through a model of each architecture that Footnote names."""

import asyncio
from typing import Any

import pytest
from model_server import ARCHITECTURES, COMPLETION_ONLY, REPLY, ModelServer

from retrieval.answers.writer import GeneratorUnavailable, Task
from retrieval.generator.client import ModelWriter
from retrieval.generator.draft import DraftStream
from retrieval.passage import DocumentRef, Passage

TEXT = "Employees accrue 1.5 days of paid leave for every full month of service."
TASK = Task("How many days?", [Passage("c", DocumentRef("d", "leave.md", 1, "Leave"), TEXT, (), None, 0, len(TEXT))])


def draft(server: ModelServer, model: str | None, **options: Any) -> tuple[list[str], DraftStream, ModelWriter]:
    async def read() -> tuple[list[str], DraftStream, ModelWriter]:
        made = ModelWriter(server.url, model, **options)
        try:
            stream = made.write(TASK)
            return [piece async for piece in stream], stream, made
        finally:
            await made.aclose()

    return asyncio.run(read())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_each_architecture_answers(tiny_model_server: ModelServer, architecture: str) -> None:
    model = tiny_model_server.model(architecture, template=architecture not in COMPLETION_ONLY)
    pieces, stream, _ = draft(tiny_model_server, model)
    assert "".join(pieces) == REPLY
    assert len(pieces) > 1
    assert (stream.passages_used, stream.cut_off) == (1, False)


def test_a_model_without_a_chat_template_is_given_a_text_to_continue(tiny_model_server: ModelServer) -> None:
    pieces, _, _ = draft(tiny_model_server, tiny_model_server.model("llama", template=False))
    assert "".join(pieces) == REPLY


@pytest.mark.parametrize("architecture", ["llama", "qwen3"])  # the server itself keeps only Qwen's apart
def test_reasoning_is_left_out(tiny_model_server: ModelServer, architecture: str) -> None:
    reply = "<think> Is it 1.5 or 2.5? </think> Employees accrue 1.5 days a month [1]."
    pieces, _, _ = draft(tiny_model_server, tiny_model_server.model(architecture, reply))
    assert "".join(pieces) == "Employees accrue 1.5 days a month [1]."


def test_a_model_that_says_the_passages_do_not_say_writes_nothing(tiny_model_server: ModelServer) -> None:
    pieces, stream, _ = draft(tiny_model_server, tiny_model_server.model("llama", "NOT_IN_PASSAGES"))
    assert pieces == []
    assert not stream.cut_off


def test_a_draft_that_is_too_long_says_so(tiny_model_server: ModelServer) -> None:
    pieces, stream, _ = draft(tiny_model_server, tiny_model_server.model(), max_tokens=3)
    text = "".join(pieces)
    assert text
    assert REPLY.startswith(text)
    assert text != REPLY
    assert stream.cut_off


def test_a_model_that_the_server_does_not_have(tiny_model_server: ModelServer) -> None:
    with pytest.raises(GeneratorUnavailable) as caught:
        draft(tiny_model_server, "nobody/no-such-model")
    assert caught.value.code == "generator_down"
    assert "How many days" not in caught.value.detail


def test_health(tiny_model_server: ModelServer) -> None:
    async def ask() -> bool:
        made = ModelWriter(tiny_model_server.url)
        try:
            return (await made.health(timeout_s=20)).ok
        finally:
            await made.aclose()

    assert asyncio.run(ask())
