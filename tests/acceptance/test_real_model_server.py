"""A real model server, its tiny model built by the test, answering through the API: what it writes is checked like any draft."""

from __future__ import annotations

from pathlib import Path

import pytest
from clients import Client
from model_server import ModelServer
from service import running_service

LEAVE = "Employees accrue 1.5 days of leave a month. Unused leave lapses on 31 March."
QUESTION = "How many days of leave do employees accrue a month?"
PROVEN = "Employees accrue 1.5 days of leave a month [1]."
INVENTED = "Employees accrue 3.5 days of leave a month [1]."

pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize(
    ("reply", "status", "reason"), [(PROVEN, "answered", None), (INVENTED, "abstained", "low_grounding")]
)
def test_a_real_model_answers_through_the_api_and_is_checked(
    tiny_model_server: ModelServer, tmp_path: Path, reply: str, status: str, reason: str | None
) -> None:
    model = tiny_model_server.model("llama", reply)
    settings = {"FOOTNOTE_LLM_BASE_URL": tiny_model_server.url, "FOOTNOTE_LLM_MODEL": model}
    with running_service(tmp_path, **settings) as service, Client(service.url) as client:
        client.store("default", "leave.txt", LEAVE)
        answer = client.ok("POST", "/v1/answer", json={"question": QUESTION})
    assert (answer["status"], answer["reason"]) == (status, reason)
    assert answer["generator"] == {"kind": "openai", "model": model}
    if reason is None:
        assert answer["answer"] == PROVEN
        assert [c["quote"] for c in answer["citations"]] == ["Employees accrue 1.5 days of leave a month."]
    else:
        assert "3.5" not in answer["answer"]
