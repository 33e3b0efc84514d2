"""Jobs that cut a collection again: what they were asked for last holds at their end, wherever they were stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fakes import fake_ingestion
from queues import show
from sqlalchemy import func, select

from infra.database import Database
from infra.tables import Document, Source
from ingest.chunking import ChunkingSettings, read_chunking
from ingest.collections import get_collection
from ingest.document import DocumentInput
from ingest.pipeline import ingest_batch
from ingest.rechunk import rechunk, request_chunking
from ingest.runner import JobRunner, Stopped
from ingest.spool import Spool


def no_source(source: Source) -> Any:
    raise AssertionError("no job here has a source")


@pytest.fixture
def runner(database: Database, tmp_path: Path) -> JobRunner:
    return JobRunner(fake_ingestion(database), Spool(tmp_path / "spool"), no_source)


def test_a_rechunk_job_cuts_documents_and_lets_the_settings_hold(database: Database, runner: JobRunner) -> None:
    text = "\n\n".join(f"Paragraph number {n} says something of its own, at some length." for n in range(40))
    ingest_batch(runner.ingestion, "default", [DocumentInput(f"{n}", text=text) for n in range(10)])
    wanted = {"strategy": "size", "target_tokens": 32}
    with database.write() as session:
        collection = get_collection(session, "default")
        before = session.scalar(select(func.sum(Document.chunk_count))) or 0
        job = request_chunking(session, collection, wanted, "me")
        assert job is not None
        assert collection.chunking is None
        job_id = job.id
    runner.run(job_id)
    done = show(database, job_id)
    assert (done["status"], done["counts"]["modified"], done["counts"]["scanned"]) == ("succeeded", 10, 10)
    with database.read() as session:
        assert (session.scalar(select(func.sum(Document.chunk_count))) or 0) > before
        assert {d.version for d in session.scalars(select(Document))} == {1}
        assert get_collection(session, "default").chunking == read_chunking(wanted).as_json()


def test_settings_that_change_while_documents_are_cut_again_are_followed(
    database: Database, runner: JobRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest_batch(runner.ingestion, "default", [DocumentInput("a", text="Some text. " * 200)])
    with database.write() as session:
        collection = get_collection(session, "default")
        job = request_chunking(session, collection, {"target_tokens": 40}, "me")
        assert job is not None
        job_id = job.id
    asked: list[int] = []

    def changing(ingestion: Any, files: Any, name: str, settings: ChunkingSettings, progress: Any) -> dict[str, int]:
        asked.append(settings.target_tokens)
        counts = rechunk(ingestion, files, name, settings, progress)
        if len(asked) == 1:
            with database.write() as session:
                again = request_chunking(session, get_collection(session, "default"), {"target_tokens": 50}, "me")
                assert again is not None
                assert again.id == job_id
        return counts

    monkeypatch.setattr("ingest.runner.rechunk", changing)
    runner.run(job_id)
    assert asked == [40, 50]
    assert show(database, job_id)["status"] == "succeeded"
    with database.read() as session:
        stored = session.scalars(select(Document)).one()
    assert stored.chunking == read_chunking({"target_tokens": 50}).fingerprint


def test_a_stop_while_documents_are_cut_again_gives_the_job_back(
    database: Database, runner: JobRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest_batch(runner.ingestion, "default", [DocumentInput(f"{n}", text="Some text. " * 200) for n in range(20)])
    with database.write() as session:
        job = request_chunking(session, get_collection(session, "default"), {"target_tokens": 40}, "me")
        assert job is not None
        job_id = job.id

    def stopping(ingestion: Any, files: Any, name: str, settings: ChunkingSettings, progress: Any) -> dict[str, int]:
        runner.stop()
        return rechunk(ingestion, files, name, settings, progress)

    monkeypatch.setattr("ingest.runner.rechunk", stopping)
    with pytest.raises(Stopped):
        runner.run(job_id)
    assert show(database, job_id)["status"] == "queued"
    monkeypatch.undo()
    JobRunner(runner.ingestion, runner.spool, no_source).run(job_id)
    assert (show(database, job_id)["status"], show(database, job_id)["counts"]["modified"]) == ("succeeded", 20)
