"""A disk that fills up under a running service: every sender is told so, nothing is half-stored, and it goes on afterwards."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from clients import Client, address
from fakes import FakeEncoder
from litestar.testing import TestClient
from service import Service, running_service
from sqlalchemy import text as sql

from api import services
from api.app import create_app
from infra.database import open_database
from infra.settings import load_settings

MIB = 2**20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder whose data lies on a small disk of its own."""
    folder = tmp_path_factory.mktemp("small")
    data = folder / "data"
    data.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "footnote", data], check=False)
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", data], check=True)


@pytest.fixture(scope="module")
def small(folder: Path) -> Iterator[Service]:
    """A service with that data folder, that parses in little memory."""
    with running_service(folder) as service:
        yield service


@pytest.fixture
def client(small: Service) -> Iterator[Client]:
    with Client(small.url) as client:
        yield client


@pytest.fixture
def full(folder: Path) -> Iterator[Path]:
    """The disk is filled to its last block, but for ``room`` that a test may make by removing the file."""
    ballast = folder / "data" / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 65_536)
        except OSError:
            pass
    yield ballast
    ballast.unlink(missing_ok=True)


def check_told(response: httpx.Response) -> None:
    assert response.status_code == 507, response.text
    body: dict[str, Any] = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert body["code"] == "insufficient_storage"
    assert body["detail"].endswith("Make room on it and send this again.")
    assert body["request_id"] == response.headers["x-request-id"]


def test_uploads_to_a_full_disk(client: Client, folder: Path, full: Path) -> None:
    spool = folder / "data" / "spool"
    content = os.urandom(3 * MIB)
    raw = {"content": content, "headers": {"Content-Type": "text/plain"}}
    check_told(client.put(address("default", "raw.txt"), **raw))
    check_told(client.put(address("default", "text"), json={"text": "Some words. " * 50_000}))
    check_told(client.put(address("default", "text") + "?wait=true", json={"text": "Some words. " * 50_000}))
    files = [("files", (f"{n}.txt", content)) for n in range(3)]
    check_told(client.post("/v1/collections/default/documents", files=files))
    assert list(spool.glob("*")) == []
    assert client.get("/health/live").status_code == 200
    assert client.ok("GET", "/v1/collections/default/documents")["items"] == []
    full.unlink()
    files = [("files", (f"{n}.txt", f"Text number {n} is stored.".encode())) for n in range(3)]
    job = client.job(client.ok("POST", "/v1/collections/default/documents", 202, files=files)["job_id"])
    assert job["status"] == "succeeded"
    assert job["counts"]["new"] == 3
    client.store("default", "text", "The words are stored as well.")
    assert client.ok("GET", "/v1/integrity")["ok"] is True
    assert list(spool.glob("*")) == []


def test_the_disk_fills_up_in_the_middle_of_an_upload(client: Client, folder: Path) -> None:
    body = os.urandom(40 * MIB)  # more than the whole disk
    check_told(client.put(address("default", "raw.bin"), content=body, headers={"Content-Type": "text/plain"}))
    check_told(client.post("/v1/collections/default/documents", files=[("files", ("raw.bin", body))]))
    assert list((folder / "data" / "spool").glob("*")) == []
    client.store("default", "later", "There is room again.")


def test_a_database_that_cannot_grow(client: Client, folder: Path, full: Path) -> None:
    """A short text needs no room for uploads, but the database has none either."""
    response = client.put(address("default", "short") + "?wait=true", json={"text": "A short text. " * 3000})
    assert response.status_code == 507, response.text
    assert response.json()["code"] == "insufficient_storage"
    full.unlink()
    assert client.get(address("default", "short")).status_code == 404
    client.store("default", "short", "A short text.")
    assert client.found("default", "short text")[0] == "short"
    database = open_database(f"sqlite:///{folder / 'data' / 'footnote.db'}")
    with database.read() as session:
        assert session.execute(sql("PRAGMA integrity_check")).scalar() == "ok"
    database.close()
    assert client.ok("GET", "/v1/integrity")["ok"] is True


def test_more_waits_than_may(tmp_path: Path) -> None:
    limits = {"FOOTNOTE_MAX_WAITING_MB": "2", "FOOTNOTE_MAX_UPLOAD_MB": "2", "FOOTNOTE_JOB_CONCURRENCY": "0"}
    text = {"headers": {"Content-Type": "text/plain"}}
    with running_service(tmp_path, **limits) as service, Client(service.url) as client:
        first = client.put(address("default", "a.txt"), content=b"Some text. " * 120_000, **text)
        assert first.status_code == 202, first.text
        refused = client.put(address("default", "b.txt"), content=b"More text. " * 120_000, **text)
        assert refused.status_code == 503
        assert refused.json()["code"] == "too_many_uploads"
        assert refused.headers["retry-after"] == "30"
        assert client.get(address("default", "b.txt")).status_code == 404
        assert client.get("/v1/search", params={}).status_code == 405
        client.ok("DELETE", f"/v1/jobs/{first.json()['job_id']}")
        again = client.put(address("default", "b.txt"), content=b"More text. " * 120_000, **text)
        assert again.status_code == 202


def test_a_database_in_other_hands(tmp_path: Path) -> None:
    """Requests that must write say so and may be sent again; the ones that read go on."""
    settings = load_settings(environ={}, overrides={"data_dir": str(tmp_path), "auth": "off", "job_concurrency": "0"})
    opened = partial(open_database, busy_timeout_s=0.1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(services, "open_encoder", lambda _: FakeEncoder())
        patched.setattr(services, "open_database", opened)
        with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
            holder = open_database(settings.database)
            with holder.write():
                for path, body in (("text", {"text": "Some text."}), ("text?wait=true", {"text": "Some text."})):
                    response = client.put(f"/v1/collections/default/documents/{path}", json=body)
                    assert response.status_code == 503, response.text
                    assert response.json()["code"] == "database_busy"
                    assert response.headers["retry-after"] == "5"
                assert client.get("/v1/collections/default/documents").json()["items"] == []
                assert client.get("/health/live").status_code == 200
            holder.close()
            assert list((tmp_path / "spool").iterdir()) == []
            response = client.put("/v1/collections/default/documents/text?wait=true", json={"text": "Some text."})
            assert response.status_code == 200


def test_the_same_text_is_the_same_on_any_way(http: Client, collection: str) -> None:
    """Also where it waits on disk: a later PUT of it changes nothing."""
    for text in ("A line.\r\nAnother.\r\n", "A line.\r\nAnother, and a lone \r in it.\n" * 4000):
        name = f"{len(text)}.txt"
        first = http.ok("PUT", address(collection, name), 202, json={"text": text})
        assert http.job(first["job_id"])["counts"]["new"] == 1
        assert http.store(collection, name, text)["version"] == 1
        again = http.ok("PUT", address(collection, name), 202, json={"text": text})
        assert http.job(again["job_id"])["counts"]["unchanged"] == 1
