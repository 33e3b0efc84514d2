import asyncio
import json
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest
from scripted_server import Exchange, ScriptedServer, chunk, completes, refuses, says, token

from infra.errors import SettingsError
from retrieval.answers.writer import GeneratorUnavailable, Task
from retrieval.generator.client import ModelWriter, Timeouts
from retrieval.generator.draft import DraftStream
from retrieval.generator.info import ServerHealth
from retrieval.generator.prompt import PROMPT_VERSION
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


async def _draft(made: ModelWriter, task: Task = TASK) -> tuple[list[str], DraftStream]:
    stream = made.write(task)
    try:
        return [piece async for piece in stream], stream
    finally:
        await stream.aclose()
        await made.aclose()


def draft(made: ModelWriter, task: Task = TASK) -> str:
    return "".join(asyncio.run(_draft(made, task))[0])


def failure(made: ModelWriter, task: Task = TASK) -> GeneratorUnavailable:
    with pytest.raises(GeneratorUnavailable) as caught:
        draft(made, task)
    error = caught.value
    assert "zebra" not in error.detail
    assert "127.0.0.1" not in error.detail
    assert error.detail.endswith(".")
    assert error.status == 503
    return error


# What is written


def test_a_chat_completion_is_streamed_piece_by_piece(scripted_server: ScriptedServer) -> None:
    scripted_server.on(CHAT, says("Days accrue", " monthly", " [1]."))
    made = writer(scripted_server, max_tokens=77)
    pieces, stream = asyncio.run(_draft(made))
    assert pieces == ["Days accrue", " monthly", " [1]."]
    assert (stream.passages_used, stream.cut_off, stream.prompt_version) == (1, False, PROMPT_VERSION)
    (body,) = scripted_server.sent_to(CHAT)
    assert body["model"] == "m"
    assert body["stream"] is True
    assert body["max_tokens"] == 77
    assert body["temperature"] == 0.0
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert QUESTION in body["messages"][1]["content"]
    assert (made.kind, made.model) == ("openai", "m")


def test_nothing_is_sent_before_the_first_piece_is_asked_for(scripted_server: ScriptedServer) -> None:
    writer(scripted_server).write(TASK)
    assert scripted_server.requests == []


def test_a_draft_that_declines_is_empty(scripted_server: ScriptedServer) -> None:
    scripted_server.on(CHAT, says("NOT_", "IN_PASS", "AGES"))
    assert draft(writer(scripted_server)) == ""


def test_a_draft_that_was_too_long_says_so(scripted_server: ScriptedServer) -> None:
    scripted_server.on(CHAT, says("Days accrue [1]. They exp", finish="length"))
    pieces, stream = asyncio.run(_draft(writer(scripted_server)))
    assert "".join(pieces) == "Days accrue [1]. They exp"
    assert stream.cut_off


def test_a_stream_without_done_is_whole_when_it_gave_its_finish(scripted_server: ScriptedServer) -> None:
    scripted_server.on(CHAT, says("Days.", done=False))
    assert draft(writer(scripted_server)) == "Days."


@pytest.mark.parametrize("api", ["openai", "tgi"])
def test_bytes_of_an_event_may_come_one_at_a_time(scripted_server: ScriptedServer, api: str) -> None:
    events = (
        [chunk("Grüße"), chunk(" [1]."), chunk(None, "stop")]
        if api == "openai"
        else [token("Grüße"), token(" [1].", finish="eos_token", whole="Grüße [1].")]
    )

    def slowly(exchange: Exchange) -> None:
        exchange.begin()
        for event in events:
            for byte in f": ping\r\n\r\ndata:{json.dumps(event, ensure_ascii=False)}\r\n\r\n".encode():
                exchange.raw(bytes([byte]))
        exchange.end()

    scripted_server.on(CHAT, slowly)
    scripted_server.on(GENERATE, slowly)
    assert draft(writer(scripted_server, api=api)) == "Grüße [1]."


# Where it is, and who asks


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/", "/v1/chat/completions"])
def test_an_address_may_be_written_in_any_usual_way(scripted_server: ScriptedServer, suffix: str) -> None:
    scripted_server.on(CHAT, says("Days."))
    assert draft(ModelWriter(scripted_server.url + suffix, "m")) == "Days."


def test_the_key_is_sent_and_only_the_key(scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    scripted_server.on(CHAT, says("Days."))
    draft(writer(scripted_server, api_key="sk-1"))
    draft(writer(scripted_server))
    with_key, without = (exchange.headers for exchange in scripted_server.requests)
    assert with_key["Authorization"] == "Bearer sk-1"
    assert "Authorization" not in without
    assert "hf_secret" not in str(without)


def test_a_user_in_the_address_becomes_a_header_and_no_message(scripted_server: ScriptedServer) -> None:
    url = scripted_server.url.replace("://", "://me:s%40crt@")
    scripted_server.on(CHAT, refuses(500, {"error": "no"}))
    error = failure(ModelWriter(url, "m"))
    assert "crt" not in error.detail
    assert scripted_server.requests[0].headers["Authorization"] == "Basic bWU6c0BjcnQ="


@pytest.mark.parametrize(
    "url", ["", "localhost:8080", "ftp://host/v1", "http://", "http://host:port/v1", "http://[::1"]
)
def test_what_is_no_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        ModelWriter(url)
    assert "http://127.0.0.1:8080/v1" in caught.value.detail


def test_a_key_and_a_user_at_once_are_refused() -> None:
    with pytest.raises(SettingsError):
        ModelWriter("http://me:pw@host/v1", api_key="sk-1")


def test_one_writer_serves_several_event_loops(scripted_server: ScriptedServer) -> None:
    scripted_server.on(CHAT, says("Days."))
    made = writer(scripted_server)
    assert [draft(made), draft(made)] == ["Days.", "Days."]


def test_offline_mode_of_the_hub_does_not_forbid_a_local_server(
    scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    scripted_server.on(CHAT, says("Days."))
    assert draft(writer(scripted_server)) == "Days."


# Which model


def models(*entries: dict[str, Any]) -> Callable[[Exchange], None]:
    return lambda exchange: exchange.reply(200, {"object": "list", "data": list(entries)})


def test_the_only_model_is_found(scripted_server: ScriptedServer) -> None:
    scripted_server.on("/v1/models", models({"id": "base", "max_model_len": 2000}, {"id": "lora", "parent": "base"}))
    scripted_server.on(CHAT, says("Days."))
    made = writer(scripted_server, model=None)
    assert draft(made) == "Days."
    assert made.model == "base"
    (body,) = scripted_server.sent_to(CHAT)
    assert body["model"] == "base"
    assert body["max_tokens"] == 500  # a quarter of the window that the server tells


def test_of_several_models_one_must_be_named(scripted_server: ScriptedServer) -> None:
    scripted_server.on("/v1/models", models({"id": "a"}, {"id": "b"}))
    error = failure(writer(scripted_server, model=None))
    assert error.code == "generator_down"
    assert "2 models (a, b)" in error.detail
    assert "FOOTNOTE_LLM_MODEL" in error.detail


def test_a_server_without_a_list_is_asked_without_a_name(scripted_server: ScriptedServer) -> None:
    scripted_server.on("/v1/models", refuses(500))
    scripted_server.on(CHAT, says("Days."))
    assert draft(writer(scripted_server, model=None)) == "Days."


def test_a_server_that_wants_a_name_it_did_not_tell_is_explained(scripted_server: ScriptedServer) -> None:
    scripted_server.on(CHAT, refuses(400, {"error": "unknown model"}))
    assert "set FOOTNOTE_LLM_MODEL" in failure(writer(scripted_server, model=None)).detail


def test_a_server_pinned_to_a_model_is_asked_for_that_one(scripted_server: ScriptedServer) -> None:
    def pinned(exchange: Exchange) -> None:
        if exchange.body["model"] != "/models/x":
            exchange.reply(400, {"detail": "Server is pinned to '/models/x'; requested 'dummy'."})
        else:
            says("Days.")(exchange)

    scripted_server.on(CHAT, pinned)
    made = writer(scripted_server, model=None)
    assert draft(made) == "Days."
    assert made.model == "/models/x"


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
    pieces, stream = asyncio.run(_draft(writer(scripted_server), Task(QUESTION, passages)))
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
    pieces, _ = asyncio.run(_draft(made))
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
    pieces, stream = asyncio.run(_draft(made))
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
    pieces, stream = asyncio.run(_draft(writer(scripted_server, api="tgi")))
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
