"""OpenAI's own client library against the service, and the shapes that other clients read."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest
from clients import Client, Keyed
from service import Service

LEAVE = (
    "# Leave\n\nEvery engineer accrues 2.25 days of leave for each month of work. Unused leave lapses on 31 March.\n"
)
ASKED = [{"role": "user", "content": "When does unused leave lapse?"}]


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=service.url + "/v1", api_key="unused", max_retries=0) as made:
        yield made


@pytest.fixture
def model(http: Client, collection: str) -> str:
    http.store(collection, "leave.md", LEAVE)
    return f"footnote/{collection}"


def test_models(client: openai.OpenAI, model: str) -> None:
    listed = {entry.id: entry.object for entry in client.models.list()}
    assert listed["footnote"] == listed[model] == "model"


def test_a_completion_carries_marks_and_the_answer_object(client: openai.OpenAI, model: str, http: Client) -> None:
    completion = client.chat.completions.create(model=model, messages=ASKED, temperature=0.1)  # type: ignore[arg-type]
    assert (completion.object, completion.model, completion.choices[0].finish_reason) == (
        "chat.completion",
        model,
        "stop",
    )
    content = completion.choices[0].message.content or ""
    assert "31 March" in content
    assert "[1]" in content
    answer = completion.model_extra["footnote"]  # type: ignore[index]
    assert answer["answer"] == content
    assert answer["citations"][0]["quote"] in LEAVE
    assert http.ok("GET", f"/v1/answers/{answer['id']}")["answer"] == content


def test_a_stream_joins_to_the_same_answer(client: openai.OpenAI, model: str) -> None:
    chunks = list(client.chat.completions.create(model=model, messages=ASKED, stream=True))  # type: ignore[arg-type]
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert "31 March" in text
    assert [c.choices[0].finish_reason for c in chunks[-2:]] == [None, "stop"]
    assert chunks[-1].model_extra["footnote"]["answer"] == text  # type: ignore[index]


def test_a_stream_with_usage_ends_with_it(client: openai.OpenAI, model: str) -> None:
    options = {"include_usage": True}
    chunks = list(client.chat.completions.create(model=model, messages=ASKED, stream=True, stream_options=options))  # type: ignore[call-overload]
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == 0
    assert chunks[-1].model_extra["footnote"]["status"] == "answered"


def test_the_stream_ends_with_done(http: Client, model: str) -> None:
    response = http.post("/v1/chat/completions", json={"model": model, "messages": ASKED, "stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text.endswith("data: [DONE]\n\n")


def test_parts_roles_and_unknown_options_are_taken(http: Client, model: str) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": None, "name": "x"},
        {"role": "user", "content": [{"type": "text", "text": "When does unused leave lapse?"}, {"type": "image_url"}]},
    ]
    body = {"model": model, "messages": messages, "top_p": 0.9, "tools": [], "user": "u1"}
    assert "31 March" in http.ok("POST", "/v1/chat/completions", json=body)["choices"][0]["message"]["content"]


def test_an_abstention_is_said_in_words(client: openai.OpenAI, model: str) -> None:
    asked = [{"role": "user", "content": "What is the boiling point of tungsten?"}]
    completion = client.chat.completions.create(model=model, messages=asked)  # type: ignore[arg-type]
    assert (completion.choices[0].message.content or "").startswith("The documents don't say")
    assert completion.model_extra["footnote"]["status"] == "abstained"  # type: ignore[index]


def test_errors_become_the_librarys_own(client: openai.OpenAI, keyed: Keyed) -> None:
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="gpt-4", messages=ASKED)  # type: ignore[arg-type]
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="footnote", messages=[])
    with (
        openai.OpenAI(base_url=keyed.url + "/v1", api_key="fn_nobody", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        stranger.models.list()
