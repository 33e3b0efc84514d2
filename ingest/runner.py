"""The thread that works jobs off, one after the other, inside the serving process or in a worker of its own."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from infra.errors import FootnoteError
from infra.owner import owner_name
from infra.tables import Collection, Job, JobItem
from ingest.document import Ingested
from ingest.jobs import (
    claim_job,
    finish_job,
    forget_unawaited,
    item_input,
    job_blobs,
    open_items,
    record_outcomes,
    waiting_blobs,
)
from ingest.pipeline import Ingestion, ingest_batch
from ingest.spool import Spool

_BATCH = 16
_POLL_S = 1.0

log = structlog.get_logger()


class _ItemsMoved(Exception):  # noqa: N818 - a signal between two functions of this file
    """Some items were superseded, or the job was cancelled, while the batch was being prepared."""


@dataclass(slots=True)
class JobRunner:
    """Works off the jobs of one database. ``wake()`` saves the wait for the next poll; ``stop()`` ends after the batch."""

    ingestion: Ingestion
    spool: Spool
    owner: str = field(default_factory=owner_name)
    _wake: threading.Event = field(default_factory=threading.Event)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; jobs left behind by a dead process are taken over."""
        self._thread = threading.Thread(target=self._loop, name="jobs", daemon=True)
        self._thread.start()

    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def wake(self) -> None:
        """Look for work now."""
        self._wake.set()

    def stop(self) -> None:
        """End the thread once the batch in hand is committed; unfinished jobs go on at the next start."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def _loop(self) -> None:
        while not self._stop.is_set():
            try:
                worked = self.run_once()
            except SQLAlchemyError as error:
                # The database may be locked, full or restarting: the job stays claimed by us and is tried again.
                log.error("jobs.database_error", error=type(error).__name__)
                worked = False
            if not worked:
                self._wake.wait(_POLL_S)
                self._wake.clear()

    def run_once(self) -> bool:
        """Work one job to its end (or until stopped); False if there was none."""
        with self.ingestion.database.write() as session:
            job = claim_job(session, self.owner)
            if job is None:
                return False
            job_id, collection = job.id, session.get(Collection, job.collection_id or "")
        error: str | None = None
        try:
            while collection is not None and not self._stop.is_set():
                if not self._run_batch(job_id, collection.name):
                    break
        except FootnoteError as failure:
            error = failure.detail
        except SQLAlchemyError:
            raise
        except Exception:
            log.exception("job.crashed", job=job_id)
            error = "An internal error stopped the job; the server's log says more."
        if self._stop.is_set():
            return True
        if collection is None:
            error = "The collection was deleted."
        with self.ingestion.database.write() as session:
            finished = finish_job(session, job_id, error)
            blobs = job_blobs(session, job_id)
        self.spool.remove(blobs)
        log.info("job.finished", job=job_id, status=finished.status, **finished.counts)
        return True

    def _run_batch(self, job_id: str, collection: str) -> bool:
        with self.ingestion.database.read() as session:
            if session.get_one(Job, job_id).status == "cancelled":
                return False
            # Distinct ids only: a second copy of a document waits for the next batch.
            items = list({i.external_id: i for i in reversed(open_items(session, job_id, _BATCH))}.values())
        if not items:
            return False
        inputs = [item_input(item, self.spool) for item in items]

        def note(session: Session, results: Sequence[Ingested]) -> None:
            if session.get_one(Job, job_id).status == "cancelled":
                raise _ItemsMoved
            for item in items:
                if session.get_one(JobItem, (job_id, item.ordinal)).outcome is not None:
                    raise _ItemsMoved
            record_outcomes(session, job_id, list(zip([i.ordinal for i in items], results, strict=True)))

        try:
            ingest_batch(self.ingestion, collection, inputs, note)
        except _ItemsMoved:
            log.info("job.batch_again", job=job_id)
        return True


def sweep(ingestion: Ingestion, spool: Spool) -> None:
    """Drop what a process that died left behind and no unfinished job needs; call at the start, before requests come."""
    with ingestion.database.write() as session:
        forget_unawaited(session)
        wanted = waiting_blobs(session)
    spool.sweep(wanted)
