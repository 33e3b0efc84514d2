"""The life of documents over HTTP: stored, replaced, listed, uploaded, refused, deleted."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pypdf
import pytest
from clients import Client, address

PARKING = "# Parking\n\nVisitors park in bay Zeta-7 behind the north depot.\n"
FIELDS = {
    "id",
    "external_id",
    "version",
    "title",
    "url",
    "mime",
    "metadata",
    "allowed_groups",
    "status",
    "chunks",
    "created_at",
    "updated_at",
}


def test_a_json_document_is_shown_as_it_was_sent(http: Client, collection: str) -> None:
    attributes = {
        "title": "Parking",
        "url": "https://example.org/p",
        "metadata": {"site": "north", "floor": 2, "tags": ["a"], "x": None},
        "allowed_groups": ["b", "a"],
        "version": 7,
    }
    stored = http.store(collection, "site/parking.md", PARKING, **attributes)
    assert stored.keys() >= FIELDS
    assert {
        name: stored[name]
        for name in ("external_id", "version", "title", "url", "metadata", "status", "allowed_groups")
    } == {
        "external_id": "site/parking.md",
        "version": 1,
        "title": "Parking",
        "url": "https://example.org/p",
        "metadata": attributes["metadata"],
        "status": "ready",
        "allowed_groups": ["a", "b"],
    }
    assert stored["caller_version"] == "7"
    assert stored["chunks"] >= 1
    assert "error" not in stored
    for path in (
        address(collection, "site/parking.md"),
        f"/v1/collections/{collection}/documents/site/parking.md",
        f"/v1/documents/{stored['id']}",
    ):
        assert http.ok("GET", path) == stored
    text = http.get(f"/v1/documents/{stored['id']}/text")
    assert (text.text, text.headers["content-type"]) == (PARKING, "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    "external_id",
    ["a b", "a//b", "ä/é.md", "100%", "a?b#c", "x" * 1024, "documents/documents", "+", "😀"],
)
def test_any_external_id_names_a_document(http: Client, collection: str, external_id: str) -> None:
    stored = http.store(collection, external_id, PARKING)
    assert stored["external_id"] == external_id
    assert http.ok("GET", address(collection, external_id))["id"] == stored["id"]
    assert http.found(collection, "visitors park") == [external_id]
    assert http.ok("DELETE", address(collection, external_id))["external_id"] == external_id


def test_a_collection_named_documents(http: Client) -> None:
    http.ok("POST", "/v1/collections", 201, json={"name": "documents"})
    try:
        assert http.store("documents", "documents/a", PARKING)["external_id"] == "documents/a"
        assert [d["external_id"] for d in http.ok("GET", "/v1/collections/documents/documents")["items"]] == [
            "documents/a"
        ]
    finally:
        http.delete("/v1/collections/documents")


def test_versions(http: Client, collection: str) -> None:
    first = http.store(collection, "p", PARKING, metadata={"a": 1})
    assert http.store(collection, "p", PARKING, metadata={"a": 1}) == first
    second = http.store(collection, "p", PARKING, metadata={"a": 2})
    assert (second["version"], second["id"], second["created_at"]) == (2, first["id"], first["created_at"])
    third = http.store(collection, "p", PARKING.replace("Zeta-7", "Kappa-3"))
    assert (third["version"], third["metadata"]) == (3, {})
    results = http.ok("POST", "/v1/search", json={"query": "Where do visitors park?", "collections": [collection]})[
        "results"
    ]
    assert [("Kappa-3" in hit["text"], hit["document"]["version"]) for hit in results] == [(True, 3)]
    assert "Zeta-7" in http.get(f"/v1/documents/{first['id']}/text?version=1").text
    missing = http.get(f"/v1/documents/{first['id']}/text?version=4")
    assert (missing.status_code, missing.json()["code"]) == (404, "version_not_found")
    receipt = http.ok("DELETE", address(collection, "p"))
    assert receipt.keys() == {"document_id", "external_id", "versions", "chunks", "deleted_at", "seq"}
    assert (receipt["document_id"], receipt["versions"], receipt["chunks"]) == (first["id"], 3, third["chunks"])
    assert http.found(collection, "Where do visitors park?") == []
    for path in (
        address(collection, "p"),
        f"/v1/documents/{first['id']}",
        f"/v1/documents/{first['id']}/text?version=1",
    ):
        assert http.get(path).status_code == 404


def test_a_put_without_waiting_is_a_job(http: Client, collection: str) -> None:
    job_id = http.ok("PUT", address(collection, "p"), 202, json={"text": PARKING, "title": "Parking"})["job_id"]
    job = http.job(job_id)
    assert job.keys() >= {"id", "kind", "status", "counts", "failures", "created_at", "finished_at"}
    assert (job["phase"], job["error"], job["source_id"]) == (None, None, None)
    assert (job["status"], job["kind"], job["counts"]["new"]) == ("succeeded", "ingest", 1)
    assert http.ok("GET", address(collection, "p"))["title"] == "Parking"
    again = http.job(
        http.ok("PUT", address(collection, "p"), 202, json={"text": PARKING, "title": "Parking"})["job_id"]
    )
    assert again["counts"] == {"scanned": 1, "new": 0, "modified": 0, "unchanged": 1, "deleted": 0, "failed": 0}


def test_a_job_is_followed_by_events(http: Client, collection: str) -> None:
    files = [("files", (f"{n}.md", f"# Part {n}\n\nSome text {n}.\n".encode())) for n in range(5)]
    job_id = http.ok("POST", f"/v1/collections/{collection}/documents", 202, files=files)["job_id"]
    with http.stream("GET", f"/v1/jobs/{job_id}/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in response.iter_lines() if line.startswith(("event:", "data:"))]
    assert lines[-2] == "event: done"
    assert set(lines[0:-2:2]) <= {"event: progress"}
    done = json.loads(lines[-1].removeprefix("data: "))
    assert (done["status"], done["counts"]["new"]) == ("succeeded", 5)
    assert http.ok("DELETE", f"/v1/jobs/{job_id}") == done  # a finished job stays as it is


def test_a_raw_file_with_its_attributes(http: Client, collection: str) -> None:
    params = {
        "wait": "true",
        "title": "Site rules",
        "url": "https://example.org",
        "allowed_groups": "hr, eng",
        "metadata": '{"site": "north"}',
    }
    html = b"<html><body><h1>Parking</h1><p>Visitors park in bay Zeta-7.</p></body></html>"
    stored = http.ok(
        "PUT", address(collection, "rules.html"), params=params, content=html, headers={"Content-Type": "text/html"}
    )
    assert (stored["title"], stored["mime"], stored["allowed_groups"]) == ("Site rules", "text/html", ["eng", "hr"])
    assert stored["metadata"] == {"site": "north"}
    text = http.get(f"/v1/documents/{stored['id']}/text").text
    assert "Visitors park in bay Zeta-7." in text
    assert "<p>" not in text
    nobody = http.ok(
        "PUT",
        address(collection, "x.md"),
        params={"wait": "true", "allowed_groups": ""},
        content=b"# Secret\n\nText.\n",
    )
    assert nobody["allowed_groups"] == []


def test_a_form_with_good_and_bad_files(http: Client, collection: str) -> None:
    files = [
        ("files", ("leave.md", b"# Leave\n\nEngineers accrue 2.25 days.\n")),
        ("files", ("parking.html", b"<h1>Parking</h1><p>Visitors park in bay Zeta-7.</p>")),
        ("files", ("broken.docx", b"PK\x03\x04 an archive cut short")),
    ]
    data = {"metadata": '{"batch": 1}', "allowed_groups": "hr"}
    job = http.job(http.ok("POST", f"/v1/collections/{collection}/documents", 202, files=files, data=data)["job_id"])
    assert job["status"] == "partial"
    assert job["counts"] == {"scanned": 3, "new": 2, "modified": 0, "unchanged": 0, "deleted": 0, "failed": 1}
    (failure,) = job["failures"]
    assert failure["external_id"] == "broken.docx"
    listed = {d["external_id"]: d for d in http.ok("GET", f"/v1/collections/{collection}/documents")["items"]}
    assert {name: d["status"] for name, d in listed.items()} == {
        "broken.docx": "failed",
        "leave.md": "ready",
        "parking.html": "ready",
    }
    assert listed["broken.docx"]["error"] == {"code": failure["code"], "detail": failure["detail"]}
    assert listed["leave.md"]["metadata"] == {"batch": 1}
    assert listed["leave.md"]["allowed_groups"] == ["hr"]


def _encrypted_pdf() -> bytes:
    writer = pypdf.PdfWriter()
    writer.add_blank_page(200, 200)
    writer.encrypt("secret")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def _zip(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


BAD = {
    "empty": ("a.md", b"", 422, "empty_file"),
    "only spaces": ("a.txt", b" \n\t\n", 422, "empty_file"),
    "encrypted": ("a.pdf", _encrypted_pdf(), 422, "encrypted"),
    "cut short": ("a.docx", b"PK\x03\x04 an archive cut short", 422, "malformed"),
    "cut pdf": ("a.pdf", b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog", 422, "malformed"),
    "binary": ("a.bin", bytes(range(256)) * 20, 422, "binary_content"),
    "binary named text": ("a.txt", bytes(range(256)) * 20, 422, "binary_content"),
    "program": ("a.md", b"\x7fELF\x02\x01\x01" + b"\x00" * 200, 415, "unsupported_format"),
    "archive": ("a.zip", _zip(a=b"x"), 415, "unsupported_format"),
}


@pytest.mark.parametrize(("name", "data", "status", "code"), BAD.values(), ids=BAD)
def test_a_bad_file_is_refused_clearly_and_changes_nothing(
    http: Client, collection: str, name: str, data: bytes, status: int, code: str
) -> None:
    stored = http.store(collection, name, PARKING)
    response = http.put(
        address(collection, name) + "?wait=true", content=data, headers={"Content-Type": "application/octet-stream"}
    )
    body = response.json()
    assert (response.status_code, body["code"]) == (status, code), body
    assert response.headers["content-type"] == "application/problem+json"
    assert body["detail"].endswith(".")
    assert "/" not in body["detail"].replace("and/or", "").replace("application/", "").replace("text/", ""), body[
        "detail"
    ]
    now = http.ok("GET", address(collection, name))
    assert (now["version"], now["status"], now["error"]) == (1, "ready", {"code": code, "detail": body["detail"]})
    assert http.get(f"/v1/documents/{stored['id']}/text").text == PARKING
    assert http.found(collection, "Where do visitors park?") == [name]
    # the good bytes again clear the error
    assert "error" not in http.store(collection, name, PARKING)


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        (
            "latin.txt",
            "Die Übergröße kostet 14 Gulden, naïve Café.".encode("latin-1"),
            "Übergröße kostet 14 Gulden, naïve Café",
        ),
        ("utf16.txt", "Visitors park in bay Zeta-7.".encode("utf-16"), "Visitors park in bay Zeta-7."),
        ("bom.md", b"\xef\xbb\xbf# Parking\n\nVisitors park.\n", "Visitors park."),
        (
            "page.txt",
            b"<!DOCTYPE html><html><body><h1>Parking</h1><p>Visitors park.</p></body></html>",
            "Visitors park.",
        ),
    ],
)
def test_text_in_other_encodings_and_mislabelled_files_are_read(
    http: Client, collection: str, name: str, data: bytes, expected: str
) -> None:
    stored = http.ok(
        "PUT", address(collection, name) + "?wait=true", content=data, headers={"Content-Type": "text/plain"}
    )
    assert expected in http.get(f"/v1/documents/{stored['id']}/text").text


def test_pages_of_documents_and_collections(http: Client, collection: str) -> None:
    names = [f"{letter}/{n}" for letter in "ab" for n in range(4)]
    files = [("files", (name.replace("/", "-"), f"Text {name}.".encode())) for name in names]
    http.job(http.ok("POST", f"/v1/collections/{collection}/documents", 202, files=files)["job_id"])

    def pages(path: str, limit: int) -> list[Any]:
        found, cursor = [], None
        while True:
            page = http.ok("GET", path, params={"limit": limit, **({"cursor": cursor} if cursor else {})})
            assert page.keys() == {"items", "next_cursor"}
            assert len(page["items"]) <= limit
            found += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    path = f"/v1/collections/{collection}/documents"
    for limit in (1, 3, 8, 100):
        assert [d["external_id"] for d in pages(path, limit)] == sorted(name.replace("/", "-") for name in names)
    assert [c["name"] for c in pages("/v1/collections", 1)] == sorted(c["name"] for c in pages("/v1/collections", 500))


def test_collections_are_described_and_changed(http: Client, collection: str) -> None:
    assert http.ok("GET", f"/v1/collections/{collection}")["description"] is None
    assert http.ok("PATCH", f"/v1/collections/{collection}", json={"description": "Ours"})["description"] == "Ours"
    shown = http.ok("GET", f"/v1/collections/{collection}")
    assert (shown["name"], shown["description"]) == (collection, "Ours")
    http.store(collection, "a", PARKING)
    assert http.delete(f"/v1/collections/{collection}").status_code == 204
    assert http.get(f"/v1/collections/{collection}").status_code == 404
    http.ok("POST", "/v1/collections", 201, json={"name": collection})
    assert http.ok("GET", f"/v1/collections/{collection}/documents")["items"] == []


def test_integrity_after_all_of_this(http: Client, collection: str) -> None:
    http.store(collection, "a", PARKING)
    result = http.ok("GET", "/v1/integrity")
    assert result["ok"] is True
    mine = next(row for row in result["collections"] if row["name"] == collection)
    assert mine == {
        "name": collection,
        "documents": 1,
        "chunks": 1,
        "vectors": 1,
        "lexical": 1,
        "missing": 0,
        "orphaned": 0,
    }


def test_uploads_leave_nothing_in_the_spool(http: Client, service: Any, tmp_path: Path) -> None:
    spool = service.log.parent / "data" / "spool"
    assert list(spool.iterdir()) == [] if spool.is_dir() else True
