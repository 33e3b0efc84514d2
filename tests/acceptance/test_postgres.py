"""The whole service on PostgreSQL: one life of a document, and values that only this database refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from clients import Client, address
from service import running_service

LEAVE = "# Leave\n\nEvery engineer accrues 2.25 days of leave for each month of work.\n"
QUESTION = "How many days of leave does an engineer accrue each month?"


@pytest.fixture(scope="module")
def client(postgres: Callable[[bool], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("postgresql")
    with running_service(folder, FOOTNOTE_DATABASE_URL=postgres(False)) as service, Client(service.url) as made:
        yield made


def test_a_documents_life(client: Client) -> None:
    assert client.ok("GET", "/health/ready")["parts"]["database"] == {"ok": True, "kind": "postgresql"}
    files = {"files": ("leave.md", LEAVE.encode())}
    job = client.job(client.ok("POST", "/v1/collections/default/documents", 202, files=files)["job_id"])
    assert (job["status"], job["counts"]["new"]) == ("succeeded", 1)
    assert client.found("default", "days of leave") == ["leave.md"]
    answer = client.ok("POST", "/v1/answer", json={"question": QUESTION})
    assert "2.25" in answer["answer"]
    assert client.store("default", "leave.md", LEAVE.replace("2.25", "3.75"))["version"] == 2
    replay = client.ok("POST", f"/v1/answers/{answer['id']}/replay")
    assert replay["diff"]["same"] is True
    assert client.ok("GET", "/v1/integrity")["ok"] is True
    assert client.ok("DELETE", address("default", "leave.md"))["versions"] == 2
    assert client.ok("GET", f"/v1/answers/{answer['id']}")["redacted"] is True
    result = client.ok("GET", "/v1/integrity")
    assert (result["ok"], result["collections"][0]["chunks"]) == (True, 0)


def test_nul_characters_are_no_internal_error(client: Client) -> None:
    assert client.ok("POST", "/v1/search", json={"query": "leave\x00days"})["results"] == []
    assert client.ok("POST", "/v1/answer", json={"question": "leave\x00days?"})["status"] == "abstained"
    assert client.store("default", "nul", "Some\x00 text.")["status"] == "ready"
    for method, path, body, status in (
        ("PUT", address("default", "x") + "?wait=true", {"text": "x", "title": "a\x00b"}, 400),
        ("POST", "/v1/search", {"query": "x", "collections": ["a\x00b"]}, 400),
        ("GET", "/v1/collections/a%00b", None, 400),
        ("GET", "/v1/collections/default/documents?cursor=AA", None, 400),
    ):
        response = client.request(method, path, json=body)
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["code"] == "invalid_request"
    assert client.ok("GET", "/v1/integrity")["ok"] is True
