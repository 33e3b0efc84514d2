"""Who works on which job when: durable queues, retries and schedules of the dbos library, which only this file knows.

Jobs are rows of our own (``ingest.jobs``), for their progress must be written in the transactions that store documents. The
library has a workflow for each run of a job. It hands a run to one process at a time, tries again with growing pauses what may
pass by itself, and starts schedules. What it cannot see without a service beside it is that a process has died: the keeper
thread here does, and puts the dead process's runs back into the queue.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from dbos import DBOS, DBOSConfig, SetWorkflowID, error
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from infra.clock import now
from infra.errors import FootnoteError
from infra.owner import is_gone
from infra.tables import Collection, Job, Source
from ingest.jobs import abandoned, beat, queued_jobs, release, run_name, submit_for
from ingest.retention import KEEP_JOBS_DAYS, drop_finished_jobs, drop_old_versions
from ingest.runner import JobRunner, Stopped
from ingest.uploads import forget_unawaited, waiting_blobs
from retrieval.generations.indexing import due_merges, tidy

_QUEUE = "jobs"
_POLL_S = 0.2
_KEEP_S = 2.0
_RECONCILE_S = 30.0
_RETRIES = 8  # pauses of 1, 2, 4, … seconds: over two minutes in all
_LYING_S = 10.0  # that a run may be ours and not here: the library has taken it and not called it yet
_PAGE = 200
_DAY = timedelta(days=1)
_AFTER_FAILURE = timedelta(hours=1)
_DONE = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
_SYNC_PREFIX = "sync:"

log = structlog.get_logger()


@dataclass(slots=True)
class JobQueue:
    """Works off jobs in this process, ``concurrency`` at a time; any number of processes may share a database.

    ``address`` is where the library keeps its own tables (SQLAlchemy form). There is one queue a process, for the library has
    one instance a process. With a concurrency of 0 nothing is worked on here: jobs wait for another process.
    """

    runner: JobRunner
    address: str
    concurrency: int = 2
    keep_versions_days: int | None = None
    merge_chunks: int = 0
    _here: set[str] = field(default_factory=set)
    _lying: dict[str, float] = field(default_factory=dict)
    _wake: threading.Event = field(default_factory=threading.Event)
    _stop: threading.Event = field(default_factory=threading.Event)
    _keeper: threading.Thread | None = None

    def start(self) -> None:
        """Begin to work; jobs that a dead process left behind are taken over."""
        global _running  # noqa: PLW0603 - workflows are plain functions, called by the library with their arguments only
        if self.concurrency == 0:
            return
        config: DBOSConfig = {
            "name": "footnote",
            "system_database_url": self.address,
            "executor_id": self.runner.owner,
            # A run can be taken up by any version: what it does is told by the job's row.
            "application_version": "1",
            "log_level": "ERROR",
            "use_listen_notify": False,
            "scheduler_polling_interval_sec": 5.0,
        }
        DBOS(config=config)
        _running = self
        DBOS.launch()
        DBOS.register_queue(
            _QUEUE, worker_concurrency=self.concurrency, polling_interval_sec=_POLL_S, on_conflict="always_update"
        )
        self._keeper = threading.Thread(target=self._keep, name="jobs", daemon=True)
        self._keeper.start()

    def alive(self) -> bool:
        """Whether jobs get worked on: by this process, or by another as it was set up."""
        return self.concurrency == 0 or (self._keeper is not None and self._keeper.is_alive())

    def wake(self) -> None:
        """Look for new jobs now."""
        self._wake.set()

    def stop(self) -> None:
        """End the work at its next batch; unfinished jobs go back to the queue."""
        global _running  # noqa: PLW0603 - see start
        if self._keeper is None:
            return
        self._stop.set()
        self._wake.set()
        self.runner.stop()
        self._keeper.join()
        self._keeper = None
        while self.runner.running():
            time.sleep(0.02)
        DBOS.destroy()
        _running = None

    def _keep(self) -> None:
        """Until stopped: queue new jobs, beat for running ones, take over from the dead, follow the sources' schedules."""
        reconciled = 0.0
        while not self._stop.is_set():
            try:
                self._queue_new()
                with self.runner.ingestion.database.write() as session:
                    beat(session, self.runner.owner)
                self._take_over()
                if time.monotonic() - reconciled > _RECONCILE_S:
                    self._follow_schedules()
                    self._queue_merges()
                    reconciled = time.monotonic()
            except (SQLAlchemyError, FootnoteError, error.DBOSException, OSError, MemoryError) as failure:
                # Locked, full, restarting, short of memory: everything here is tried again.
                log.error("jobs.keeper_failed", error=type(failure).__name__)
            self._wake.wait(_KEEP_S)
            self._wake.clear()

    def _queue_new(self) -> None:
        with self.runner.ingestion.database.read() as session:
            names = [(run_name(job), job.id) for job in queued_jobs(session)]
        for name, job_id in names:
            with SetWorkflowID(name):  # a run of this name that exists already is left as it is
                DBOS.enqueue_workflow(_QUEUE, _run_job, job_id)

    def _take_over(self) -> None:
        """Queue again what a dead process was at, on this host or (by its heartbeat) on another, and what was left lying here."""
        runner = self.runner
        pending = {
            status.workflow_id: str(status.executor_id)
            for status in DBOS.list_workflows(status="PENDING", name="run_job", load_input=False, load_output=False)
        }
        queued = {
            status.workflow_id
            for status in DBOS.list_workflows(status="ENQUEUED", name="run_job", load_input=False, load_output=False)
        }
        with runner.ingestion.database.read() as session:
            running = {run_name(job): job for job in session.scalars(select(Job).where(Job.status == "running"))}
        self._resume_lying({name for name, executor in pending.items() if executor == runner.owner})
        for name, executor in pending.items():
            job = running.get(name)
            dead = is_gone(executor)
            if executor != runner.owner and (dead or (dead is None and (job is None or abandoned(job)))):
                log.warning("jobs.taken_over", run=name, dead=executor)
                DBOS.resume_workflow(name, queue_name=_QUEUE)
        for name, job in running.items():
            lying = job.owner == runner.owner and job.id not in runner.running()
            if name not in pending and name not in queued and (lying or abandoned(job)):
                # It has no run any more (or never had one: a command line worked on it), so it gets a new one.
                with runner.ingestion.database.write() as session:
                    release(session, job.id, job.owner)

    def _resume_lying(self, mine: set[str]) -> None:
        """Queue again the runs that the library holds for this process and that it does not work on.

        A run is left like that when its end could not be noted, as on a full disk.
        """
        moment = time.monotonic()
        self._lying = {name: self._lying.get(name, moment) for name in mine - self._here}
        for name, since in list(self._lying.items()):
            if moment - since > _LYING_S:
                log.warning("jobs.resumed", run=name)
                del self._lying[name]
                DBOS.resume_workflow(name, queue_name=_QUEUE)

    def _follow_schedules(self) -> None:
        with self.runner.ingestion.database.read() as session:
            wanted = {
                _SYNC_PREFIX + source.id: str(source.schedule)
                for source in session.scalars(select(Source).where(Source.schedule.is_not(None)))
            }
        there = {s["schedule_name"]: s["schedule"] for s in DBOS.list_schedules(schedule_name_prefix=_SYNC_PREFIX)}
        for name in there.keys() - wanted.keys():
            DBOS.delete_schedule(name)
        DBOS.apply_schedules(
            [
                {
                    "schedule_name": name,
                    "workflow_fn": _sync_on_schedule,
                    "schedule": schedule,
                    "context": name.removeprefix(_SYNC_PREFIX),
                }
                for name, schedule in wanted.items()
                if there.get(name) != schedule
            ]
            + ([] if self._has_daily() else [_DAILY])
        )

    def _queue_merges(self) -> None:
        """Have index files written anew where too much is only in memory; no sooner than an hour after a failure."""
        with self.runner.ingestion.database.read() as session:
            failed = select(Job.collection_id).where(
                Job.kind == "index", Job.status == "failed", Job.finished_at > now() - _AFTER_FAILURE
            )
            spared = set(session.scalars(failed))
            due = due_merges(session, self.merge_chunks)
            names = [collection.name for collection in due if collection.id not in spared]
            tidy(self.runner.files, session)  # those of collections that were deleted
        for name in names:
            with self.runner.ingestion.database.write() as session:
                found = session.scalar(select(Collection).where(Collection.name == name))
                if found is not None:
                    submit_for(session, "index", found, None, None)

    def _has_daily(self) -> bool:
        return bool(DBOS.list_schedules(schedule_name_prefix=_DAILY["schedule_name"]))


_running: JobQueue | None = None


@DBOS.workflow(name="run_job", max_recovery_attempts=None)
def _run_job(job_id: str) -> None:
    queue = _current()
    name = str(DBOS.workflow_id)
    queue._here.add(name)
    try:
        _work(job_id)
    except Stopped:
        return
    except error.DBOSMaxStepRetriesExceeded as failure:
        queue.runner.give_up(job_id, _reason(failure.errors[-1]))
    finally:
        queue._here.discard(name)


def _may_pass(failure: BaseException) -> bool:
    return not isinstance(failure, Stopped)


@DBOS.step(
    name="work",
    retries_allowed=True,
    max_attempts=_RETRIES,
    interval_seconds=1.0,
    backoff_rate=2.0,
    should_retry=_may_pass,
)
def _work(job_id: str) -> None:
    _current().runner.run(job_id)


@DBOS.workflow(name="sync_on_schedule")
def _sync_on_schedule(_moment: datetime, source_id: Any) -> None:
    queue = _current()
    with queue.runner.ingestion.database.write() as session:
        source = session.get(Source, source_id)
        collection = session.get(Collection, source.collection_id) if source is not None else None
        if source is not None and collection is not None and source.schedule is not None:
            submit_for(session, "sync", collection, source.caller, source)
    queue.wake()


@DBOS.workflow(name="maintain")
def _maintain(_moment: datetime, _context: Any) -> None:
    maintain(_current())


def maintain(queue: JobQueue) -> None:
    """Drop what is over and done with: once a day, by one of the processes."""
    database, spool = queue.runner.ingestion.database, queue.runner.spool
    versions = 0 if queue.keep_versions_days is None else drop_old_versions(database, queue.keep_versions_days)
    jobs = drop_finished_jobs(database)
    runs = _drop_runs(datetime.now(UTC) - timedelta(days=KEEP_JOBS_DAYS))
    with database.write() as session:
        forget_unawaited(session, older_than=_DAY)
        wanted = waiting_blobs(session)
    spool.sweep(wanted, older_than_s=_DAY.total_seconds())
    log.info("maintained", versions=versions, jobs=jobs, runs=runs)


def _drop_runs(horizon: datetime) -> int:
    """Drop the library's records of runs that ended before ``horizon``, and give their number."""
    dropped = 0
    while True:
        old = DBOS.list_workflows(
            status=_DONE, completed_before=horizon.isoformat(), limit=_PAGE, load_input=False, load_output=False
        )
        if not old:
            return dropped
        DBOS.delete_workflows([run.workflow_id for run in old])
        dropped += len(old)


_DAILY: Any = {"schedule_name": "maintain", "workflow_fn": _maintain, "schedule": "17 2 * * *"}


def _current() -> JobQueue:
    if _running is None:
        raise Stopped("the process ends")
    return _running


def _reason(failure: Exception) -> str:
    detail = getattr(failure, "detail", None)
    if isinstance(detail, str):
        return detail
    kinds: dict[type[BaseException], str] = {
        MemoryError: "There was not enough memory, several times over.",
        SQLAlchemyError: "The database could not be written to, several times over: it may be full or locked.",
        OSError: "A file or disk failed, several times over: the disk may be full.",
    }
    return next(
        (text for kind, text in kinds.items() if isinstance(failure, kind)), "The job failed several times over."
    )
