"""The queue over the real job library: runs, retries, several at a time, take-over from the dead, schedules."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fakes import fake_ingestion
from queues import PATIENCE_S, finished, running, show, submit, wait_for
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from infra.database import Database
from infra.tables import Document, Job, Source
from ingest import queue as queue_module
from ingest.collections import get_collection
from ingest.jobs import claim
from ingest.runner import JobRunner
from ingest.source import SourceSettings, create_source
from ingest.spool import Spool


@pytest.fixture
def address(database: Database, tmp_path: Path) -> str:
    """Where the library keeps its tables: beside SQLite's file, in PostgreSQL's database."""
    url = database.engine.url
    return f"sqlite:///{tmp_path / 'jobs.db'}" if url.get_backend_name() == "sqlite" else url.render_as_string(False)


def make_runner(database: Database, tmp_path: Path, parser: Any = None) -> JobRunner:
    ingestion = fake_ingestion(database)
    if parser is not None:
        ingestion = type(ingestion)(database, ingestion.encoder, parser)
    return JobRunner(ingestion, Spool(tmp_path / "spool"), lambda source: pytest.fail(f"opened {source.uri}"))


def test_jobs_are_worked_off_and_go_on_after_a_restart(database: Database, tmp_path: Path, address: str) -> None:
    runner = make_runner(database, tmp_path)
    before = submit(runner, a="Some text.")
    with running(runner, address) as queue:
        assert queue.alive()
        assert finished(database, before) == ["succeeded"]
        later = submit(runner, b="Other text.")
        queue.wake()
        assert finished(database, later) == ["succeeded"]
    assert not queue.alive()
    third = submit(runner, c="Third text.")
    with running(make_runner(database, tmp_path), address):
        assert finished(database, third) == ["succeeded"]


def test_with_no_concurrency_jobs_wait_for_others(sqlite_database: Database, tmp_path: Path) -> None:
    runner = make_runner(sqlite_database, tmp_path)
    job_id = submit(runner, a="Some text.")
    with running(runner, "sqlite:///:unused:", 0) as queue:
        assert queue.alive()
        queue.wake()
        assert show(sqlite_database, job_id)["status"] == "queued"


def test_jobs_run_at_the_same_time(database: Database, tmp_path: Path, address: str) -> None:
    meeting = threading.Barrier(2, timeout=PATIENCE_S)
    plain = fake_ingestion(database).parser

    def parser(path: Path, filename: str, content_type: str | None) -> Any:
        meeting.wait()  # passes only if both jobs are here
        return plain(path, filename, content_type)

    runner = make_runner(database, tmp_path, parser)
    jobs = [submit(runner, a="Some text."), submit(runner, b="Other text.")]
    with running(runner, address):
        assert finished(database, *jobs) == ["succeeded"] * 2


def failing(database: Database, errors: list[BaseException]) -> Any:
    plain = fake_ingestion(database).parser

    def parser(path: Path, filename: str, content_type: str | None) -> Any:
        if errors:
            raise errors.pop(0)
        return plain(path, filename, content_type)

    return parser


def locked() -> OperationalError:
    return OperationalError("COMMIT", {}, Exception("database is locked"))


def test_what_may_pass_by_itself_is_tried_again(database: Database, tmp_path: Path, address: str) -> None:
    errors = [locked(), MemoryError()]
    runner = make_runner(database, tmp_path, failing(database, errors))
    job_id = submit(runner, a="Some text.")
    with running(runner, address):
        assert finished(database, job_id) == ["succeeded"]
    assert errors == []


def test_what_does_not_pass_fails_the_job_with_a_reason(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_module, "_work", _impatient(queue_module._work))
    runner = make_runner(sqlite_database, tmp_path, failing(sqlite_database, [locked() for _ in range(50)]))
    job_id = submit(runner, a="Some text.")
    with running(runner, f"sqlite:///{tmp_path / 'jobs.db'}"):
        assert finished(sqlite_database, job_id) == ["failed"]
    job = show(sqlite_database, job_id)
    assert job["error"] == "The database could not be written to, several times over: it may be full or locked."
    assert job["counts"]["failed"] == 1
    assert list(runner.spool.folder.iterdir()) == []


def _impatient(step: Any) -> Any:
    from dbos import DBOS

    return DBOS.step(name="impatient", retries_allowed=True, max_attempts=2, interval_seconds=0.01)(step.__wrapped__)


_VICTIM = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from fakes import fake_ingestion
from queues import PATIENCE_S, finished, running, show, submit, wait_for
from infra.database import open_database
from ingest.queue import JobQueue
from ingest.runner import JobRunner
from ingest.spool import Spool

database = open_database({url!r})
plain = fake_ingestion(database)

def parser(path, filename, content_type):
    if filename == "17.txt":
        print("in the second batch", flush=True)
        time.sleep(600)
    return plain.parser(path, filename, content_type)

queue = JobQueue(JobRunner(type(plain)(database, plain.encoder, parser), Spool(Path({spool!r})), None), {address!r}, 1)
queue.start()
time.sleep(600)
"""


def test_the_jobs_of_a_killed_process_are_taken_over(database: Database, tmp_path: Path, address: str) -> None:
    runner = make_runner(database, tmp_path)
    job_id = submit(runner, **{f"{n:02}": f"Text number {n}." for n in range(20)})
    root = Path(__file__).parents[3]
    script = _VICTIM.format(
        tests=str(root / "tests"),
        url=database.engine.url.render_as_string(False),
        spool=str(runner.spool.folder),
        address=address,
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == b"in the second batch\n"
        with running(runner, address):
            # A second process does not touch what another one is at.
            assert show(database, job_id)["status"] == "running"
            assert show(database, job_id)["counts"]["new"] == 16
            victim.kill()
            victim.wait()
            assert finished(database, job_id) == ["succeeded"]
    assert show(database, job_id)["counts"]["new"] == 20
    with database.read() as session:
        assert {document.version for document in session.scalars(select(Document))} == {1}


def test_a_job_that_a_dead_command_left_gets_a_run(database: Database, tmp_path: Path, address: str) -> None:
    runner = make_runner(database, tmp_path)
    job_id = submit(runner, a="Some text.")
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    with database.write() as session:
        host = runner.owner.rsplit(":", 2)[0]
        assert claim(session, job_id, f"{host}:{process.pid}:1") is not None
    with running(runner, address):
        assert finished(database, job_id) == ["succeeded"]


def test_a_schedule_submits_syncs_and_follows_its_source(database: Database, tmp_path: Path, address: str) -> None:
    from dbos import DBOS

    opened: list[str] = []

    class Empty:
        def entries(self) -> Iterator[Any]:
            return iter(())

        def close(self) -> None:
            opened.append("closed")

    runner = make_runner(database, tmp_path)
    runner.open_source = lambda source: Empty()  # type: ignore[assignment, return-value]
    with database.write() as session:
        settings = SourceSettings(kind="directory", uri=str(tmp_path), schedule="* * * * * *")
        source_id = create_source(session, get_collection(session, "default"), settings, None).id
    with running(runner, address) as queue:
        wait_for(lambda: len(opened) >= 2)  # every second
        with database.write() as session:
            session.get_one(Source, source_id).schedule = None
        queue._follow_schedules()
        assert [s["schedule_name"] for s in DBOS.list_schedules()] == ["maintain"]
    with database.read() as session:
        jobs = session.scalars(select(Job)).all()
        assert {job.source_id for job in jobs} == {source_id}
        assert {job.kind for job in jobs} == {"sync"}
        synced = session.get_one(Source, source_id).synced_at
        assert synced is not None
        assert synced.replace(tzinfo=UTC) <= datetime.now(UTC)
