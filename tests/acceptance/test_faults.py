"""``kill -9`` anywhere: after a restart every acknowledged document is there once, and every deleted one is not there at all."""

from __future__ import annotations

import json
import os
import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from clients import Client, address
from preloaded import run, start
from service import CACHE_DIR, Service, running_service
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from infra.database import Database, open_database
from infra.tables import ChunkRow, Document, DocumentVersion, ExtractedText, Generation, Job, JobItem, Vector
from ingest.jobs import FINISHED

SEED = 20260702
DOCUMENTS = 60
KILLS = 3
FILES = 24
EDIT = re.compile(r"This is edit (\d+) of (\S+)\.")


def text(name: str, edit: int) -> str:
    """A document of three sections; only the first depends on the edit."""
    parts = [f"# About {name}\n\nThis is edit {edit} of {name}."]
    parts += [f"## Part {n}\n\n{name} keeps its part {n} whatever is edited." for n in (1, 2)]
    return "\n\n".join(parts) + "\n"


@dataclass(slots=True)
class Caller:
    """Sends operations one by one; what was not acknowledged is sent again. ``expected`` is the last word on each document."""

    random: random.Random
    expected: dict[str, int | None] = field(default_factory=dict)
    durable: dict[str, int] = field(default_factory=dict)
    jobs: list[str] = field(default_factory=list)
    operations: list[tuple[str, str, int]] = field(default_factory=list)

    def plan(self) -> None:
        """One upload of many files, then edits and deletions in any order."""
        self.operations.append(("upload", "", 0))
        names = [f"d{n:02}.md" for n in range(DOCUMENTS)]
        for edit in range(1, 46):
            kind = self.random.choice(["put", "put", "wait", "delete"])
            self.operations.append((kind, self.random.choice(names), edit))

    def send_next(self, client: Client) -> None:
        """Send the next operation; on return it is acknowledged, and noted."""
        kind, name, edit = self.operations[0]
        if kind == "upload":
            files = [("files", (f"d{n:02}.md", text(f"d{n:02}.md", 0).encode())) for n in range(DOCUMENTS)]
            self.jobs.append(client.ok("POST", "/v1/collections/default/documents", 202, files=files)["job_id"])
            self.expected = {f"d{n:02}.md": 0 for n in range(DOCUMENTS)}
        elif kind == "delete":
            assert client.delete(address("default", name)).status_code in (200, 404)
            self.expected[name] = None
            self.durable.pop(name, None)
        elif kind == "wait":
            client.store("default", name, text(name, edit))
            self.expected[name] = self.durable[name] = edit
        else:
            body = {"text": text(name, edit)}
            self.jobs.append(client.ok("PUT", address("default", name), 202, json=body)["job_id"])
            self.expected[name] = edit
            self.durable.pop(name, None)
        self.operations.pop(0)


def stored(database: Database) -> dict[str, int]:
    """The edit of every document that is ready; a text that is not whole fails the test."""
    with database.read() as session:
        rows = session.execute(
            select(Document.external_id, ExtractedText.text)
            .join(
                DocumentVersion,
                (DocumentVersion.document_id == Document.id) & (DocumentVersion.number == Document.version),
            )
            .join(ExtractedText, ExtractedText.sha256 == DocumentVersion.text_sha256)
        ).all()
    edits: dict[str, int] = {}
    for name, content in rows:
        found = EDIT.findall(content)
        assert [mentioned for _, mentioned in found] == [name]
        assert [f"{name} keeps its part {n} whatever is edited." in content for n in (1, 2)] == [True, True]
        edits[name] = int(found[0][0])
    return edits


def check_nothing_is_lost_doubled_or_left_over(session: Session) -> None:
    documents = session.scalars(select(Document)).all()
    for document in documents:
        assert document.status == "ready", (document.external_id, document.status)
        chunks = session.scalars(
            select(ChunkRow).where(ChunkRow.document_id == document.id).order_by(ChunkRow.ordinal)
        ).all()
        assert [chunk.ordinal for chunk in chunks] == list(range(document.chunk_count))
        assert {chunk.version for chunk in chunks} == {document.version}
        numbers = session.scalars(
            select(DocumentVersion.number).where(DocumentVersion.document_id == document.id)
        ).all()
        assert sorted(numbers) == list(range(1, document.version + 1))
    assert session.scalar(select(func.count()).select_from(ChunkRow)) == sum(d.chunk_count for d in documents)
    used = set(session.scalars(select(ChunkRow.vector_hash)))
    assert set(session.scalars(select(Vector.hash))) == used
    texts = set(session.scalars(select(DocumentVersion.text_sha256)))
    assert set(session.scalars(select(ExtractedText.sha256))) == texts


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path / 'data' / 'footnote.db'}")
    yield database
    database.close()


def kill(service: Service) -> None:
    service.process.kill()
    service.process.wait()


@pytest.mark.timeout(600)
def test_a_server_that_is_killed_again_and_again(tmp_path: Path, opened: Database) -> None:
    chance = random.Random(SEED)
    caller = Caller(chance)
    caller.plan()
    total = len(caller.operations)
    # the first kill falls into the work on the upload
    stops = [1, *sorted(chance.sample(range(3, total - 2), KILLS - 1))]
    unfinished = 0
    for stop in stops:
        with running_service(tmp_path) as service, Client(service.url) as client:
            check_durable(client, caller)
            while total - len(caller.operations) < stop:
                caller.send_next(client)
            time.sleep(chance.random() * 0.3)
            kill(service)
            with pytest.raises(httpx.TransportError):
                client.get("/health/live")
        with opened.read() as session:
            unfinished += len(session.scalars(select(Job.id).where(Job.status.not_in(FINISHED))).all())
    assert unfinished > 0, "no kill fell into a job: the test would prove nothing"
    with running_service(tmp_path) as service, Client(service.url) as client:
        check_durable(client, caller)
        while caller.operations:
            caller.send_next(client)
        for job_id in caller.jobs:
            assert client.job(job_id)["status"] == "succeeded"
        expected = {name: edit for name, edit in caller.expected.items() if edit is not None}
        assert stored(opened) == expected
        result = client.ok("GET", "/v1/integrity")
        assert result["ok"] is True, result
        (row,) = result["collections"]
        assert row["documents"] == len(expected)
        assert row["chunks"] == row["vectors"] == row["lexical"]
        for name in chance.sample(sorted(caller.expected), 8):
            found = client.found("default", f"About {name}", filter={"external_id": name})
            assert bool(found) == (name in expected)
    with opened.read() as session:
        check_nothing_is_lost_doubled_or_left_over(session)
        assert session.scalars(select(JobItem).where(JobItem.outcome.is_(None))).all() == []
    assert list((tmp_path / "data" / "spool").iterdir()) == []


def check_durable(client: Client, caller: Caller) -> None:
    """What was acknowledged as searchable is, right after the start."""
    for name, edit in caller.durable.items():
        document = client.ok("GET", address("default", name))
        assert document["status"] == "ready"
        assert client.get(f"/v1/documents/{document['id']}/text").text == text(name, edit)


@pytest.mark.timeout(600)
def test_an_ingest_command_that_is_killed(tmp_path: Path, opened: Database) -> None:
    files = tmp_path / "files"
    files.mkdir()
    for n in range(FILES):
        (files / f"d{n:02}.md").write_text(text(f"d{n:02}.md", 0))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FOOTNOTE_")}
    environment |= {
        "FOOTNOTE_DATA_DIR": str(tmp_path / "data"),
        "FOOTNOTE_CACHE_DIR": str(CACHE_DIR),
        "HF_HUB_OFFLINE": "1",
    }
    command = ["ingest", str(files), "--json"]
    with (tmp_path / "first.log").open("wb") as output:
        process = start(command, env=environment, output=output)
        while process.poll() is None and not stored(opened):
            time.sleep(0.02)
        process.kill()
        process.wait()
    with opened.read() as session:
        assert len(stored(opened)) <= FILES
        check_nothing_is_lost_doubled_or_left_over(session)
    again = run(command, env=environment)
    assert again.returncode == 0, again.stderr
    # It goes on with the sync that was killed, whose counts are those of one sync.
    assert json.loads(again.stdout)["counts"]["new"] == FILES
    assert stored(opened) == {f"d{n:02}.md": 0 for n in range(FILES)}
    with opened.read() as session:
        check_nothing_is_lost_doubled_or_left_over(session)
        assert {d.version for d in session.scalars(select(Document))} == {1}


@pytest.mark.timeout(600)
def test_a_server_that_is_killed_while_it_cuts_a_collection_again(tmp_path: Path, opened: Database) -> None:
    wanted = {"strategy": "size", "target_tokens": 40}
    names = [f"d{n:02}.md" for n in range(DOCUMENTS)]
    with running_service(tmp_path) as service, Client(service.url) as client:
        for name in names:
            client.store("default", name, text(name, 0) * 8)
        before = {name: client.ok("GET", address("default", name))["chunks"] for name in names}
        job_id = client.ok("PATCH", "/v1/collections/default", json={"chunking": wanted})["job_id"]
        while not _cut_beside(opened):
            time.sleep(0.01)
        kill(service)
    begun = _cut_beside(opened)
    assert 0 < begun < DOCUMENTS, "the kill fell into no work: the test would prove nothing"
    with opened.read() as session:
        live = {document.external_id: document.chunk_count for document in session.scalars(select(Document))}
    assert live == before
    with running_service(tmp_path) as service, Client(service.url) as client:
        job = client.job(job_id)
        assert (job["status"], job["counts"]["modified"]) == ("succeeded", DOCUMENTS)
        assert client.ok("GET", "/v1/collections/default")["chunking"]["target_tokens"] == 40
        after = {name: client.ok("GET", address("default", name)) for name in names}
        assert all(document["chunks"] > before[name] for name, document in after.items())
        assert {document["version"] for document in after.values()} == {1}
        assert client.ok("GET", "/v1/integrity")["ok"] is True
        assert client.found("default", "About d07.md", filter={"external_id": "d07.md"})
    with opened.read() as session:
        built = session.scalars(select(Generation).order_by(Generation.number)).all()
        assert [(row.number, row.state) for row in built] == [(1, "retired"), (2, "live")]
        count = func.count(ChunkRow.document_id.distinct())
        sets = session.execute(select(ChunkRow.chunk_set, count).group_by(ChunkRow.chunk_set)).all()
        assert sorted(map(tuple, sets)) == [(1, DOCUMENTS), (2, DOCUMENTS)]


def _cut_beside(database: Database) -> int:
    """How many documents have chunks in a set besides the live one."""
    with database.read() as session:
        return session.scalar(select(func.count(ChunkRow.document_id.distinct())).where(ChunkRow.chunk_set == 2)) or 0
