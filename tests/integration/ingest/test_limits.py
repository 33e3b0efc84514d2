"""Short of memory, of room or of the database: jobs wait and go on, and a document too large for the machine costs itself."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dbos import DBOS
from fakes import FakeEncoder, fake_ingestion, fake_parse
from numpy.typing import NDArray
from queues import finished, running, show, submit, wait_for
from sqlalchemy import create_engine, event, func, select, update
from sqlalchemy import text as sql
from sqlalchemy.pool import NullPool

from infra.clock import now
from infra.database import Database, open_database
from infra.errors import Unavailable
from infra.tables import ChunkRow, Document, Job, JobItem, Source
from ingest import embedding, patience, pipeline
from ingest import queue as queue_module
from ingest.collections import ensure_collection, get_collection
from ingest.commit import note_pending
from ingest.document import Attributes, DocumentInput, Ingested, Outcome
from ingest.elements import ParsedDocument
from ingest.jobs import FINISHED, JobLost
from ingest.pipeline import Ingestion, ingest_batch
from ingest.queue import JobQueue, maintain
from ingest.retention import drop_finished_jobs
from ingest.runner import JobRunner
from ingest.spool import Spool
from retrieval.encoders.encoder import Kind


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_PATIENCE_S", (0.0, 0.0))


class SmallEncoder(FakeEncoder):
    """Has memory for ``most`` texts that say a word, and fails the first ``short`` calls whatever is asked."""

    def __init__(self, word: str = "monster", most: int = 0, short: int = 0) -> None:
        super().__init__()
        self.word, self.most, self.short = word, most, short
        self.calls: list[int] = []

    def encode(self, texts: Sequence[str], *, kind: Kind = "document") -> NDArray[np.float32]:
        self.calls.append(len(texts))
        if self.short:
            self.short -= 1
            raise MemoryError
        if sum(self.word in text for text in texts) > self.most:
            raise MemoryError
        return super().encode(texts, kind=kind)


def texts(**items: str) -> list[DocumentInput]:
    return [DocumentInput(name, text=text) for name, text in items.items()]


def outcomes(results: Sequence[Ingested]) -> dict[str, tuple[str, str | None]]:
    return {result.external_id: (result.outcome.value, result.code) for result in results}


def test_a_document_too_large_for_the_encoder_costs_itself(sqlite_database: Database) -> None:
    ingestion = fake_ingestion(sqlite_database, SmallEncoder())
    results = ingest_batch(
        ingestion, "default", texts(a="The first text.", m="A monster of a text. " * 9, z="The last text.")
    )
    assert outcomes(results) == {"a": ("new", None), "m": ("failed", "out_of_memory"), "z": ("new", None)}
    assert results[1].detail == (
        "There was not enough memory for the document: give the server more, or split the document."
    )
    with sqlite_database.read() as session:
        statuses = {document.external_id: document.status for document in session.scalars(select(Document))}
    assert statuses == {"a": "ready", "m": "failed", "z": "ready"}


def test_memory_that_comes_back_costs_nothing(sqlite_database: Database) -> None:
    encoder = SmallEncoder(short=3)  # the batch, and the largest document twice
    results = ingest_batch(fake_ingestion(sqlite_database, encoder), "default", texts(a="One.", b="The longer one."))
    assert {result.outcome for result in results} == {Outcome.NEW}
    assert encoder.calls == [2, 1, 1, 1, 1]


def test_a_document_too_large_to_prepare_costs_itself(sqlite_database: Database, tmp_path: Path) -> None:
    def parser(path: Path, filename: str, content_type: str | None) -> ParsedDocument:
        if filename == "m":
            raise MemoryError
        return fake_parse(path, filename, content_type)

    for name in ("a", "m"):
        (tmp_path / name).write_text("Some text.")
    items = [DocumentInput(name, path=tmp_path / name, filename=name) for name in ("a", "m")]
    ingestion = Ingestion(sqlite_database, FakeEncoder(), parser)
    assert outcomes(ingest_batch(ingestion, "default", items)) == {
        "a": ("new", None),
        "m": ("failed", "out_of_memory"),
    }


def test_a_document_too_large_to_commit_costs_itself(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = pipeline.commit_document

    def short(session: Any, collection: Any, prepared: Any, *rest: Any) -> Any:
        if "monster" in prepared.parsed.text:
            raise MemoryError
        return commit(session, collection, prepared, *rest)

    monkeypatch.setattr(pipeline, "commit_document", short)
    results = ingest_batch(fake_ingestion(sqlite_database), "default", texts(a="Text.", m="A monster of a text."))
    assert outcomes(results) == {"a": ("new", None), "m": ("failed", "out_of_memory")}


def test_large_documents_are_encoded_in_parts(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "_ENCODED_AT_ONCE", 4)
    encoder = SmallEncoder()
    long = "\n\n".join(f"# Part {n}\n\nWhat part number {n} says is said nowhere else. " * 4 for n in range(9))
    (result,) = ingest_batch(fake_ingestion(sqlite_database, encoder), "default", texts(a=long))
    assert result.outcome is Outcome.NEW
    assert len(encoder.calls) > 2
    assert max(encoder.calls) == 4
    with sqlite_database.read() as session:
        assert session.scalar(select(func.count()).select_from(ChunkRow)) == sum(encoder.calls)


def runner_of(database: Database, tmp_path: Path, **parts: Any) -> JobRunner:
    plain = fake_ingestion(database)
    ingestion = Ingestion(database, parts.get("encoder", plain.encoder), parts.get("parser", plain.parser))
    return JobRunner(ingestion, Spool(tmp_path / "spool"), lambda source: pytest.fail(f"opened {source.uri}"))


def test_a_part_that_is_down_is_waited_for(sqlite_database: Database, tmp_path: Path) -> None:
    failures = [Unavailable("The parser is down."), OSError(24, "Too many open files"), MemoryError()]

    def parser(path: Path, filename: str, content_type: str | None) -> ParsedDocument:
        if failures:
            raise failures.pop(0)
        return fake_parse(path, filename, content_type)

    runner = runner_of(sqlite_database, tmp_path, parser=parser)
    job_id = submit(runner, a="Some text.", b="Other text.")
    with running(runner, f"sqlite:///{tmp_path / 'jobs.db'}"):
        assert finished(sqlite_database, job_id) == ["succeeded"]
    assert show(sqlite_database, job_id)["counts"]["new"] == 2
    assert failures == []


def test_a_job_waits_for_room_in_the_database(sqlite_database: Database, tmp_path: Path) -> None:
    full, tried = True, 0

    def limit(connection: Any, _branch: Any = None) -> None:
        nonlocal tried
        tried += full
        connection.exec_driver_sql(f"PRAGMA max_page_count = {1 if full else 2**30}")

    runner = runner_of(sqlite_database, tmp_path)
    job_id = submit(runner, **{f"d{n}": f"Document {n} says something. " * 200 for n in range(40)})
    event.listen(sqlite_database.engine, "begin", limit)
    with running(runner, f"sqlite:///{tmp_path / 'jobs.db'}"):
        wait_for(lambda: show(sqlite_database, job_id)["status"] == "running" and tried > 20)
        assert show(sqlite_database, job_id)["counts"]["new"] < 40
        full = False
        assert finished(sqlite_database, job_id) == ["succeeded"]
    assert show(sqlite_database, job_id)["counts"]["new"] == 40
    with sqlite_database.read() as session:
        assert {document.version for document in session.scalars(select(Document))} == {1}
    assert list(runner.spool.folder.iterdir()) == []


def test_a_run_whose_end_could_not_be_noted_is_resumed(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_module, "_LYING_S", 0.1)
    monkeypatch.setattr(queue_module, "_KEEP_S", 0.1)
    runner = runner_of(sqlite_database, tmp_path)
    with running(runner, f"sqlite:///{tmp_path / 'jobs.db'}") as queue:
        job_id = submit(runner, a="Some text.")
        queue.wake()
        assert finished(sqlite_database, job_id) == ["succeeded"]
        (run,) = DBOS.list_workflows(name="run_job")
        wait_for(lambda: DBOS.list_workflows(name="run_job")[0].status == "SUCCESS")
        # As if the disk had been full when the run's end was to be noted, and the job were not done either.
        with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as connection:
            connection.execute("DELETE FROM operation_outputs")
            connection.execute("UPDATE workflow_status SET status = 'PENDING', completed_at = NULL")
        again = runner.spool.write([b"Other text."])
        with sqlite_database.write() as session:
            job = session.get_one(Job, job_id)
            job.status, job.owner = "running", runner.owner
            session.get_one(JobItem, (job_id, 0)).outcome = None
            session.get_one(JobItem, (job_id, 0)).blob = again
        wait_for(lambda: DBOS.list_workflows(workflow_ids=[run.workflow_id])[0].status == "SUCCESS")
        assert finished(sqlite_database, job_id) == ["succeeded"]


def test_a_batch_is_bounded_by_its_bytes(sqlite_database: Database, tmp_path: Path) -> None:
    seen: list[int] = []

    class Watched(JobRunner):
        __slots__ = ()

        def _bounded(self, items: Sequence[JobItem]) -> list[JobItem]:
            bounded = super()._bounded(items)
            seen.append(len(bounded))
            return bounded

    plain = runner_of(sqlite_database, tmp_path)
    runner = Watched(plain.ingestion, plain.spool, plain.open_source)
    large = "A large file of text.\n\n" * 150_000  # 3.3 MiB
    job_id = submit(runner, a="Small.", b=large, c=large + "C", d=large + "D", e="Small too.")
    runner.run(job_id)
    assert show(sqlite_database, job_id)["status"] == "succeeded"
    assert seen == [3, 2]


def test_uploads_go_with_their_batch_and_stay_with_a_job_that_others_work_on(
    sqlite_database: Database, tmp_path: Path
) -> None:
    waiting: list[int] = []

    def parser(path: Path, filename: str, content_type: str | None) -> ParsedDocument:
        waiting.append(len(list(path.parent.iterdir())))
        return fake_parse(path, filename, content_type)

    runner = runner_of(sqlite_database, tmp_path, parser=parser)
    job_id = submit(runner, **{f"{n:02}": f"Text number {n}." for n in range(40)})
    runner.run(job_id)
    assert sorted(set(waiting)) == [8, 24, 40]

    lost = submit(runner, a="Some text.")

    def stolen(*_: Any) -> ParsedDocument:
        with sqlite_database.write() as session:
            session.get_one(Job, lost).owner = "elsewhere:1:1"
        return fake_parse(runner.spool.path(next(runner.spool.folder.iterdir()).name), "a.txt")

    thief = runner_of(sqlite_database, tmp_path, parser=stolen)
    with pytest.raises(JobLost):
        thief._run(lost)
    with sqlite_database.write() as session:
        session.get_one(Job, lost).owner = None
    thief.run(lost)
    assert len(list(runner.spool.folder.iterdir())) == 1


def test_finished_jobs_are_dropped_after_a_month(database: Database, tmp_path: Path) -> None:
    runner = runner_of(database, tmp_path)
    old, young, last, open_ = (submit(runner, a=f"Text {n}.") for n in range(4))
    for job_id in (old, young, last):
        runner.run(job_id)
    with database.write() as session:
        for job_id, days in ((old, 31), (young, 29), (last, 400)):
            session.execute(update(Job).where(Job.id == job_id).values(finished_at=now() - timedelta(days=days)))
        session.execute(update(Job).where(Job.id == open_).values(created_at=now() - timedelta(days=400)))
        session.add(_source(session, last))
    assert drop_finished_jobs(database) == 1
    with database.read() as session:
        assert set(session.scalars(select(Job.id))) == {young, last, open_}
        assert set(session.scalars(select(JobItem.job_id))) == {young, last, open_}


def _source(session: Any, job_id: str) -> Source:
    moment = now()
    return Source(
        id="src_1",
        collection_id=get_collection(session, "default").id,
        kind="directory",
        uri="/x",
        include=[],
        exclude=[],
        prune=False,
        meta={},
        options={},
        syncs=1,
        last_job_id=job_id,
        created_at=moment,
        updated_at=moment,
    )


def test_maintenance_drops_what_is_left_over(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = runner_of(sqlite_database, tmp_path)
    done = submit(runner, a="Some text.")
    with running(runner, f"sqlite:///{tmp_path / 'jobs.db'}") as queue:
        assert finished(sqlite_database, done) == ["succeeded"]
        wait_for(lambda: DBOS.list_workflows(name="run_job")[0].status == "SUCCESS")
        maintain(queue)
        assert len(DBOS.list_workflows(name="run_job")) == 1
        monkeypatch.setattr(queue_module, "KEEP_JOBS_DAYS", -1)
        monkeypatch.setattr(queue_module, "_DAY", timedelta(seconds=-10))
        runner.spool.write([b"nobody waits for this"])
        with sqlite_database.write() as session:
            collection = get_collection(session, "default")
            note_pending(session, collection, DocumentInput("ghost", attributes=Attributes()))
        maintain(queue)
        assert DBOS.list_workflows(name="run_job") == []
    assert list(runner.spool.folder.iterdir()) == []
    with sqlite_database.read() as session:
        assert set(session.scalars(select(Document.external_id))) == {"a"}


def test_the_keeper_outlives_a_database_that_fails(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[BaseException] = [MemoryError(), OSError(28, "No space left on device"), Unavailable("Away.")]
    take_over = JobQueue._take_over

    def failing(queue: JobQueue) -> None:
        if failures:
            raise failures.pop(0)
        take_over(queue)

    monkeypatch.setattr(JobQueue, "_take_over", failing)
    monkeypatch.setattr(queue_module, "_KEEP_S", 0.05)
    runner = runner_of(sqlite_database, tmp_path)
    with running(runner, f"sqlite:///{tmp_path / 'jobs.db'}") as queue:
        wait_for(lambda: not failures)
        time.sleep(0.1)
        assert queue.alive()
        assert finished(sqlite_database, submit(runner, a="Some text.")) == ["succeeded"]


def test_a_server_that_restarts_under_a_job(postgres: Callable[[bool], str], tmp_path: Path) -> None:
    """Every connection breaks twice, ours and the job library's: each document is stored once."""
    url = postgres(True)
    database = open_database(url)
    with database.write() as session:
        ensure_collection(session, "default")
    admin = create_engine(database.engine.url, poolclass=NullPool)
    cuts = ["05.txt", "17.txt"]

    def parser(path: Path, filename: str, content_type: str | None) -> ParsedDocument:
        if filename in cuts:
            cuts.remove(filename)
            with admin.connect() as connection:
                connection.execute(
                    sql(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                )
        return fake_parse(path, filename, content_type)

    runner = runner_of(database, tmp_path, parser=parser)
    job_id = submit(runner, **{f"{n:02}": f"Text number {n}." for n in range(20)})

    def is_finished() -> bool:
        try:
            return show(database, job_id)["status"] in FINISHED
        except Unavailable:  # this look's own connection was among those that broke
            return False

    with running(runner, database.engine.url.render_as_string(False)) as queue:
        wait_for(is_finished)
        assert queue.alive()
    assert cuts == []
    assert show(database, job_id)["status"] == "succeeded"
    assert show(database, job_id)["counts"]["new"] == 20
    with database.read() as session:
        assert {document.version for document in session.scalars(select(Document))} == {1}
        assert session.scalar(select(func.count()).select_from(Document)) == 20
    admin.dispose()
    database.close()
