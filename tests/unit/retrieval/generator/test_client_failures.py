"""What fails is told in words, and nothing of it becomes an answer; the health of a server."""

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing

import pytest
from model_writer import (
    CHAT,
    COMPLETIONS,
    GENERATE,
    IMPATIENT,
    TASK,
    failure,
    writer,
)
from scripted_server import Exchange, ScriptedServer, chunk, refuses

from retrieval.answers.writer import GeneratorUnavailable
from retrieval.generator.client import ModelWriter, Timeouts
from retrieval.generator.info import ServerHealth

# Failures


def test_a_server_that_is_down() -> None:
    error = failure(ModelWriter("http://127.0.0.1:9/v1", "m"))
    assert error.code == "generator_down"
    assert "refused the connection" in error.detail


def test_a_host_that_does_not_exist() -> None:
    error = failure(ModelWriter("http://me:pw@nowhere.invalid/v1", "m"))
    assert error.code == "generator_down"
    assert "host name" in error.detail
    assert "nowhere" not in error.detail


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "API key"),
        (403, "FOOTNOTE_LLM_API_KEY"),
        (404, "FOOTNOTE_LLM_MODEL"),
        (429, "overloaded"),
        (500, "failed"),
        (503, "not ready"),
    ],
)
@pytest.mark.parametrize("api", ["openai", "tgi"])
def test_an_error_status(scripted_server: ScriptedServer, api: str, status: int, words: str) -> None:
    for path in (CHAT, COMPLETIONS, GENERATE, "/"):
        scripted_server.on(path, refuses(status, {"error": "about zebra", "error_type": "validation"}))
    error = failure(writer(scripted_server, api=api))
    assert error.code == "generator_down"
    assert words in error.detail
    assert f"status {status}" in error.detail


def raw(data: bytes, content_type: str = "text/event-stream") -> Callable[[Exchange], None]:
    return lambda exchange: exchange.reply(200, data, content_type)


@pytest.mark.parametrize(
    "behaviour",
    [
        raw(b"<html><body>Welcome to zebra</body></html>", "text/html"),
        raw(b""),
        raw(b"data: this is no JSON\n\n"),
        raw(b'data: ["a", "list"]\n\n'),
        raw(b'data: "text"\n\n'),
        raw(b'data: {"choices": "zebra"}\n\n'),
        raw(b'data: {"choices": [{"delta": {"content": 5}}]}\n\n'),
        raw(b'data: {"choices": [7]}\n\n'),
        raw(b'data: {"something": "else"}\n\n'),
        raw(b'{"choices": [{"message": {"content": "not streamed"}}]}', "application/json"),
        raw(b"\xff\xfe\x00 garbage \n\n data:"),
        raw(b"data: " + b"[" * 100_000 + b"\n\n"),
    ],
)
@pytest.mark.parametrize("api", ["openai", "tgi"])
def test_what_is_no_stream_of_text(
    scripted_server: ScriptedServer, api: str, behaviour: Callable[[Exchange], None]
) -> None:
    scripted_server.on(CHAT, behaviour)
    scripted_server.on(GENERATE, behaviour)
    assert failure(writer(scripted_server, api=api)).code == "generator_garbage"


def test_garbage_for_a_completion(scripted_server: ScriptedServer) -> None:
    scripted_server.on(CHAT, refuses(400, {"error": "no chat template"}))
    made = writer(scripted_server)
    for behaviour in (raw(b"<html>", "text/html"), raw(b"data: {\n\n"), raw(b"data: [1]\n\n")):
        scripted_server.on(COMPLETIONS, behaviour)
        assert failure(made).code == "generator_garbage"


def test_a_server_that_closes_without_a_word(scripted_server: ScriptedServer) -> None:
    scripted_server.on(CHAT, Exchange.cut)
    error = failure(writer(scripted_server))
    assert error.code == "generator_down"
    assert "closed the connection" in error.detail


def opens(*pieces: str, then: Callable[[Exchange], None]) -> Callable[[Exchange], None]:
    def behaviour(exchange: Exchange) -> None:
        exchange.begin()
        for piece in pieces:
            exchange.event(chunk(piece))
        then(exchange)

    return behaviour


@pytest.mark.parametrize("then", [Exchange.cut, Exchange.end, lambda exchange: exchange.end(done=False)])
def test_a_stream_that_ends_in_the_middle(scripted_server: ScriptedServer, then: Callable[[Exchange], None]) -> None:
    scripted_server.on(CHAT, opens("Employees accrue", then=then))
    made = writer(scripted_server)
    got: list[str] = []

    async def read() -> None:
        try:
            async for piece in made.write(TASK):
                got.append(piece)  # noqa: PERF401 - what came before the error counts
        finally:
            await made.aclose()

    with pytest.raises(GeneratorUnavailable) as caught:
        asyncio.run(read())
    assert got == ["Employees accrue"]
    assert caught.value.code == "generator_interrupted"


def test_a_stream_cut_in_the_middle_of_an_event(scripted_server: ScriptedServer) -> None:
    def half(exchange: Exchange) -> None:
        exchange.raw(b'data: {"choices": [{"del')
        exchange.cut()

    scripted_server.on(CHAT, opens("Employees", then=half))
    assert failure(writer(scripted_server)).code == "generator_interrupted"


def test_an_error_event_after_text_is_an_interruption(scripted_server: ScriptedServer) -> None:
    def breaks(exchange: Exchange) -> None:
        exchange.event({"error": {"message": "out of memory near zebra", "code": 500}})
        exchange.end()

    scripted_server.on(CHAT, opens("Employees", then=breaks))
    assert failure(writer(scripted_server)).code == "generator_interrupted"


def test_no_answer_within_the_first_wait(scripted_server: ScriptedServer) -> None:
    scripted_server.on(CHAT, Exchange.hang)
    error = failure(writer(scripted_server, timeouts=IMPATIENT))
    assert error.code == "generator_timeout"
    assert "begin" in error.detail


def test_a_head_without_a_token_is_no_beginning(scripted_server: ScriptedServer) -> None:
    scripted_server.on(CHAT, opens("", then=Exchange.hang))
    error = failure(writer(scripted_server, timeouts=IMPATIENT))
    assert error.code == "generator_timeout"
    assert "begin" in error.detail


def test_a_stall_between_tokens(scripted_server: ScriptedServer) -> None:
    scripted_server.on(CHAT, opens("Employees", then=Exchange.hang))
    error = failure(writer(scripted_server, timeouts=Timeouts(between_tokens_s=0.5)))
    assert error.code == "generator_timeout"
    assert "stalled" in error.detail


def test_a_stream_that_never_ends(scripted_server: ScriptedServer) -> None:
    def forever(exchange: Exchange) -> None:
        exchange.begin()
        while not exchange.stopping.is_set():
            exchange.event(chunk("more "))
            time.sleep(0.02)

    scripted_server.on(CHAT, forever)
    error = failure(writer(scripted_server, timeouts=Timeouts(total_s=0.5)))
    assert error.code == "generator_timeout"
    assert "whole answer" in error.detail


def test_closing_the_draft_closes_the_request(scripted_server: ScriptedServer) -> None:
    scripted_server.on(CHAT, opens("Employees", then=Exchange.hang))

    async def leave() -> bool:
        made = writer(scripted_server)
        async with aclosing(made.write(TASK)) as stream:
            assert await anext(stream) == "Employees"
        (exchange,) = scripted_server.requests
        left = await asyncio.to_thread(exchange.left.wait, 20)
        await made.aclose()
        return left

    assert asyncio.run(leave())


def test_a_cancelled_caller_closes_the_request(scripted_server: ScriptedServer) -> None:
    scripted_server.on(CHAT, opens("Employees", then=Exchange.hang))

    async def leave() -> bool:
        made = writer(scripted_server)
        begun = asyncio.Event()

        async def read() -> None:
            async for _ in made.write(TASK):
                begun.set()

        task = asyncio.create_task(read())
        await asyncio.wait_for(begun.wait(), 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (exchange,) = scripted_server.requests
        left = await asyncio.to_thread(exchange.left.wait, 20)
        await made.aclose()
        return left

    assert asyncio.run(leave())


# Health


def health_of(made: ModelWriter, **options: float) -> ServerHealth:
    async def ask() -> ServerHealth:
        try:
            return await made.health(**options)
        finally:
            await made.aclose()

    return asyncio.run(ask())


@pytest.mark.parametrize(("api", "path"), [("openai", "/v1/models"), ("tgi", "/health")])
def test_health_of_a_server_that_is_up(scripted_server: ScriptedServer, api: str, path: str) -> None:
    scripted_server.on(path, lambda exchange: exchange.reply(200, {"data": [{"id": "m"}]}))
    health = health_of(writer(scripted_server, api=api))
    assert (health.ok, health.detail, health.model) == (True, None, "m")


def test_health_does_not_need_the_list_of_models(scripted_server: ScriptedServer) -> None:
    scripted_server.on("/v1/models", refuses(500))
    assert health_of(writer(scripted_server)).ok


@pytest.mark.parametrize(
    ("behaviour", "timeout_s", "words"),
    [(refuses(401), 60, "API key"), (Exchange.hang, 0.3, "within 0.3 s"), (Exchange.cut, 60, "closed the connection")],
)
def test_health_of_a_server_in_trouble(
    scripted_server: ScriptedServer, behaviour: Callable[[Exchange], None], timeout_s: float, words: str
) -> None:
    scripted_server.on("/v1/models", behaviour)
    health = health_of(writer(scripted_server), timeout_s=timeout_s)
    assert not health.ok
    assert health.detail is not None
    assert words in health.detail


def test_health_of_a_server_that_is_down() -> None:
    health = health_of(ModelWriter("http://127.0.0.1:9/v1"))
    assert not health.ok
    assert health.detail == "The model server refused the connection: it is not running, or not at this address."
