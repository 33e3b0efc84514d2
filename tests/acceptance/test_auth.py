"""Keys, scopes and groups: who may do what, and what is hidden from whom, everywhere."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from clients import Client, Keyed, address

TEXT = "# Pay\n\nA principal engineer earns 91,400 florins a year.\n"
OPEN = "# Leave\n\nEvery engineer accrues 2.25 days of leave for each month of work.\n"


def code(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json", response.text
    return response.status_code, response.json()["code"]


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic fn_x", "fn_x"])
def test_no_key(keyed: Keyed, header: str | None) -> None:
    response = httpx.get(
        keyed.url + "/v1/collections", headers={} if header is None else {"Authorization": header}, trust_env=False
    )
    assert code(response) == (401, "missing_key")
    assert response.headers["www-authenticate"] == "Bearer"


def test_unknown_and_revoked_keys(keyed: Keyed) -> None:
    with Client(keyed.url, "fn_nobody") as stranger:
        assert code(stranger.get("/v1/collections")) == (401, "unknown_key")
    client = keyed.client("search")
    assert client.get("/v1/collections").status_code == 200
    hint = client.headers["Authorization"].removeprefix("Bearer ")[:7] + "…"
    listed = keyed.admin.ok("GET", "/v1/keys?limit=500")["items"]
    identifier = listed[-1]["id"]
    assert listed[-1]["hint"] == hint
    assert not any("secret" in key or "secret_sha256" in key for key in listed)
    revoked = keyed.admin.ok("DELETE", f"/v1/keys/{identifier}")
    assert revoked["revoked_at"].endswith("Z")
    assert code(client.get("/v1/collections")) == (401, "unknown_key")


def test_health_needs_no_key(keyed: Keyed) -> None:
    for path in ("/health/live", "/health/ready", "/metrics", "/schema/openapi.json"):
        assert httpx.get(keyed.url + path, trust_env=False).status_code == 200


# (method, path, body, the scopes of which one is enough)
CALLS = [
    ("GET", "/v1/collections", None, {"search", "answer", "ingest", "eval"}),
    ("POST", "/v1/collections", {"name": "default"}, {"ingest"}),
    ("PATCH", "/v1/collections/no-such", {}, {"ingest"}),
    ("DELETE", "/v1/collections/no-such", None, set()),
    ("GET", "/v1/collections/no-such/documents", None, {"search", "answer", "ingest"}),
    ("PUT", "/v1/collections/no-such/documents/x", {"text": "x"}, {"ingest"}),
    ("DELETE", "/v1/collections/no-such/documents/x", None, {"ingest"}),
    ("GET", "/v1/documents/none", None, {"search", "answer", "ingest"}),
    ("GET", "/v1/documents/none/text", None, {"search", "answer", "ingest"}),
    ("GET", "/v1/jobs/none", None, {"ingest"}),
    ("GET", "/v1/jobs/none/events", None, {"ingest"}),
    ("DELETE", "/v1/jobs/none", None, {"ingest"}),
    ("POST", "/v1/search", {"query": "x", "collections": ["no-such"]}, {"search"}),
    ("POST", "/v1/answer", {"question": "x", "collections": ["no-such"]}, {"answer"}),
    ("GET", "/v1/answers/none", None, {"answer"}),
    ("POST", "/v1/answers/none/replay", None, {"answer"}),
    ("POST", "/v1/answers/none/feedback", {"rating": "up"}, {"answer"}),
    ("POST", "/v1/verify", {"answer": "", "passages": []}, {"answer"}),
    ("GET", "/v1/suggestions/none", None, {"answer"}),
    ("POST", "/v1/suggestions/none/outcome", {"used": "accepted"}, {"answer"}),
    ("GET", "/v1/models", None, {"answer", "search"}),
    ("POST", "/v1/chat/completions", {"model": "none", "messages": [{"role": "user", "content": "x"}]}, {"answer"}),
    ("GET", "/v1/integrity", None, set()),
    ("GET", "/v1/keys", None, set()),
    ("POST", "/v1/keys", {"name": "x", "scopes": ["admin"]}, set()),
    ("DELETE", "/v1/keys/none", None, set()),
]


@pytest.fixture(scope="module")
def by_scope(keyed: Keyed) -> dict[str, Client]:
    return {scope: keyed.client(scope) for scope in ("search", "answer", "ingest", "eval", "delegate")}


@pytest.mark.parametrize(("method", "path", "body", "allowed"), CALLS, ids=lambda value: str(value)[:40])
def test_scopes(by_scope: dict[str, Client], method: str, path: str, body: Any, allowed: set[str]) -> None:
    for scope, client in by_scope.items():
        response = client.request(method, path, json=body)
        if scope in allowed:
            assert response.status_code not in (401, 403), (scope, response.text)
        else:
            assert code(response) == (403, "missing_scope"), (scope, response.text)


def test_the_groups_header_needs_the_scope_delegate(keyed: Keyed) -> None:
    client = keyed.client("search", "answer", groups=("hr",))
    for value in ("hr", "eng", ""):
        response = client.post("/v1/search", json={"query": "x"}, headers={"X-Footnote-Groups": value})
        assert code(response) == (403, "delegate_scope_required")


def test_too_many_groups(keyed: Keyed) -> None:
    client = keyed.client("search", "delegate")
    many = ",".join(f"g{n}" for n in range(201))
    assert code(client.get("/v1/collections", headers={"X-Footnote-Groups": many})) == (400, "invalid_groups")


@pytest.fixture
def hidden(keyed: Keyed, keyed_collection: str) -> tuple[str, dict[str, Any]]:
    """A collection with an open document, one for hr and one for nobody; the second of them."""
    keyed.admin.store(keyed_collection, "open", OPEN, metadata={"kind": "open"})
    pay = keyed.admin.store(keyed_collection, "pay/bands", TEXT, allowed_groups=["hr"], metadata={"kind": "pay"})
    keyed.admin.store(keyed_collection, "nobody", TEXT.replace("91,400", "77,700"), allowed_groups=[])
    return keyed_collection, pay


def test_a_hidden_document_is_absent_everywhere(keyed: Keyed, hidden: tuple[str, dict[str, Any]]) -> None:
    name, pay = hidden
    client = keyed.client("search", "answer", "ingest", groups=("eng",))
    for mode in ("hybrid", "dense", "lexical"):
        assert set(client.found(name, "What does a principal engineer earn a year?", mode=mode)) == {"open"}
    for condition in ({"kind": "pay"}, {"external_id": "pay/bands"}, {"id": pay["id"]}, {"kind": {"$ne": "open"}}):
        assert client.found(name, "pay", filter=condition) == []
    answer = client.ok(
        "POST", "/v1/answer", json={"question": "What does a principal engineer earn?", "collections": [name]}
    )
    assert answer["status"] == "abstained"
    assert "91,400" not in str(answer)
    listed = client.ok("GET", f"/v1/collections/{name}/documents")
    assert [d["external_id"] for d in listed["items"]] == ["open"]
    absent = (404, "document_not_found")
    for method in ("GET", "DELETE"):
        assert code(client.request(method, address(name, "pay/bands"))) == absent
        assert code(client.request(method, address(name, "really-absent"))) == absent
    assert code(client.get(f"/v1/documents/{pay['id']}")) == absent
    assert code(client.get(f"/v1/documents/{pay['id']}/text")) == absent
    for wait in ("", "?wait=true"):
        assert code(client.put(address(name, "pay/bands") + wait, json={"text": "x"})) == absent
    response = client.post(f"/v1/collections/{name}/documents", files={"files": ("nobody", b"x")})
    assert code(response) == absent
    chat = {
        "model": f"footnote/{name}",
        "messages": [{"role": "user", "content": "What does a principal engineer earn?"}],
    }
    assert "91,400" not in client.post("/v1/chat/completions", json=chat).text
    ticket = {"id": "t1", "messages": [{"author": "customer", "text": "What does a principal engineer earn a year?"}]}
    suggested = client.ok("POST", "/v1/suggestions", json={"ticket": ticket, "collections": [name]})
    assert (suggested["draft"], "91,400" in str(suggested)) == ("", False)
    # and it is still there, unchanged, for those who may read it
    assert keyed.admin.ok("GET", address(name, "pay/bands")) == pay


def test_groups_open_what_they_share(keyed: Keyed, hidden: tuple[str, dict[str, Any]]) -> None:
    name, pay = hidden
    query = "What does a principal engineer earn a year?"
    hr = keyed.client("search", "answer", groups=("hr", "eng"))
    assert set(hr.found(name, query)) == {"open", "pay/bands"}
    assert hr.ok("GET", f"/v1/documents/{pay['id']}")["allowed_groups"] == ["hr"]
    delegate = keyed.client("search", "delegate", acting_for="hr")
    assert set(delegate.found(name, query)) == {"open", "pay/bands"}
    other = keyed.client("search", "delegate", groups=("hr",), acting_for="eng")
    assert set(other.found(name, query)) == {"open"}
    assert set(keyed.admin.found(name, query)) == {"open", "pay/bands", "nobody"}


def test_an_administrator_who_acts_for_a_group_is_none(keyed: Keyed, hidden: tuple[str, dict[str, Any]]) -> None:
    name, _ = hidden
    acting = keyed.client("admin", "search", acting_for="hr")
    assert set(acting.found(name, "principal engineer")) == {"open", "pay/bands"}
    assert code(acting.get("/v1/keys")) == (403, "missing_scope")
    assert code(acting.get("/v1/integrity")) == (403, "missing_scope")


def test_records_follow_permissions_that_change(keyed: Keyed, hidden: tuple[str, dict[str, Any]]) -> None:
    name, _ = hidden
    hr, stranger = keyed.client("answer", groups=("hr",)), keyed.client("answer", groups=("hr",))
    asked = hr.ok(
        "POST", "/v1/answer", json={"question": "What does a principal engineer earn a year?", "collections": [name]}
    )
    assert "91,400" in asked["answer"]
    path = f"/v1/answers/{asked['id']}"
    assert hr.ok("GET", path)["answer"] == asked["answer"]
    assert code(stranger.get(path)) == (404, "answer_not_found")  # another caller's record
    assert keyed.admin.ok("GET", path)["id"] == asked["id"]
    keyed.admin.store(name, "pay/bands", TEXT, allowed_groups=["board"], metadata={"kind": "pay"})
    for method, tail, body in (("GET", "", None), ("POST", "/replay", None), ("POST", "/feedback", {"rating": "up"})):
        assert code(hr.request(method, path + tail, json=body)) == (404, "answer_not_found")


def test_a_suggestion_is_not_shared_between_groups(keyed: Keyed, hidden: tuple[str, dict[str, Any]]) -> None:
    name, _ = hidden
    ticket = {
        "id": "shared",
        "revision": 3,
        "messages": [{"author": "customer", "text": "What does a principal engineer earn a year?"}],
    }
    body = {"ticket": ticket, "audience": "internal", "collections": [name]}
    hr, eng = keyed.client("answer", groups=("hr",)), keyed.client("answer", groups=("eng",))
    first, second = hr.ok("POST", "/v1/suggestions", json=body), eng.ok("POST", "/v1/suggestions", json=body)
    assert "91,400" in first["draft"]
    assert first["id"] != second["id"]
    assert "91,400" not in str(second)


def test_jobs_are_their_callers(keyed: Keyed, keyed_collection: str) -> None:
    mine, yours = keyed.client("ingest"), keyed.client("ingest")
    job = mine.ok("PUT", address(keyed_collection, "a"), 202, json={"text": "Some text."})["job_id"]
    assert mine.job(job)["status"] == "succeeded"
    for method, tail in (("GET", ""), ("GET", "/events"), ("DELETE", "")):
        assert code(yours.request(method, f"/v1/jobs/{job}{tail}")) == (404, "job_not_found")
    assert keyed.admin.ok("GET", f"/v1/jobs/{job}")["id"] == job


def test_a_pending_document_is_hidden_from_the_first_moment(keyed: Keyed, keyed_collection: str) -> None:
    reader = keyed.client("search", groups=("eng",))
    keyed.admin.ok("PUT", address(keyed_collection, "a"), 202, json={"text": "Some text.", "allowed_groups": ["hr"]})
    assert code(reader.get(address(keyed_collection, "a"))) == (404, "document_not_found")


def test_the_largest_body(keyed: Keyed, keyed_collection: str) -> None:
    """This service accepts bodies up to 1 MiB."""
    path = address(keyed_collection, "big") + "?wait=true"
    big = b"word " * 250_000
    for content in (big, iter([big[:1000], big])):  # with and without a Content-Length
        assert code(keyed.admin.put(path, content=content, headers={"Content-Type": "text/plain"})) == (
            413,
            "too_large",
        )
    form = keyed.admin.post(f"/v1/collections/{keyed_collection}/documents", files={"files": ("big.txt", big)})
    assert code(form) == (413, "too_large")
    assert keyed.admin.ok("GET", f"/v1/collections/{keyed_collection}/documents")["items"] == []


def test_pages_of_keys(keyed: Keyed) -> None:
    for _ in range(3):
        keyed.client("search")
    everything = keyed.admin.ok("GET", "/v1/keys?limit=500")["items"]
    paged, cursor = [], ""
    while True:
        page = keyed.admin.ok("GET", f"/v1/keys?limit=2{cursor}")
        paged += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert paged == everything


@pytest.mark.parametrize(
    ("path", "body"), [("/v1/search", b"{broken"), ("/v1/search", b"{}"), ("/v1/answer?x=1", b'{"question": 1}')]
)
def test_a_stranger_is_told_nothing_but_that(keyed: Keyed, path: str, body: bytes) -> None:
    headers = {"Content-Type": "application/json", "Idempotency-Key": "k1"}
    assert code(httpx.post(keyed.url + path, content=body, headers=headers, trust_env=False)) == (401, "missing_key")
    del headers["Idempotency-Key"]
    assert code(httpx.post(keyed.url + path, content=body, headers=headers, trust_env=False)) == (401, "missing_key")
