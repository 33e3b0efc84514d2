"""Sources over REST: added, synced by a job that can be followed, changed, removed; who may read which place."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from clients import Client, Keyed
from service import Service, running_service

PATIENCE_S = 120


def sync(http: Client, collection: str, source_id: str) -> dict[str, Any]:
    job: dict[str, Any] = http.job(
        http.ok("POST", f"/v1/collections/{collection}/sources/{source_id}/sync", 202)["job_id"]
    )
    return job


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hr").mkdir()
    (tmp_path / "hr" / "leave.md").write_text("# Leave\n\nEngineers accrue 2.25 days of leave each month.\n")
    (tmp_path / "travel.md").write_text("# Travel\n\nTrains are booked a week ahead.\n")
    return tmp_path


def test_a_folder_from_first_sync_to_removal(http: Client, collection: str, folder: Path) -> None:
    base = f"/v1/collections/{collection}/sources"
    body = {"kind": "directory", "uri": str(folder), "prune": True, "metadata": {"from": "disk"}}
    source = http.ok("POST", base, 201, json=body)
    assert (source["documents"], source["synced_at"], source["prune"]) == (0, None, True)
    job = sync(http, collection, source["id"])
    assert (job["kind"], job["status"], job["source_id"]) == ("sync", "succeeded", source["id"])
    assert job["counts"] == {"scanned": 2, "new": 2, "modified": 0, "unchanged": 0, "deleted": 0, "failed": 0}
    assert http.found(collection, "days of leave each month")[0] == "hr/leave.md"
    document = http.ok("GET", f"/v1/collections/{collection}/documents/hr/leave.md")
    assert document["metadata"] == {"from": "disk"}

    (folder / "hr" / "leave.md").rename(folder / "hr" / "holidays.md")
    (folder / "travel.md").unlink()
    job = sync(http, collection, source["id"])
    assert job["counts"] == {"scanned": 2, "new": 0, "modified": 1, "unchanged": 0, "deleted": 1, "failed": 0}
    assert http.ok("GET", f"/v1/collections/{collection}/documents/hr/holidays.md")["id"] == document["id"]
    assert http.found(collection, "days of leave each month") == ["hr/holidays.md"]

    changed = http.ok("PATCH", f"{base}/{source['id']}", json={"allowed_groups": ["hr"], "schedule": "0 3 * * *"})
    assert (changed["allowed_groups"], changed["schedule"], changed["prune"]) == (["hr"], "0 3 * * *", True)
    assert sync(http, collection, source["id"])["counts"]["modified"] == 1
    assert http.ok("GET", f"/v1/documents/{document['id']}")["allowed_groups"] == ["hr"]

    shown = http.ok("GET", f"{base}/{source['id']}")
    assert (shown["documents"], shown["last_job_id"] is not None) == (1, True)
    assert [s["id"] for s in http.ok("GET", base)["items"]] == [source["id"]]
    assert http.ok("DELETE", f"{base}/{source['id']}") == {"id": source["id"], "deleted_documents": 0}
    assert http.found(collection, "days of leave each month") == ["hr/holidays.md"]
    assert http.ok("GET", base) == {"items": [], "next_cursor": None}


def test_a_sync_is_followed_by_events(service: Service, http: Client, collection: str, folder: Path) -> None:
    base = f"/v1/collections/{collection}/sources"
    source = http.ok("POST", base, 201, json={"kind": "directory", "uri": str(folder)})
    job_id = http.ok("POST", f"{base}/{source['id']}/sync", 202)["job_id"]
    with urllib.request.urlopen(f"{service.url}/v1/jobs/{job_id}/events", timeout=PATIENCE_S) as stream:
        text = stream.read().decode()
    events = [block.split("\n") for block in text.strip().split("\n\n") if block.startswith("event: ")]
    assert events[-1][0] == "event: done"
    done = json.loads(events[-1][1].removeprefix("data: "))
    assert (done["status"], done["counts"]["new"]) == ("succeeded", 2)
    assert [j["id"] for j in http.ok("GET", "/v1/jobs?limit=500")["items"]].count(job_id) == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"kind": "floppy", "uri": "a"}, "invalid_request"),
        ({"kind": "directory"}, "invalid_request"),
        ({"kind": "directory", "uri": "/", "schedule": "often"}, "invalid_schedule"),
        ({"kind": "directory", "uri": "/", "colour": "red"}, "invalid_request"),
        ({"kind": "web", "uri": "ftp://example.com/"}, "invalid_source"),
        ({"kind": "directory", "uri": "/", "include": ["**/**/**/**/**/**/x"]}, "invalid_pattern"),
    ],
)
def test_bad_sources_are_refused_by_name(http: Client, collection: str, body: Any, code: str) -> None:
    answer = http.post(f"/v1/collections/{collection}/sources", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, code), answer.text


def test_a_source_is_there_once(http: Client, collection: str, folder: Path) -> None:
    base = f"/v1/collections/{collection}/sources"
    http.ok("POST", base, 201, json={"kind": "directory", "uri": str(folder)})
    answer = http.post(base, json={"kind": "directory", "uri": str(folder)})
    assert (answer.status_code, answer.json()["code"]) == (409, "source_exists")
    assert http.get(f"{base}/src_none").status_code == 404


def test_a_folder_that_is_not_there_fails_the_job_and_says_so(http: Client, collection: str, tmp_path: Path) -> None:
    base = f"/v1/collections/{collection}/sources"
    source = http.ok("POST", base, 201, json={"kind": "directory", "uri": str(tmp_path / "none")})
    job = sync(http, collection, source["id"])
    assert job["status"] == "failed"
    assert "could not be listed whole, so nothing was deleted" in job["error"]


def test_only_administrators_read_any_place_on_the_servers_disk(tmp_path: Path, folder: Path) -> None:
    roots = tmp_path / "roots"
    (roots / "open").mkdir(parents=True)
    (roots / "open" / "a.md").write_text("# A\n\nSome open text.\n")
    with running_service(tmp_path, FOOTNOTE_AUTH="keys", FOOTNOTE_SOURCE_ROOTS=str(roots)) as service:
        keyed = Keyed(service, tmp_path)
        admin, editor = keyed.admin, keyed.client("ingest")
        base = "/v1/collections/default/sources"
        for kind, uri in (
            ("directory", f"{folder}/hr"),
            ("directory", f"{roots}/open/../../hr"),
            ("fsspec", f"file://{folder}/hr"),
            ("fsspec", f"zip://*::file://{folder}/a.zip"),
            ("git", f"file://{folder}/repository"),
        ):
            refused = editor.post(base, json={"kind": kind, "uri": uri})
            assert (refused.status_code, refused.json()["code"]) == (403, "path_not_allowed"), uri
        made = editor.ok("POST", base, 201, json={"kind": "directory", "uri": str(roots / "open")})
        others = admin.ok("POST", base, 201, json={"kind": "directory", "uri": str(folder / "hr")})
        assert [s["id"] for s in editor.ok("GET", base)["items"]] == [made["id"]]
        assert len(admin.ok("GET", base)["items"]) == 2
        assert editor.get(f"{base}/{others['id']}").status_code == 404
        assert editor.job(editor.ok("POST", f"{base}/{made['id']}/sync", 202)["job_id"])["counts"]["new"] == 1
        keyed.close()
