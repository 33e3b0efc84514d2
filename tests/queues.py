"""A job queue over the real job library, and what tests ask of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from infra.database import Database
from infra.tables import Job
from ingest.collections import get_collection
from ingest.document import DocumentInput
from ingest.jobs import FINISHED, describe
from ingest.queue import JobQueue
from ingest.runner import JobRunner
from ingest.uploads import submit_uploads

PATIENCE_S = 60


@contextmanager
def running(runner: JobRunner, address: str, concurrency: int = 2) -> Iterator[JobQueue]:
    """A queue that works off jobs until the block ends."""
    queue = JobQueue(runner, address, concurrency)
    queue.start()
    try:
        yield queue
    finally:
        queue.stop()


def submit(runner: JobRunner, **texts: str) -> str:
    """A job of text files, by their names without ``.txt``."""
    items = []
    for name, text in texts.items():
        blob = runner.spool.write([text.encode()])
        items.append((DocumentInput(name, path=runner.spool.path(blob), filename=f"{name}.txt"), blob))
    with runner.ingestion.database.write() as session:
        return submit_uploads(session, get_collection(session, "default"), items, None).id


def show(database: Database, job_id: str) -> dict[str, Any]:
    """The job as callers see it."""
    with database.read() as session:
        return describe(session.get_one(Job, job_id))


def wait_for(condition: Callable[[], bool]) -> None:
    """Until it holds; a test fails that waits too long."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def finished(database: Database, *job_ids: str) -> list[str]:
    """The jobs' statuses, once they are finished."""
    wait_for(lambda: all(show(database, job_id)["status"] in FINISHED for job_id in job_ids))
    return [show(database, job_id)["status"] for job_id in job_ids]
