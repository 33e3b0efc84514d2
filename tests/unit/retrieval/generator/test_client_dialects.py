"""Servers and models that speak otherwise: templates, windows, options, reasoning, the native protocol."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from model_writer import (
    CHAT,
    COMPLETIONS,
    GENERATE,
    QUESTION,
    draft,
    drafting,
    failure,
    writer,
)
from scripted_server import Exchange, ScriptedServer, chunk, completes, refuses, says, token

from retrieval.answers.writer import Task
from retrieval.generator.client import Timeouts
from retrieval.passage import DocumentRef, Passage

# Models and servers that differ


@pytest.mark.parametrize(
    "message",
    [
        "As of transformers v4.44, default chat template is no longer allowed, so you must provide one",
        "Template error: template not found",
        "tokenizer.chat_template is not set",
    ],
)
def test_without_a_chat_template_a_text_is_continued(scripted_server: ScriptedServer, message: str) -> None:
    scripted_server.on(CHAT, refuses(400, {"error": {"message": message}}))
    scripted_server.on(COMPLETIONS, completes(" Days", " accrue [1].\nQues", "tion: More?"))
    made = writer(scripted_server)
    assert [draft(made), draft(made)] == ["Days accrue [1]."] * 2
    assert len(scripted_server.sent_to(CHAT)) == 1  # remembered
    body = scripted_server.sent_to(COMPLETIONS)[0]
    assert body["prompt"].endswith(f"Question: {QUESTION}\n\nAnswer:")
    assert "\nQuestion:" in body["stop"]


def test_a_bare_500_is_tried_as_a_text_too_but_not_remembered(scripted_server: ScriptedServer) -> None:
    scripted_server.on(CHAT, refuses(500, b"Internal Server Error", "text/plain"))
    scripted_server.on(COMPLETIONS, completes(" Days."))
    made = writer(scripted_server)
    assert draft(made) == "Days."
    scripted_server.on(CHAT, says("Chat."))
    assert draft(made) == "Chat."


def test_without_completions_either_the_first_failure_is_told(scripted_server: ScriptedServer) -> None:
    scripted_server.on(CHAT, refuses(500))
    error = failure(writer(scripted_server))
    assert (error.code, error.detail) == ("generator_down", "The model server failed (status 500).")


@pytest.mark.parametrize(
    "message", ["System role not supported", "Conversation roles must alternate user/assistant/user"]
)
def test_without_a_system_role_the_rules_open_the_question(scripted_server: ScriptedServer, message: str) -> None:
    def gemma(exchange: Exchange) -> None:
        if exchange.body["messages"][0]["role"] == "system":
            exchange.reply(400, {"error": {"message": f"chat template error: {message}"}})
        else:
            says("Days.")(exchange)

    scripted_server.on(CHAT, gemma)
    made = writer(scripted_server)
    assert [draft(made), draft(made)] == ["Days.", "Days."]
    first, second, third = scripted_server.sent_to(CHAT)
    assert [message["role"] for message in second["messages"]] == ["user"]
    assert second["messages"][0]["content"] == "\n\n".join(message["content"] for message in first["messages"])
    assert [message["role"] for message in third["messages"]] == ["user"]  # remembered


def test_a_prompt_beyond_the_window_is_sent_again_with_fewer_passages(
    scripted_server: ScriptedServer,
) -> None:
    def small(exchange: Exchange) -> None:
        if len(json.dumps(exchange.body["messages"])) > 6000:
            exchange.reply(
                400, {"error": {"message": "This model's maximum context length is 2000 tokens. However, …"}}
            )
        else:
            says("Days.")(exchange)

    scripted_server.on(CHAT, small)
    passages = [Passage(str(n), DocumentRef("d", "x", 1), "word " * 100, (), None, 0, 500) for n in range(20)]
    pieces, stream = asyncio.run(drafting(writer(scripted_server), Task(QUESTION, passages)))
    assert pieces == ["Days."]
    assert 1 <= stream.passages_used < 10
    assert scripted_server.sent_to(CHAT)[-1]["max_tokens"] == 500


def test_a_question_that_never_fits_ends(scripted_server: ScriptedServer) -> None:
    scripted_server.on(CHAT, refuses(400, {"error": "prompt is too long"}))
    error = failure(writer(scripted_server, window=1600))
    assert "too long for the language model's context window" in error.detail
    assert len(scripted_server.requests) <= 6


def test_sampling_options_that_a_server_refuses_are_left_out(scripted_server: ScriptedServer) -> None:
    def strict(exchange: Exchange) -> None:
        if "max_tokens" in exchange.body:
            exchange.reply(400, {"error": {"message": "Unsupported parameter: use 'max_completion_tokens' instead."}})
        elif "temperature" in exchange.body:
            exchange.reply(400, {"error": {"message": "'temperature' does not support 0 with this model."}})
        else:
            says("Days.")(exchange)

    scripted_server.on(CHAT, strict)
    assert draft(writer(scripted_server)) == "Days."
    assert scripted_server.sent_to(CHAT)[-1]["max_completion_tokens"] == 1024


# Reasoning


@pytest.mark.parametrize(
    "pieces",
    [
        ["<think>Zebra?</think>", "Days [1]."],
        ["<th", "ink>Ze", "bra?</", "thi", "nk", ">\n\nDays [1]."],
        list("<think>Zebra?</think>Days [1]."),
    ],
)
def test_reasoning_in_the_text_is_left_out(scripted_server: ScriptedServer, pieces: list[str]) -> None:
    scripted_server.on(CHAT, says(*pieces))
    assert draft(writer(scripted_server)) == "Days [1]."


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_reasoning_beside_the_text_is_left_out_and_keeps_the_stream_alive(
    scripted_server: ScriptedServer, key: str
) -> None:
    def reasons(exchange: Exchange) -> None:
        exchange.begin()
        for _ in range(5):  # longer in all than the wait for a first token
            time.sleep(0.6)
            exchange.event(chunk(None, **{key: "Zebra? "}))
        for piece in ("Days", " [1]."):
            exchange.event(chunk(piece))
        exchange.event(chunk(None, "stop"))
        exchange.end()

    scripted_server.on(CHAT, reasons)
    made = writer(scripted_server, model="QwQ-32B", timeouts=Timeouts(first_token_s=2.4))
    pieces, _ = asyncio.run(drafting(made))
    assert "".join(pieces) == "Days [1]."
    assert len(pieces) == 2  # nothing is held back once the server is seen to keep reasoning apart


def test_reasoning_that_the_template_opened_is_left_out(scripted_server: ScriptedServer) -> None:
    scripted_server.on(CHAT, says("Zebra? No.", "</think>", "Days [1]."))
    assert draft(writer(scripted_server, model="DeepSeek-R1-Distill")) == "Days [1]."


def test_reasoning_of_an_unsuspected_model_is_never_an_answer(scripted_server: ScriptedServer) -> None:
    scripted_server.on(CHAT, says("Zebras are animals. ", "</think>", "Days [1]."))
    assert failure(writer(scripted_server)).code == "generator_garbage"


def test_a_model_that_used_up_its_tokens_on_reasoning_gets_more_once(scripted_server: ScriptedServer) -> None:
    def thinker(exchange: Exchange) -> None:
        enough = exchange.body["max_tokens"] > 100
        says("<think>Zebra", *(["</think>Days."] if enough else []), finish="stop" if enough else "length")(exchange)

    scripted_server.on(CHAT, thinker)
    made = writer(scripted_server, max_tokens=60)
    assert [draft(made), draft(made)] == ["Days.", "Days."]
    assert [body["max_tokens"] for body in scripted_server.sent_to(CHAT)] == [60, 240, 240]


def test_a_model_that_only_reasons_has_not_answered(scripted_server: ScriptedServer) -> None:
    scripted_server.on(CHAT, says("<think>Zebra", finish="length"))
    error = failure(writer(scripted_server))
    assert error.code == "generator_interrupted"
    assert "reasoning" in error.detail


# Text-generation-inference


def generates(*tokens: dict[str, Any]) -> Callable[[Exchange], None]:
    def behaviour(exchange: Exchange) -> None:
        exchange.begin()
        for event in tokens:
            exchange.event(event)
        exchange.end(done=False)

    return behaviour


def test_the_native_protocol_is_streamed(scripted_server: ScriptedServer) -> None:
    scripted_server.on("/info", lambda x: x.reply(200, {"model_id": "org/model", "max_total_tokens": 4096}))
    scripted_server.on(
        GENERATE,
        generates(
            token(" Days"),
            token(" accrue [1]."),
            token("</s>", special=True, finish="eos_token", whole="Days accrue [1]."),
        ),
    )
    made = writer(scripted_server, api="tgi", model=None)
    pieces, stream = asyncio.run(drafting(made))
    assert "".join(pieces) == "Days accrue [1]."
    assert not stream.cut_off
    assert (made.kind, made.model) == ("tgi", "org/model")
    (body,) = scripted_server.sent_to(GENERATE)
    assert body["inputs"].endswith("\n\nAnswer:")
    assert body["parameters"]["max_new_tokens"] == 1024
    assert body["parameters"]["details"] is True
    assert body["parameters"]["do_sample"] is False
    assert "temperature" not in body["parameters"]


def test_the_native_protocol_says_when_it_was_too_long(scripted_server: ScriptedServer) -> None:
    scripted_server.on(GENERATE, generates(token("Days"), token(" accr", finish="length", whole="Days accr")))
    pieces, stream = asyncio.run(drafting(writer(scripted_server, api="tgi")))
    assert "".join(pieces) == "Days accr"
    assert stream.cut_off


def test_a_native_server_behind_its_root_is_found(scripted_server: ScriptedServer) -> None:
    scripted_server.on("/", generates(token("Days.", finish="eos_token", whole="Days.")))
    assert draft(writer(scripted_server, api="tgi")) == "Days."


def test_a_native_stop_sequence_is_not_part_of_the_answer(scripted_server: ScriptedServer) -> None:
    scripted_server.on(
        GENERATE,
        generates(token("Days."), token("\nQuestion:", finish="stop_sequence", whole="Days.\nQuestion:")),
    )
    assert draft(writer(scripted_server, api="tgi")) == "Days."


def test_a_native_error_in_the_stream_is_an_interruption(scripted_server: ScriptedServer) -> None:
    error = {"error": "Request failed during generation: zebra", "error_type": "generation"}
    scripted_server.on(GENERATE, generates(token("Days"), error))
    assert failure(writer(scripted_server, api="tgi")).code == "generator_interrupted"


def test_a_native_prompt_beyond_the_window_is_sent_again(scripted_server: ScriptedServer) -> None:
    def small(exchange: Exchange) -> None:
        if len(exchange.body["inputs"]) > 6000:
            exchange.reply(
                422,
                {
                    "error": "`inputs` must have less than 2000 tokens. Given: 3000",
                    "error_type": "validation",
                },
            )
        else:
            generates(token("Days.", finish="eos_token", whole="Days."))(exchange)

    scripted_server.on(GENERATE, small)
    passages = [Passage(str(n), DocumentRef("d", "x", 1), "word " * 100, (), None, 0, 500) for n in range(20)]
    assert draft(writer(scripted_server, api="tgi"), Task(QUESTION, passages)) == "Days."
