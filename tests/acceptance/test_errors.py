"""Every wrong request gets a problem with its code and one clear sentence, and nothing of the server's inside."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

LONG = "x" * 10_001
HUGE = "secretword " * 9_091  # 100,001 characters
DEEP = '{"a":' * 3000 + "1" + "}" * 3000


def check_problem(response: httpx.Response, status: int, code: str, field: str | None = None) -> dict[str, Any]:
    assert response.status_code == status, response.text[:500]
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body.keys() - {"errors"} == {"type", "title", "status", "detail", "code", "request_id"}
    assert body["code"] == code, body
    assert body["status"] == status
    assert body["type"] == f"urn:footnote:problem:{code}"
    assert body["request_id"] == response.headers["x-request-id"]
    assert body["detail"].endswith(".")
    assert "\n" not in body["detail"]
    for leak in ("Traceback", "site-packages", ".py", "secretword", "/tmp/", "sqlite", "litestar", "msgspec"):
        assert leak not in response.text, body
    if field is not None:
        assert field in [error["field"] for error in body["errors"]], body
        assert all(error["message"] for error in body["errors"])
    return body


# (method, path, json body or raw bytes, status, code, field)
WRONG = [
    ("POST", "/v1/search", {}, 400, "invalid_request", "query"),
    ("POST", "/v1/search", {"query": ""}, 400, "invalid_request", "query"),
    ("POST", "/v1/search", {"query": " \n\t "}, 400, "empty_query", "query"),
    ("POST", "/v1/search", {"query": LONG}, 400, "invalid_request", "query"),
    ("POST", "/v1/search", {"query": HUGE}, 400, "invalid_request", "query"),
    ("POST", "/v1/search", {"query": 7}, 400, "invalid_request", "query"),
    ("POST", "/v1/search", {"query": None}, 400, "invalid_request", "query"),
    ("POST", "/v1/search", {"query": "x", "top_k": 0}, 400, "invalid_request", "top_k"),
    ("POST", "/v1/search", {"query": "x", "top_k": 101}, 400, "invalid_request", "top_k"),
    ("POST", "/v1/search", {"query": "x", "top_k": "3"}, 400, "invalid_request", "top_k"),
    ("POST", "/v1/search", {"query": "x", "mode": "psychic"}, 400, "invalid_request", "mode"),
    ("POST", "/v1/search", {"query": "x", "surprise": 1}, 400, "invalid_request", "surprise"),
    ("POST", "/v1/search", {"query": "x", "collections": []}, 400, "invalid_request", "collections"),
    ("POST", "/v1/search", {"query": "x", "collections": "default"}, 400, "invalid_request", "collections"),
    ("POST", "/v1/search", {"query": "x", "collections": ["no-such"]}, 404, "collection_not_found", None),
    ("POST", "/v1/search", {"query": "x", "collections": ["a\u0000b"]}, 404, "collection_not_found", None),
    ("POST", "/v1/search", {"query": "x", "rerank": True}, 400, "no_reranker", "rerank"),
    ("POST", "/v1/search", {"query": "x", "filter": {"a": {"$regex": "b"}}}, 400, "invalid_filter", "filter.a.$regex"),
    ("POST", "/v1/search", {"query": "x", "filter": {"a": [1]}}, 400, "invalid_filter", "filter.a"),
    ("POST", "/v1/search", {"query": "x", "filter": {"$or": []}}, 400, "invalid_filter", "filter.$or"),
    ("POST", "/v1/search", {"query": "x", "filter": {"a": {"$in": 3}}}, 400, "invalid_filter", "filter.a.$in"),
    ("POST", "/v1/search", {"query": "x", "filter": "null"}, 400, "invalid_request", "filter"),
    ("POST", "/v1/answer", {"question": "x", "stream": "true"}, 400, "invalid_request", "stream"),
    ("POST", "/v1/suggestions", {"ticket": {"id": "t"}}, 400, "invalid_request", "ticket.messages"),
    ("POST", "/v1/search", {"query": "x", "filter": []}, 400, "invalid_request", "filter"),
    ("POST", "/v1/search", [], 400, "invalid_request", None),
    ("POST", "/v1/search", b"{not json secretword", 400, "invalid_json", None),
    ("POST", "/v1/search", b"", 400, "invalid_request", None),
    ("POST", "/v1/search", b'{"query": "\xff\xfe"}', 400, "invalid_json", None),
    ("POST", "/v1/search", b'{"query": "\\ud800"}', 400, "invalid_json", None),
    ("POST", "/v1/search", ('{"query": "x", "filter": ' + DEEP + "}").encode(), 400, "invalid_request", None),
    ("GET", "/v1/search", None, 405, "method_not_allowed", None),
    ("POST", "/v1/answer", {"question": ""}, 400, "invalid_request", "question"),
    ("POST", "/v1/answer", {"question": "  "}, 400, "empty_question", "question"),
    ("POST", "/v1/answer", {"question": LONG}, 400, "invalid_request", "question"),
    ("POST", "/v1/answer", {"question": HUGE, "stream": True}, 400, "invalid_request", "question"),
    ("POST", "/v1/answer", {"question": "x", "audience": "public"}, 400, "invalid_request", "audience"),
    ("POST", "/v1/answer", {"question": "x", "stream": "yes"}, 400, "invalid_request", "stream"),
    (
        "POST",
        "/v1/answer",
        {"question": "x", "messages": [{"role": "king", "content": "x"}]},
        400,
        "invalid_request",
        None,
    ),
    (
        "POST",
        "/v1/answer",
        {"question": "x", "stream": True, "collections": ["no-such"]},
        404,
        "collection_not_found",
        None,
    ),
    ("POST", "/v1/answer", {"question": "x", "stream": True, "filter": {"a": {}}}, 400, "invalid_filter", "filter.a"),
    ("GET", "/v1/answers/ans_none", None, 404, "answer_not_found", None),
    ("POST", "/v1/answers/ans_none/replay", None, 404, "answer_not_found", None),
    ("POST", "/v1/answers/ans_none/feedback", {"rating": "up"}, 404, "answer_not_found", None),
    ("POST", "/v1/answers/ans_none/feedback", {"rating": "sideways"}, 400, "invalid_request", "rating"),
    ("POST", "/v1/verify", {"answer": "x"}, 400, "invalid_request", "passages"),
    ("POST", "/v1/verify", {"answer": "x", "passages": [3]}, 400, "invalid_request", None),
    ("POST", "/v1/verify", {"answer": "x", "passages": [{"id": "a"}]}, 400, "invalid_request", None),
    ("POST", "/v1/suggestions", {"ticket": {"id": "t", "messages": []}}, 400, "invalid_request", None),
    (
        "POST",
        "/v1/suggestions",
        {"ticket": {"id": "t", "messages": [{"author": "agent", "text": "x"}]}},
        400,
        "no_customer_message",
        None,
    ),
    ("GET", "/v1/suggestions/sug_none", None, 404, "suggestion_not_found", None),
    ("POST", "/v1/suggestions/sug_none/outcome", {"used": "accepted"}, 404, "suggestion_not_found", None),
    ("POST", "/v1/suggestions/sug_none/outcome", {"used": "burnt"}, 400, "invalid_request", "used"),
    ("POST", "/v1/collections", {"name": "Bad Name/.."}, 400, "invalid_collection_name", "name"),
    ("POST", "/v1/collections", {"name": "-a"}, 400, "invalid_collection_name", "name"),
    ("POST", "/v1/collections", {"name": "a" * 64}, 400, "invalid_collection_name", "name"),
    ("POST", "/v1/collections", {"name": "default"}, 409, "collection_exists", None),
    ("POST", "/v1/collections", {"name": "x", "colour": "red"}, 400, "invalid_request", None),
    ("GET", "/v1/collections?limit=0", None, 400, "invalid_request", "limit"),
    ("GET", "/v1/collections?limit=501", None, 400, "invalid_request", "limit"),
    ("GET", "/v1/collections?limit=many", None, 400, "invalid_request", "limit"),
    ("GET", "/v1/collections?cursor=%C3%A4", None, 400, "invalid_cursor", "cursor"),
    ("GET", "/v1/collections/default/documents?cursor=_w", None, 400, "invalid_cursor", "cursor"),
    ("GET", "/v1/collections/no-such", None, 404, "collection_not_found", None),
    ("GET", "/v1/collections/a%00b", None, 404, "collection_not_found", None),
    ("PATCH", "/v1/collections/no-such", {"description": "x"}, 404, "collection_not_found", None),
    ("DELETE", "/v1/collections/no-such", None, 404, "collection_not_found", None),
    ("GET", "/v1/collections/no-such/documents", None, 404, "collection_not_found", None),
    ("GET", "/v1/collections/default/documents/nope", None, 404, "document_not_found", None),
    ("DELETE", "/v1/collections/default/documents/nope", None, 404, "document_not_found", None),
    ("GET", "/v1/collections/default/documents/a%01b", None, 400, "invalid_external_id", "external_id"),
    ("GET", "/v1/collections/default/documents/%FF", None, 400, "invalid_external_id", None),
    (
        "PUT",
        "/v1/collections/default/documents/" + "x" * 1025,
        {"text": "x"},
        400,
        "invalid_external_id",
        "external_id",
    ),
    ("PUT", "/v1/collections/default/documents/x", {}, 400, "invalid_request", None),
    ("PUT", "/v1/collections/default/documents/x", {"text": 3}, 400, "invalid_request", "text"),
    ("PUT", "/v1/collections/default/documents/x", {"text": "x", "titel": "y"}, 400, "invalid_request", None),
    ("PUT", "/v1/collections/default/documents/x", {"text": "x", "metadata": []}, 400, "invalid_request", "metadata"),
    (
        "PUT",
        "/v1/collections/default/documents/x",
        {"text": "x", "allowed_groups": "hr"},
        400,
        "invalid_request",
        "allowed_groups",
    ),
    ("PUT", "/v1/collections/default/documents/x", b"{not json", 400, "invalid_json", None),
    ("PUT", "/v1/collections/default/documents/x", b'{"text": "\xff"}', 400, "invalid_json", None),
    ("PUT", "/v1/collections/no-such/documents/x", {"text": "x"}, 404, "collection_not_found", None),
    ("PUT", "/v1/collections/no-such/documents/x?wait=true", {"text": "x"}, 404, "collection_not_found", None),
    ("PUT", "/v1/collections/default/documents/x?wait=true", {"text": ""}, 422, "empty_file", None),
    ("PUT", "/v1/collections/default/documents/x?wait=true", {"text": " \n\u0000"}, 422, "empty_file", None),
    ("PUT", "/v1/collections/default/documents/x?wait=maybe", {"text": "x"}, 400, "invalid_request", "wait"),
    ("POST", "/v1/collections/default/documents", {"text": "x"}, 415, "multipart_expected", None),
    ("GET", "/v1/documents/doc_none", None, 404, "document_not_found", None),
    ("GET", "/v1/documents/doc_none/text", None, 404, "document_not_found", None),
    ("GET", "/v1/documents/doc_none/text?version=0", None, 400, "invalid_request", "version"),
    ("GET", "/v1/documents/doc_none/text?version=99999999999999999999", None, 400, "invalid_request", "version"),
    ("GET", "/v1/jobs/job_none", None, 404, "job_not_found", None),
    ("GET", "/v1/jobs/job_none/events", None, 404, "job_not_found", None),
    ("DELETE", "/v1/jobs/job_none", None, 404, "job_not_found", None),
    ("POST", "/v1/keys", {"name": "x", "scopes": ["root"]}, 400, "invalid_request", None),
    ("POST", "/v1/keys", {"name": ""}, 400, "invalid_request", "name"),
    ("DELETE", "/v1/keys/key_none", None, 404, "key_not_found", None),
    ("POST", "/v1/chat/completions", {"model": "footnote", "messages": []}, 400, "invalid_request", "messages"),
    (
        "POST",
        "/v1/chat/completions",
        {"model": "gpt-4", "messages": [{"role": "user", "content": "x"}]},
        404,
        "model_not_found",
        None,
    ),
    (
        "POST",
        "/v1/chat/completions",
        {"model": "footnote/no-such", "messages": [{"role": "user", "content": "x"}], "stream": True},
        404,
        "collection_not_found",
        None,
    ),
    (
        "POST",
        "/v1/chat/completions",
        {"model": "footnote", "messages": [{"role": "assistant", "content": "x"}]},
        400,
        "no_user_message",
        None,
    ),
    (
        "POST",
        "/v1/chat/completions",
        {"model": "footnote", "messages": [{"role": "user", "content": HUGE}]},
        400,
        "question_too_long",
        None,
    ),
    ("GET", "/v1/no/such/thing", None, 404, "not_found", None),
    ("GET", "/v2", None, 404, "not_found", None),
    ("DELETE", "/v1/search", None, 405, "method_not_allowed", None),
    ("PUT", "/v1/collections", {"name": "x"}, 405, "method_not_allowed", None),
]


def _name(case: tuple[Any, ...]) -> str:
    method, path, body, status, code, _ = case
    return f"{method} {path[:50]} {str(body)[:50]!r} {status} {code}"


@pytest.mark.parametrize("case", WRONG, ids=_name)
def test_wrong_requests(http: httpx.Client, case: tuple[str, str, Any, int, str, str | None]) -> None:
    method, path, body, status, code, field = case
    content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} if content is not None else {}
    check_problem(http.request(method, path, content=content, headers=headers), status, code, field)


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "multipart/form-data"])
def test_a_body_of_another_type(http: httpx.Client, content_type: str) -> None:
    response = http.post("/v1/search", content=b"<query>secretword</query>", headers={"Content-Type": content_type})
    check_problem(response, 400, "invalid_json")


def test_a_wrong_request_stores_nothing(http: httpx.Client) -> None:
    assert http.get("/v1/collections/default/documents/x").status_code in (200, 404)
    listed = http.get("/v1/collections/default/documents").json()["items"]
    assert [d for d in listed if d["external_id"] == "x" and d["version"] > 0] == []


def test_the_method_that_is_allowed_is_named(http: httpx.Client) -> None:
    response = http.delete("/v1/search")
    assert "POST" in response.headers["allow"]


def test_a_given_request_id_is_kept_and_a_bad_one_replaced(http: httpx.Client) -> None:
    good = http.get("/v1/documents/none", headers={"X-Request-Id": "abc-1.2_3"})
    assert good.headers["x-request-id"] == good.json()["request_id"] == "abc-1.2_3"
    for bad in ("a b", "x" * 129, "<script>"):
        response = http.get("/health/live", headers={"X-Request-Id": bad})
        assert response.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Host": "127.0.0.1.evil.example"},
    ],
)
def test_without_keys_other_sites_are_refused(http: httpx.Client, headers: dict[str, str]) -> None:
    check_problem(http.get("/v1/collections", headers=headers), 403, "foreign_origin")


def test_without_keys_this_machine_is_answered(http: httpx.Client) -> None:
    assert http.get("/v1/collections", headers={"Origin": "http://localhost:5173"}).status_code == 200


@pytest.mark.parametrize(
    ("files", "data", "status", "code"),
    [
        ({}, {"metadata": "{}"}, 400, "no_files"),
        ({"files": ("a.md", b"x")}, {"colour": "red"}, 400, "invalid_request"),
        ({"files": ("a.md", b"x")}, {"metadata": "[1]"}, 400, "invalid_request"),
        ({"files": ("a.md", b"x")}, {"metadata": "{broken"}, 400, "invalid_request"),
        ({"files": ("a.md", b"x")}, {"metadata": '{"n": NaN}'}, 400, "invalid_request"),
        ({"files": ("a.md", b"x")}, {"metadata": DEEP}, 400, "invalid_request"),
        ({"files": ("a.md", b"x")}, {"allowed_groups": "[1, 2]"}, 400, "invalid_groups"),
        ([("files", ("a.md", b"x")), ("files", ("a.md", b"y"))], {}, 400, "duplicate_file_name"),
    ],
)
def test_wrong_forms(
    http: httpx.Client, collection: str, files: Any, data: dict[str, str], status: int, code: str
) -> None:
    if not files:
        files = {"metadata": (None, b"{}")}
        data = {}
    response = http.post(f"/v1/collections/{collection}/documents", files=files, data=data)
    check_problem(response, status, code)
    assert http.get(f"/v1/collections/{collection}/documents").json()["items"] == []
