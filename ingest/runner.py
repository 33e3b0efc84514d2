"""The work of a job, from wherever it stands to its end. Who runs which job when is the matter of ``ingest.queue``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from infra.errors import FootnoteError, StorageFull, Unavailable
from infra.owner import owner_name
from infra.tables import Collection, Job, JobItem, Source
from ingest.chunking import read_chunking
from ingest.collections import get_collection
from ingest.document import Ingested
from ingest.jobs import FINISHED, MAX_FRUITLESS, JobLost, check_mine, claim, finish, release
from ingest.pipeline import Ingestion, ingest_batch
from ingest.rechunk import CHUNKING, RECHUNK, rechunk, set_chunking
from ingest.sources.entry import SourceReader
from ingest.spool import Spool
from ingest.sync import BATCH_BYTES, Sync
from ingest.uploads import (
    close_items,
    forget_unawaited,
    item_input,
    job_blobs,
    open_items,
    record_outcomes,
    waiting_blobs,
)
from retrieval.generations.indexing import IndexFiles, merge

BATCH = 16
# A batch is held in memory while it is prepared, at several times the size of its files: large ones go alone.
SourceOpener = Callable[[Source], SourceReader]

log = structlog.get_logger()


class Queue(Protocol):
    """What works off jobs in a process; ``ingest.queue`` has it, and takes a second to load."""

    def start(self) -> None:
        """Begin to work."""
        ...

    def stop(self) -> None:
        """End the work at its next batch."""
        ...

    def wake(self) -> None:
        """Look for new jobs now."""
        ...

    def alive(self) -> bool:
        """Whether jobs get worked on."""
        ...


class Stopped(Exception):  # noqa: N818 - a signal to the queue, not an error for a caller
    """The process ends: the job is back in the queue."""


class _Interrupted(Exception):  # noqa: N818 - a signal between two functions of this file
    """The process ends; what is being written is undone."""


class _ItemsMoved(Exception):  # noqa: N818 - a signal between two functions of this file
    """Some items were superseded while the batch was being prepared."""


class _Running:
    """The jobs that this process works on; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: set[str] = set()

    def enter(self, job_id: str) -> bool:
        """Add a job; false if it is there already."""
        with self._lock:
            new = job_id not in self._jobs
            self._jobs.add(job_id)
            return new

    def leave(self, job_id: str) -> None:
        """Take a job out."""
        with self._lock:
            self._jobs.discard(job_id)

    def all(self) -> frozenset[str]:
        """All of them."""
        with self._lock:
            return frozenset(self._jobs)


@dataclass(slots=True)
class JobRunner:
    """Works on the jobs of one database. ``stop()`` ends each at its next batch; what is unfinished goes back to the queue.

    ``index_files`` are none where they are not said.
    """

    ingestion: Ingestion
    spool: Spool
    open_source: SourceOpener
    index_files: IndexFiles | None = None
    owner: str = field(default_factory=owner_name)
    _stop: threading.Event = field(default_factory=threading.Event)
    _running: _Running = field(default_factory=_Running)

    @property
    def files(self) -> IndexFiles:
        """Where the index's files are."""
        return self.index_files or IndexFiles(self.ingestion.database, self.ingestion.encoder, None)

    def stop(self) -> None:
        """Ask all work to end after the batch in hand."""
        self._stop.set()

    def stopping(self) -> bool:
        """Whether ``stop`` was called."""
        return self._stop.is_set()

    def running(self) -> frozenset[str]:
        """The jobs that this process works on now."""
        return self._running.all()

    def run(self, job_id: str) -> None:
        """Work a job to its end; nothing happens if it is finished or somebody else's.

        Raises ``Stopped`` if the process ends meanwhile, and what may pass by itself (the database is locked, full or away;
        memory is short; a part is down): call again later and it goes on where it was.
        """
        if not self._running.enter(job_id):
            return
        try:
            self._run(job_id)
        except JobLost:
            log.info("job.lost", job=job_id)
            self._drop_blobs(job_id)
        finally:
            self._running.leave(job_id)

    def give_up(self, job_id: str, error: str) -> None:
        """Fail a job that cannot go on, with a sentence that says why."""
        with self.ingestion.database.write() as session:
            job = session.get(Job, job_id)
            if job is None or job.owner not in (None, self.owner):
                return
            close_items(session, job, error)
            finish(session, job_id, error)
        self._drop_blobs(job_id)
        log.error("job.failed", job=job_id, error=error)

    def _run(self, job_id: str) -> None:
        with self.ingestion.database.write() as session:
            job = claim(session, job_id, self.owner)
            if job is None:
                return None
            kind, fruitless = job.kind, job.attempts > MAX_FRUITLESS
            collection = session.get(Collection, job.collection_id or "")
            source = session.get(Source, job.source_id) if job.source_id else None
        if fruitless:
            return self.give_up(job_id, f"The job ended its process {MAX_FRUITLESS} times without a step forward.")
        if collection is None or (kind == "sync" and source is None):
            return self.give_up(
                job_id, "The collection was deleted." if collection is None else "The source was deleted."
            )
        error: str | None = None
        try:
            if kind == "sync" and source is not None:
                error = self.sync(job_id, source, collection.name).run()
            elif kind == RECHUNK:
                return self._rechunk(job_id, collection.name)
            elif kind == "index":
                self._merge(job_id, collection.name)
            else:
                while self._run_batch(job_id, collection.name):
                    self._check_stop(job_id)
        except (JobLost, Stopped, SQLAlchemyError, MemoryError, OSError, StorageFull, Unavailable):
            raise
        except FootnoteError as failure:
            return self.give_up(job_id, failure.detail)
        except Exception:
            log.exception("job.crashed", job=job_id)
            return self.give_up(job_id, "An internal error stopped the job; the server's log says more.")
        with self.ingestion.database.write() as session:
            job = check_mine(session, job_id, self.owner)
            close_items(session, job, None)
            finished = finish(session, job_id, error)
        self._drop_blobs(job_id)
        log.info("job.finished", job=job_id, status=finished.status, **finished.counts)
        return None

    def _rechunk(self, job_id: str, collection: str) -> None:
        """Cut the documents with the settings that the job is told, until those that hold are the last it was told."""

        def note(phase: str, counts: Mapping[str, int]) -> None:
            if self._stop.is_set():
                raise _Interrupted
            with self.ingestion.database.write() as session:
                job = check_mine(session, job_id, self.owner)
                job.phase, job.counts = phase, {**job.counts, **counts}

        counts: Mapping[str, int] = {}
        while True:
            with self.ingestion.database.write() as session:
                job = check_mine(session, job_id, self.owner)
                job.counts = {**job.counts, **counts}
                row = get_collection(session, collection)
                wanted = job.options.get(CHUNKING, row.chunking)
                # In the transaction of the last look: whoever wants others later finds no unfinished job, and submits one.
                if set_chunking(session, row, wanted):
                    finish(session, job_id)
                    return None
            try:
                counts = rechunk(self.ingestion, self.files, collection, read_chunking(wanted), note)
            except _Interrupted:
                return self._check_stop(job_id)

    def _merge(self, job_id: str, collection: str) -> None:
        """Write what changed into the files of the collection's index; documents stay as they are."""

        def note(done: int, total: int) -> None:
            if self._stop.is_set():
                raise _Interrupted
            with self.ingestion.database.write() as session:
                job = check_mine(session, job_id, self.owner)
                job.phase, job.counts = "indexing", {**job.counts, "scanned": total, "unchanged": done}

        try:
            merge(self.files, collection, note)
        except _Interrupted:
            self._check_stop(job_id)

    def sync(self, job_id: str, source: Source, collection: str) -> Sync:
        """The sync that a job stands for."""
        return Sync(
            ingestion=self.ingestion,
            reader=self.open_source(source),
            source_id=source.id,
            collection=collection,
            job_id=job_id,
            owner=self.owner,
            folder=self.spool.folder,
            check_stop=lambda: self._check_stop(job_id),
        )

    def _check_stop(self, job_id: str) -> None:
        if self._stop.is_set():
            with self.ingestion.database.write() as session:
                release(session, job_id, self.owner)
            raise Stopped(job_id)

    def _drop_blobs(self, job_id: str) -> None:
        with self.ingestion.database.read() as session:
            job = session.get(Job, job_id)
            # A job that was lost to another process is worked on there.
            blobs = job_blobs(session, job_id) if job is not None and job.status in FINISHED else []
        self.spool.remove(blobs)

    def _run_batch(self, job_id: str, collection: str) -> bool:
        with self.ingestion.database.read() as session:
            # Distinct ids only: a second copy of a document waits for the next batch.
            items = list({i.external_id: i for i in reversed(open_items(session, job_id, BATCH))}.values())
        if not items:
            return False
        items = self._bounded(sorted(items, key=lambda item: item.ordinal))
        inputs = [item_input(item, self.spool) for item in items]

        def note(session: Session, results: Sequence[Ingested]) -> None:
            job = check_mine(session, job_id, self.owner)
            for item in items:
                if session.get_one(JobItem, (job_id, item.ordinal)).outcome is not None:
                    raise _ItemsMoved
            record_outcomes(session, job, list(zip([i.ordinal for i in items], results, strict=True)))

        try:
            ingest_batch(self.ingestion, collection, inputs, note)
        except _ItemsMoved:
            log.info("job.batch_again", job=job_id)
        else:
            self.spool.remove(item.blob for item in items)
        return True

    def _bounded(self, items: Sequence[JobItem]) -> list[JobItem]:
        """As many of ``items`` as have at most ``BATCH_BYTES`` together, and at least one."""
        sizes = accumulate(self.spool.size(item.blob) for item in items)
        return [
            item
            for place, (item, size) in enumerate(zip(items, sizes, strict=True))
            if not place or size <= BATCH_BYTES
        ]


def sweep(ingestion: Ingestion, spool: Spool) -> None:
    """Drop what a process that died left behind and no unfinished job needs; call at the start, before requests come."""
    with ingestion.database.write() as session:
        forget_unawaited(session)
        wanted = waiting_blobs(session)
    spool.sweep(wanted)
