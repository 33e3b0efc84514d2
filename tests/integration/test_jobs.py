"""Jobs: queued in the database, worked off once, superseded by what comes later, taken over from the dead."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from fakes import fake_engine, fake_ingestion
from sqlalchemy import select

from infra.clock import now
from infra.database import Database
from infra.errors import NotFound
from infra.owner import is_gone, owner_name
from infra.tables import Document, Job, JobItem, Source
from ingest.collections import create_collection, delete_collection, get_collection
from ingest.commit import delete_document, find_document, note_pending
from ingest.document import Attributes, DocumentInput
from ingest.jobs import (
    FINISHED,
    abandoned,
    claim,
    describe,
    finish,
    get_job,
    queued_jobs,
    release,
    run_name,
    submit_for,
)
from ingest.pipeline import ingest_batch
from ingest.runner import JobRunner, sweep
from ingest.spool import Spool
from ingest.uploads import cancel_job, submit_uploads, supersede, waiting_blobs
from retrieval.access import EVERYTHING
from retrieval.search import SearchQuery, search

ME = owner_name()
HOST = ME.rsplit(":", 2)[0]


def no_source(source: Source) -> Any:
    raise AssertionError("no job here has a source")


def run_once(runner: JobRunner) -> bool:
    """Work the oldest job that waits or was left behind; false if there is none."""
    with runner.ingestion.database.read() as session:
        left = [job for job in session.scalars(select(Job).where(Job.status == "running")) if abandoned(job)]
        waiting = [*left, *queued_jobs(session)]
    if waiting:
        runner.run(waiting[0].id)
    return bool(waiting)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


@pytest.fixture
def runner(database: Database, spool: Spool) -> JobRunner:
    return JobRunner(fake_ingestion(database), spool, no_source)


def submit(
    database: Database,
    spool: Spool,
    texts: dict[str, str],
    caller: str | None = "me",
    collection: str = "default",
    **attributes: Any,
) -> str:
    items = []
    for external_id, text in texts.items():
        blob = spool.write([text.encode()])
        item = DocumentInput(
            external_id,
            path=spool.path(blob),
            filename=external_id,
            content_type="text/plain",
            attributes=Attributes(**attributes),
        )
        items.append((item, blob))
    with database.write() as session:
        return submit_uploads(session, get_collection(session, collection), items, caller).id


def show(database: Database, job_id: str) -> dict[str, Any]:
    with database.read() as session:
        return describe(get_job(session, job_id, None))


def row(database: Database, external_id: str) -> Document | None:
    with database.read() as session:
        return find_document(session, get_collection(session, "default").id, external_id)


def text_of(database: Database, external_id: str) -> str:
    found = search(fake_engine(database), SearchQuery("text", filter={"external_id": external_id}), EVERYTHING)
    return " ".join(passage.text for passage in found.passages)


def test_a_job_is_worked_off_and_counted(database: Database, spool: Spool, runner: JobRunner) -> None:
    job_id = submit(database, spool, {"a.txt": "First text.", "b.bin": "x", "c.txt": "Third text."})
    assert show(database, job_id)["status"] == "queued"
    pending = row(database, "a.txt")
    assert pending is not None
    assert (pending.status, pending.version) == ("pending", 0)
    assert run_once(runner)
    job = show(database, job_id)
    assert job["status"] == "partial"
    assert job["counts"] == {"scanned": 3, "new": 2, "modified": 0, "unchanged": 0, "deleted": 0, "failed": 1}
    assert job["failures"] == [
        {"external_id": "b.bin", "code": "unsupported_format", "detail": "Files of this kind are not read."}
    ]
    assert job["finished_at"].endswith("Z")
    assert list(spool.folder.iterdir()) == []
    assert text_of(database, "a.txt") == "First text."
    assert not run_once(runner)


def test_statuses_by_outcome(database: Database, spool: Spool, runner: JobRunner) -> None:
    failed = submit(database, spool, {"a.bin": "x"})
    good = submit(database, spool, {"a.txt": "Some text."})
    same = submit(database, spool, {"a2.txt": "Some text."})
    while run_once(runner):
        pass
    assert [show(database, job)["status"] for job in (failed, good, same)] == ["failed", "succeeded", "succeeded"]
    again = submit(database, spool, {"a.txt": "Some text."})
    run_once(runner)
    assert show(database, again)["counts"]["unchanged"] == 1


def test_more_documents_than_a_batch(sqlite_database: Database, spool: Spool) -> None:
    job_id = submit(sqlite_database, spool, {f"{n}.txt": f"Text number {n}." for n in range(37)})
    run_once(JobRunner(fake_ingestion(sqlite_database), spool, no_source))
    assert show(sqlite_database, job_id)["counts"]["new"] == 37


def test_text_is_kept_to_the_letter_through_the_spool(database: Database, spool: Spool, runner: JobRunner) -> None:
    text = "# Häuser 🏠\n\n  two  spaces\tand a tab\n"
    blob = spool.write([text.encode()])
    with database.write() as session:
        submit_uploads(session, get_collection(session, "default"), [(DocumentInput("t", text=text), blob)], None)
    run_once(runner)
    found = row(database, "t")
    assert found is not None
    assert found.status == "ready"
    assert "two  spaces\tand a tab" in text_of(database, "t")


def test_a_newer_put_supersedes_a_queued_one(database: Database, spool: Spool, runner: JobRunner) -> None:
    older = submit(database, spool, {"a.txt": "Old text.", "b.txt": "Other text."})
    newer = submit(database, spool, {"a.txt": "New text."})
    while run_once(runner):
        pass
    assert text_of(database, "a.txt") == "New text."
    stored = row(database, "a.txt")
    assert stored is not None
    assert stored.version == 1
    assert show(database, older)["counts"] | {"deleted": 0} == show(database, older)["counts"]
    assert (show(database, older)["counts"]["new"], show(database, older)["counts"]["unchanged"]) == (1, 1)
    assert show(database, newer)["counts"]["new"] == 1


def test_a_delete_supersedes_a_queued_put(database: Database, spool: Spool, runner: JobRunner) -> None:
    job_id = submit(database, spool, {"a.txt": "Old text.", "b.txt": "Other text."})
    with database.write() as session:
        collection = get_collection(session, "default")
        supersede(session, collection.id, ["a.txt"])
        delete_document(session, collection, "a.txt")
    run_once(runner)
    assert row(database, "a.txt") is None
    assert show(database, job_id)["status"] == "succeeded"
    assert show(database, job_id)["counts"]["new"] == 1


@pytest.mark.parametrize("later", ["put", "delete"])
def test_what_comes_while_a_batch_is_prepared_wins(database: Database, spool: Spool, later: str) -> None:
    """The batch is read and embedded already when the newer request is committed."""
    ingestion = fake_ingestion(database)
    happened: list[bool] = []

    def parser(path: Path, filename: str, content_type: str | None) -> Any:
        parsed = ingestion.parser(path, filename, content_type)
        if not happened:
            happened.append(True)
            with database.write() as session:
                collection = get_collection(session, "default")
                supersede(session, collection.id, ["a.txt"])
                if later == "delete":
                    delete_document(session, collection, "a.txt")
            if later == "put":
                ingest_batch(ingestion, "default", [DocumentInput("a.txt", text="New text.")])
        return parsed

    racing = type(ingestion)(database, ingestion.encoder, parser)
    job_id = submit(database, spool, {"a.txt": "Old text.", "b.txt": "Other text."})
    run_once(JobRunner(racing, spool, no_source))
    assert text_of(database, "a.txt") == ("New text." if later == "put" else "")
    assert (row(database, "a.txt") is None) == (later == "delete")
    assert text_of(database, "b.txt") == "Other text."
    assert show(database, job_id)["status"] == "succeeded"


def test_the_queue_is_oldest_first_and_a_job_is_one_workers(database: Database, spool: Spool) -> None:
    first, second = submit(database, spool, {"a.txt": "x y"}), submit(database, spool, {"b.txt": "x y"})
    with database.write() as session:
        assert [job.id for job in queued_jobs(session)] == [first, second]
        claimed = claim(session, first, ME)
        assert claimed is not None
        assert (claimed.status, claimed.owner) == ("running", ME)
        assert [job.id for job in queued_jobs(session)] == [second]
        assert claim(session, first, f"{HOST}:{psutil.Process().ppid()}:1") is None
        finish(session, first)
        assert claim(session, first, ME) is None


def test_a_job_that_is_put_back_gets_another_run(database: Database, spool: Spool) -> None:
    job_id = submit(database, spool, {"a.txt": "x y"})
    with database.write() as session:
        job = claim(session, job_id, ME)
        assert job is not None
        assert run_name(job) == f"{job_id}-0"
        release(session, job_id, "somebody else")
        assert (job.status, run_name(job)) == ("running", f"{job_id}-0")
        release(session, job_id, ME)
        assert (job.status, job.owner, run_name(job)) == ("queued", None, f"{job_id}-1")


def test_a_job_that_ends_its_process_again_and_again_is_given_up(
    database: Database, spool: Spool, runner: JobRunner
) -> None:
    job_id = submit(database, spool, {"a.txt": "x y"})
    with database.write() as session:
        session.get_one(Job, job_id).attempts = 20
    runner.run(job_id)
    assert show(database, job_id)["status"] == "failed"
    assert "20 times without a step forward" in show(database, job_id)["error"]


def test_a_job_of_a_collection_is_submitted_once(database: Database) -> None:
    with database.write() as session:
        collection = get_collection(session, "default")
        first = submit_for(session, "rechunk", collection, None, None)
        assert submit_for(session, "rechunk", collection, None, None).id == first.id
        first.status = "succeeded"
        assert submit_for(session, "rechunk", collection, None, None).id != first.id
    assert "succeeded" in FINISHED


def _own(database: Database, job_id: str, owner: str, beat: Any) -> None:
    with database.write() as session:
        job = session.get_one(Job, job_id)
        job.status, job.owner, job.heartbeat_at = "running", owner, beat


def _dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_process_that_died_and_was_not_waited_for_is_gone() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    started = int(psutil.Process(process.pid).create_time())
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert is_gone(f"{HOST}:{process.pid}:{started}")
    process.wait()
    assert is_gone(f"{HOST}:{process.pid}:{started}")


@pytest.mark.parametrize(
    ("owner", "age_s", "taken"),
    [
        (lambda: f"{HOST}:{_dead_pid()}:1", 0, True),
        (lambda: f"{HOST}:{psutil.Process().pid}:1", 0, True),  # the pid lives again, as another process
        (
            lambda: f"{HOST}:{psutil.Process().ppid()}:{int(psutil.Process(psutil.Process().ppid()).create_time())}",
            3600,
            False,
        ),
        (lambda: "elsewhere:1:1", 5, False),
        (lambda: "elsewhere:1:1", 60, True),
    ],
    ids=["dead", "pid used again", "alive", "other host alive", "other host silent"],
)
def test_a_job_is_taken_over_only_from_the_dead(
    database: Database, spool: Spool, owner: Any, age_s: int, taken: bool
) -> None:
    job_id = submit(database, spool, {"a.txt": "x y"})
    _own(database, job_id, owner(), now() - timedelta(seconds=age_s))
    with database.write() as session:
        assert (claim(session, job_id, ME) is not None) == taken


def test_a_job_left_half_done_goes_on_where_it_stopped(database: Database, spool: Spool, runner: JobRunner) -> None:
    job_id = submit(database, spool, {f"{n}.txt": f"Text number {n}." for n in range(20)})
    with database.write() as session:
        claim(session, job_id, dead := f"{HOST}:{_dead_pid()}:1")
    runner.owner = dead
    assert runner._run_batch(job_id, "default")  # a first batch, then the process dies
    assert show(database, job_id)["counts"]["new"] == 16
    assert run_once(JobRunner(runner.ingestion, spool, no_source))
    job = show(database, job_id)
    assert (job["status"], job["counts"]["new"]) == ("succeeded", 20)
    with database.read() as session:
        assert {d.version for d in session.scalars(select(Document))} == {1}


def test_a_cancelled_job_drops_what_waits(database: Database, spool: Spool, runner: JobRunner) -> None:
    job_id = submit(database, spool, {"a.txt": "Some text."})
    with database.write() as session:
        cancelled = cancel_job(session, job_id, "me")
        assert (cancelled.status, cancelled.finished_at is not None) == ("cancelled", True)
    assert not run_once(runner)
    assert text_of(database, "a.txt") == ""
    # a finished job stays as it is
    with database.write() as session:
        assert cancel_job(session, job_id, "me").status == "cancelled"


def test_a_document_whose_only_job_was_cancelled_waits_no_more(
    database: Database, spool: Spool, runner: JobRunner
) -> None:
    submit(database, spool, {"kept.txt": "Some text."})
    run_once(runner)
    job_id = submit(database, spool, {"a.txt": "Some text.", "kept.txt": "Other text."})
    with database.write() as session:
        cancel_job(session, job_id, "me")
    assert row(database, "a.txt") is None
    kept = row(database, "kept.txt")
    assert kept is not None
    assert (kept.status, kept.version) == ("ready", 1)


def test_cancelling_a_running_job_keeps_what_is_done(database: Database, spool: Spool) -> None:
    ingestion = fake_ingestion(database)
    job_ids: list[str] = []
    seen: list[str] = []

    def parser(path: Path, filename: str, content_type: str | None) -> Any:
        seen.append(filename)
        if len(seen) == 17:  # the first of the second batch
            with database.write() as session:
                cancel_job(session, job_ids[0], "me")
        return ingestion.parser(path, filename, content_type)

    job_ids.append(submit(database, spool, {f"{n:02}.txt": f"Text number {n}." for n in range(20)}))
    run_once(JobRunner(type(ingestion)(database, ingestion.encoder, parser), spool, no_source))
    job = show(database, job_ids[0])
    assert (job["status"], job["counts"]["new"]) == ("cancelled", 16)
    assert job["finished_at"] is not None
    assert list(spool.folder.iterdir()) == []
    with database.read() as session:
        assert len(session.scalars(select(Document).where(Document.status == "ready")).all()) == 16
        assert session.scalars(select(Document).where(Document.status == "pending")).all() == []


def test_a_job_belongs_to_its_caller(database: Database, spool: Spool) -> None:
    job_id = submit(database, spool, {"a.txt": "x y"}, caller="me")
    with database.write() as session:
        assert get_job(session, job_id, "me").id == job_id
        assert get_job(session, job_id, None).id == job_id
        for function in (get_job, cancel_job):
            with pytest.raises(NotFound) as caught:
                function(session, job_id, "you")
            assert caught.value.code == "job_not_found"


def test_a_job_whose_collection_is_deleted_fails_and_says_so(
    database: Database, spool: Spool, runner: JobRunner
) -> None:
    with database.write() as session:
        create_collection(session, "gone")
    job_id = submit(database, spool, {"a.txt": "x y"}, collection="gone")
    with database.write() as session:
        delete_collection(session, "gone")
    run_once(runner)
    job = show(database, job_id)
    assert job["status"] == "failed"
    assert job["failures"] == [{"external_id": "a.txt", "code": "job_failed", "detail": "The collection was deleted."}]


def test_emptying_the_default_collection_drops_what_waits_for_it(
    database: Database, spool: Spool, runner: JobRunner
) -> None:
    submit(database, spool, {"a.txt": "Some text."})
    with database.write() as session:
        delete_collection(session, "default")
    run_once(runner)
    assert row(database, "a.txt") is None


def test_a_defect_ends_the_job_and_not_the_runner(database: Database, spool: Spool) -> None:
    ingestion = fake_ingestion(database)

    def parser(path: Path, filename: str, content_type: str | None) -> Any:
        if filename == "bad.txt":
            raise ZeroDivisionError("secret/path")
        return ingestion.parser(path, filename, content_type)

    runner = JobRunner(type(ingestion)(database, ingestion.encoder, parser), spool, no_source)
    bad, good = submit(database, spool, {"bad.txt": "x y"}), submit(database, spool, {"good.txt": "x y"})
    assert run_once(runner)
    assert run_once(runner)
    assert show(database, bad)["status"] == "failed"
    assert "secret" not in json.dumps(show(database, bad))
    assert show(database, good)["status"] == "succeeded"


def test_sweeping_keeps_what_a_job_needs(database: Database, spool: Spool) -> None:
    import os

    submit(database, spool, {"a.txt": "x y"})
    orphan, young = spool.write([b"orphan"]), spool.write([b"young"])
    with database.read() as session:
        wanted = waiting_blobs(session)
        assert wanted == set(session.scalars(select(JobItem.blob)))
    for name in (*wanted, orphan):
        os.utime(spool.path(name), (0, 0))
    sweep(fake_ingestion(database), spool)
    assert {path.name for path in spool.folder.iterdir()} == {*wanted, young}


def test_sweeping_forgets_documents_that_nothing_will_make_ready(database: Database, spool: Spool) -> None:
    """Their request was to wait for them, and died with its process."""
    ingestion = fake_ingestion(database)
    ingest_batch(ingestion, "default", [DocumentInput("ready", text="Some text."), DocumentInput("failed", text="")])
    submit(database, spool, {"queued": "x y"})
    with database.write() as session:
        note_pending(session, get_collection(session, "default"), DocumentInput("left behind", text="x"))
    sweep(ingestion, spool)
    with database.read() as session:
        assert set(session.scalars(select(Document.external_id))) == {"ready", "failed", "queued"}
