"""``Idempotency-Key``: what creates something does so once, and a repeat is no way around keys, permissions or deletions."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx
from clients import Client, Keyed, address


def fresh() -> dict[str, str]:
    return {"Idempotency-Key": uuid.uuid4().hex}


def test_a_repeat_gets_the_first_response_and_does_nothing(http: Client) -> None:
    name, header = f"once-{uuid.uuid4().hex[:8]}", fresh()
    first = http.post("/v1/collections", json={"name": name}, headers=header)
    again = http.post("/v1/collections", json={"name": name}, headers=header)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    without = http.post("/v1/collections", json={"name": name})
    assert (without.status_code, without.json()["code"]) == (409, "collection_exists")
    http.delete(f"/v1/collections/{name}")


def test_the_same_key_for_another_request_is_an_error(http: Client) -> None:
    name, header = f"once-{uuid.uuid4().hex[:8]}", fresh()
    assert http.post("/v1/collections", json={"name": name}, headers=header).status_code == 201
    for path, body in (("/v1/collections", {"name": name + "x"}), ("/v1/answer", {"name": name})):
        response = http.post(path, json=body, headers=header)
        assert (response.status_code, response.json()["code"]) == (400, "idempotency_key_reused")
        assert response.headers["content-type"] == "application/problem+json"
        assert response.headers["x-request-id"] == response.json()["request_id"]
    http.delete(f"/v1/collections/{name}")


def test_an_upload_is_queued_once(http: Client, collection: str) -> None:
    path, files, header = (
        f"/v1/collections/{collection}/documents",
        {"files": ("a.md", b"# A\n\nSome text.\n")},
        fresh(),
    )
    jobs = {http.ok("POST", path, 202, files=files, headers=header)["job_id"] for _ in range(3)}
    assert len(jobs) == 1
    assert http.job(jobs.pop())["counts"]["new"] == 1


def test_a_failure_is_not_kept(http: Client) -> None:
    header = fresh()
    assert http.post("/v1/collections", json={"name": "Bad Name"}, headers=header).status_code == 400
    name = f"once-{uuid.uuid4().hex[:8]}"
    assert http.post("/v1/collections", json={"name": name}, headers=header).status_code == 201
    http.delete(f"/v1/collections/{name}")


def test_too_long_a_key(http: Client) -> None:
    response = http.post("/v1/collections", json={"name": "x"}, headers={"Idempotency-Key": "k" * 256})
    assert (response.status_code, response.json()["code"]) == (400, "invalid_idempotency_key")


def test_at_once_it_is_done_once(http: Client) -> None:
    name, header = f"once-{uuid.uuid4().hex[:8]}", fresh()

    def create(_: int) -> httpx.Response:
        return httpx.post(
            f"{http.base_url}/v1/collections", json={"name": name}, headers=header, trust_env=False, timeout=60
        )

    with ThreadPoolExecutor(6) as pool:
        responses = list(pool.map(create, range(6)))
    outcomes = {(r.status_code, r.json().get("code")) for r in responses}
    assert (201, None) in outcomes
    assert outcomes <= {(201, None), (409, "request_in_progress")}
    http.delete(f"/v1/collections/{name}")


def test_a_secret_is_shown_once(keyed: Keyed) -> None:
    header = fresh()
    first = keyed.admin.ok("POST", "/v1/keys", 201, json={"name": "once"}, headers=header)
    again = keyed.admin.ok("POST", "/v1/keys", 201, json={"name": "once"}, headers=header)
    assert first["secret"].startswith("fn_")
    assert again == {**first, "secret": None}


def test_keys_of_two_callers_do_not_meet(keyed: Keyed) -> None:
    header, one, two = fresh(), keyed.client("ingest"), keyed.client("ingest")
    names = [f"once-{uuid.uuid4().hex[:8]}" for _ in range(2)]
    for client, name in zip((one, two), names, strict=True):
        assert client.ok("POST", "/v1/collections", 201, json={"name": name}, headers=header)["name"] == name
        keyed.admin.delete(f"/v1/collections/{name}")


def test_a_revoked_key_gets_no_kept_response(keyed: Keyed) -> None:
    header, name = fresh(), f"once-{uuid.uuid4().hex[:8]}"
    client = keyed.client("ingest")
    identifier = keyed.admin.ok("GET", "/v1/keys?limit=500")["items"][-1]["id"]
    client.ok("POST", "/v1/collections", 201, json={"name": name}, headers=header)
    keyed.admin.ok("DELETE", f"/v1/keys/{identifier}")
    response = client.post("/v1/collections", json={"name": name}, headers=header)
    assert (response.status_code, response.json()["code"]) == (401, "unknown_key")
    keyed.admin.delete(f"/v1/collections/{name}")


def test_an_answer_is_not_kept_beyond_its_documents(http: Client, collection: str) -> None:
    http.store(collection, "leave", "Every engineer accrues 2.25 days of leave for each month of work.")
    header = fresh()
    for path, body in (
        (
            "/v1/answer",
            {"question": "How many days of leave does an engineer accrue each month?", "collections": [collection]},
        ),
        ("/v1/search", {"query": "days of leave", "collections": [collection]}),
    ):
        header = fresh()
        assert "2.25" in http.post(path, json=body, headers=header).text
        http.ok("DELETE", address(collection, "leave"))
        assert "2.25" not in http.post(path, json=body, headers=header).text
        http.store(collection, "leave", "Every engineer accrues 2.25 days of leave for each month of work.")
