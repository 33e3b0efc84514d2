"""Answers written by a model server, and what is said when it is slow, wrong or gone. Searching never depends on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from clients import Client
from scripted_server import Behaviour, Exchange, ScriptedServer, chunk, refuses, says
from service import running_service

LEAVE = (
    "# Leave\n\nEvery engineer accrues 2.25 days of leave for each month of work. Unused leave lapses on 31 March.\n"
)
QUESTION = "How many days of leave does an engineer accrue each month?"
GOOD = "Every engineer accrues 2.25 days of leave for each month of work [1]."
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    server.on(
        "/v1/models", lambda exchange: exchange.reply(200, {"object": "list", "data": [{"id": "m", "object": "model"}]})
    )
    yield server
    server.close()


@pytest.fixture(scope="module")
def client(model: ScriptedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    environment = {"FOOTNOTE_LLM_BASE_URL": model.url + "/v1", "FOOTNOTE_LLM_MODEL": "m", "FOOTNOTE_LLM_TIMEOUT_S": "2"}
    with running_service(tmp_path_factory.mktemp("model"), **environment) as service, Client(service.url) as made:
        made.store("default", "leave.md", LEAVE)
        yield made


def ask(client: Client) -> Any:
    return client.ok("POST", "/v1/answer", json={"question": QUESTION})


def stream(client: Client) -> list[tuple[str, Any]]:
    text = client.post("/v1/answer", json={"question": QUESTION, "stream": True}).text
    events = [block.split("\n") for block in text.split("\n\n") if block.startswith("event: ")]
    return [(lines[0].removeprefix("event: "), json.loads(lines[1].removeprefix("data: "))) for lines in events]


def stops_midway(exchange: Exchange) -> None:
    exchange.begin()
    exchange.event(chunk("Every engineer accrues "))
    exchange.cut()


def garbage(exchange: Exchange) -> None:
    exchange.begin()
    exchange.raw(b"data: \x00\xffnot json at all\n\n")
    exchange.end()


def test_a_draft_becomes_a_proven_answer(client: Client, model: ScriptedServer) -> None:
    model.on(CHAT, says("Every engineer accrues 2.25 days ", "of leave for each month of work [1]."))
    answer = ask(client)
    assert (answer["status"], answer["answer"]) == ("answered", GOOD)
    assert answer["generator"] == {"kind": "openai", "model": "m"}
    assert answer["citations"][0]["quote"] in LEAVE
    assert "2.25" in json.dumps(model.sent_to(CHAT)[-1]["messages"])
    names = [name for name, _ in stream(client)]
    assert names[0] == "retrieval"
    assert names[-1] == "done"
    assert names.count("delta") >= 1


def test_what_the_documents_do_not_say_is_not_answered(client: Client, model: ScriptedServer) -> None:
    model.on(CHAT, says("Every engineer accrues 3.75 days of leave each month [1]."))
    answer = ask(client)
    assert (answer["status"], answer["reason"], answer["citations"]) == ("abstained", "low_grounding", [])
    assert "3.75" not in answer["answer"]
    model.on(CHAT, says(GOOD, " The canteen serves soup on Fridays."))
    partial = ask(client)
    assert partial["status"] == "partial"
    assert [s["verdict"] for s in partial["sentences"]] == ["supported", "unsupported"]


FAILURES: dict[str, Behaviour] = {
    "500": refuses(500),
    "503": refuses(503),
    "401": refuses(401),
    "404": refuses(404),
    "web page": refuses(200, b"<html>hello</html>", "text/html"),
    "garbage": garbage,
    "stops midway": stops_midway,
    "slow": Exchange.hang,
}


@pytest.mark.parametrize("behaviour", FAILURES.values(), ids=FAILURES)
def test_a_server_that_fails_is_an_abstention(client: Client, model: ScriptedServer, behaviour: Behaviour) -> None:
    model.on(CHAT, behaviour)
    for answer in (ask(client), stream(client)[-1][1]):
        assert (answer["status"], answer["reason"]) == ("abstained", "generator_unavailable")
        assert answer["degraded"] == ["generator"]
        assert (answer["sentences"], answer["citations"]) == ([], [])
        assert answer["detail"].endswith(".")
        assert QUESTION not in answer["detail"]
        assert "127.0.0.1" not in answer["detail"] or "FOOTNOTE" in answer["detail"]
    assert client.found("default", "leave days") == ["leave.md"]
    # and nothing of it lasts
    model.on(CHAT, says(GOOD))
    assert ask(client)["status"] == "answered"


def test_a_client_that_leaves_stops_the_model(client: Client, model: ScriptedServer) -> None:
    hanging: list[Exchange] = []

    def begins_and_hangs(exchange: Exchange) -> None:
        exchange.begin()
        exchange.event(chunk("Every engineer accrues "))
        hanging.append(exchange)
        exchange.hang()

    model.on(CHAT, begins_and_hangs)
    with client.stream("POST", "/v1/answer", json={"question": QUESTION, "stream": True}) as response:
        for line in response.iter_lines():
            if line == "event: delta":
                break
    assert hanging[0].left.wait(30), "the server went on waiting for the model"


def test_readiness_tells_and_search_goes_on_when_it_is_down(client: Client, model: ScriptedServer) -> None:
    """The last test of this file: the model server is gone after it."""
    assert client.ok("GET", "/health/ready")["parts"]["generator"]["ok"] is True
    model.close()
    answer = ask(client)
    assert (answer["status"], answer["reason"]) == ("abstained", "generator_unavailable")
    ready = client.ok("GET", "/health/ready")
    assert (ready["status"], ready["parts"]["generator"]["ok"]) == ("degraded", False)
    assert client.found("default", "leave days") == ["leave.md"]
    metrics = client.get("/metrics").text
    assert 'footnote_degraded_total{part="generator"}' in metrics
    assert 'footnote_answers_total{reason="generator_unavailable",status="abstained"}' in metrics
