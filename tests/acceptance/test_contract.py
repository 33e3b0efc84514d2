"""The OpenAPI document agrees with the calls that callers were promised, and every call says what it takes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from clients import Client

# Every call of the contract that this version serves.
CALLS = {
    "POST /v1/collections", "GET /v1/collections",
    "GET /v1/collections/{name}", "PATCH /v1/collections/{name}", "DELETE /v1/collections/{name}",
    "PUT /v1/collections/{name}/documents/{external_id}", "GET /v1/collections/{name}/documents/{external_id}",
    "DELETE /v1/collections/{name}/documents/{external_id}",
    "POST /v1/collections/{name}/documents", "GET /v1/collections/{name}/documents",
    "GET /v1/documents/{document_id}", "GET /v1/documents/{document_id}/text",
    "POST /v1/collections/{name}/sources", "GET /v1/collections/{name}/sources",
    "GET /v1/collections/{name}/sources/{source_id}", "PATCH /v1/collections/{name}/sources/{source_id}",
    "DELETE /v1/collections/{name}/sources/{source_id}", "POST /v1/collections/{name}/sources/{source_id}/sync",
    "GET /v1/jobs", "GET /v1/jobs/{job_id}", "GET /v1/jobs/{job_id}/events", "DELETE /v1/jobs/{job_id}",
    "POST /v1/search", "POST /v1/answer", "GET /v1/answers/{answer_id}", "POST /v1/answers/{answer_id}/replay",
    "POST /v1/answers/{answer_id}/feedback", "POST /v1/verify",
    "POST /v1/suggestions", "GET /v1/suggestions/{suggestion_id}", "POST /v1/suggestions/{suggestion_id}/outcome",
    "POST /v1/evals/goldsets", "POST /v1/evals/runs", "GET /v1/evals/runs/{run_id}", "GET /v1/evals/runs/{run_id}/report",
    "GET /v1/integrity", "POST /v1/keys", "GET /v1/keys", "DELETE /v1/keys/{key_id}",
    "POST /v1/chat/completions", "GET /v1/models", "GET /health/live", "GET /health/ready", "GET /metrics",
}  # fmt: skip

# Promised for a later version: when one is served, it moves up.
LATER = {
    "POST /v1/webhooks", "POST /mcp", "GET /widget.js",
}  # fmt: skip

# The fields of each body, required ones with a star.
BODIES = {
    "POST /v1/collections": "name* description chunking language ranking",
    "PATCH /v1/collections/{name}": "description chunking language ranking",
    "POST /v1/collections/{name}/sources": "kind* uri* include exclude prune schedule allowed_groups metadata options",
    "PATCH /v1/collections/{name}/sources/{source_id}": "include exclude prune schedule allowed_groups metadata options",
    "POST /v1/search": "query* collections top_k mode filter rerank collapse expand",
    "POST /v1/answer": "question* messages collections filter top_k audience stream",
    "POST /v1/answers/{answer_id}/feedback": "rating* comment correction",
    "POST /v1/verify": "answer* passages* question",
    "POST /v1/suggestions": "ticket* audience collections",
    "POST /v1/suggestions/{suggestion_id}/outcome": "used* final_text",
    "POST /v1/keys": "name* scopes groups",
    "POST /v1/chat/completions": "model* messages* stream stream_options",
}


@pytest.fixture(scope="module")
def schema(http: Client) -> dict[str, Any]:
    document: dict[str, Any] = http.ok("GET", "/schema/openapi.json")
    return document


def calls(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    methods = ("get", "put", "post", "patch", "delete")
    return {
        f"{method.upper()} {re.sub(r':[a-z]+}', '}', path)}": operation
        for path, item in schema["paths"].items()
        for method, operation in item.items()
        if method in methods
    }


def test_exactly_the_calls_of_the_contract_are_served(schema: dict[str, Any]) -> None:
    assert set(calls(schema)) == CALLS
    assert not LATER & CALLS


@pytest.mark.parametrize("call", sorted(LATER))
def test_a_later_call_is_not_found(http: Client, call: str) -> None:
    method, path = call.split(" ")
    response = http.request(method, re.sub(r"\{[a-z_]+\}", "default", path), json={})
    assert (response.status_code, response.headers["content-type"]) in [
        (404, "application/problem+json"),
        (405, "application/problem+json"),
    ]


def test_every_call_has_a_summary_and_a_description(schema: dict[str, Any]) -> None:
    for name, operation in calls(schema).items():
        assert operation.get("summary"), name
        assert operation.get("description"), name
    assert len({operation["operationId"] for operation in calls(schema).values()}) == len(CALLS)


@pytest.mark.parametrize("call", BODIES)
def test_bodies_have_the_fields_of_the_contract(schema: dict[str, Any], call: str) -> None:
    body = calls(schema)[call]["requestBody"]["content"]["application/json"]["schema"]
    while "$ref" in body:
        body = schema["components"]["schemas"][body["$ref"].rsplit("/", 1)[1]]
    required = set(body.get("required", ()))
    assert {name + "*" * (name in required) for name in body["properties"]} == set(BODIES[call].split())


def test_keys_are_declared(schema: dict[str, Any]) -> None:
    assert schema["components"]["securitySchemes"]["key"] == {"type": "http", "scheme": "bearer"}
    assert schema["info"]["title"] == "Footnote"


def test_every_response_carries_a_request_id(http: Client) -> None:
    for path in ("/", "/health/live", "/metrics", "/schema/openapi.json", "/v1/collections", "/none"):
        assert http.get(path).headers["x-request-id"], path


def test_health_names_each_part(http: Client) -> None:
    ready = http.ok("GET", "/health/ready")
    assert ready["status"] == "ok"
    assert set(ready["parts"]) == {"database", "jobs", "generator", "encoder", "verifier", "index"}
    assert all(part["ok"] for part in ready["parts"].values())
    assert http.ok("GET", "/health/live") == {"status": "ok"}
    assert http.get("/metrics").headers["content-type"].startswith("text/plain")
