"""The drafts of a model server: what is asked for, of whom, and what comes back."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from model_writer import (
    CHAT,
    GENERATE,
    QUESTION,
    TASK,
    draft,
    drafting,
    failure,
    writer,
)
from scripted_server import Exchange, ScriptedServer, chunk, refuses, says, token

from infra.errors import SettingsError
from retrieval.generator.client import ModelWriter
from retrieval.generator.prompt import PROMPT_VERSION

# What is written


def test_a_chat_completion_is_streamed_piece_by_piece(scripted_server: ScriptedServer) -> None:
    scripted_server.on(CHAT, says("Days accrue", " monthly", " [1]."))
    made = writer(scripted_server, max_tokens=77)
    pieces, stream = asyncio.run(drafting(made))
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
    pieces, stream = asyncio.run(drafting(writer(scripted_server)))
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
