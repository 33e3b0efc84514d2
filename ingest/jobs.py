"""Jobs: background work, kept in the database so that a crash neither loses nor repeats any of it.

A job's row says what is to be done and how far it is; ``ingest.queue`` says who does it when. A process claims a job before it
works on it, and every transaction that notes progress checks that the job is still its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from infra.clock import iso, now
from infra.errors import NotFound
from infra.ids import new_id
from infra.owner import is_dead
from infra.tables import Collection, Job, Source

FINISHED = ("succeeded", "partial", "failed", "cancelled")
COUNTS = ("scanned", "new", "modified", "unchanged", "deleted", "failed")
# Failures beyond these are counted, but not listed: a job's row is written with every batch.
MAX_FAILURES = 1000
# A job that was begun so often without a single step forward is what kills its processes.
MAX_FRUITLESS = 20


class JobLost(Exception):  # noqa: N818 - a signal to the worker, not an error for a caller
    """The job is not this worker's any more: cancelled, or taken over by another process."""


def new_job(
    kind: str, collection: Collection, caller: str | None, *, source: Source | None = None, scanned: int = 0
) -> Job:
    """A queued job; the caller adds it to its session."""
    return Job(
        id=new_id("job"),
        kind=kind,
        collection_id=collection.id,
        source_id=None if source is None else source.id,
        options={},
        caller=caller,
        status="queued",
        attempts=0,
        counts=dict.fromkeys(COUNTS, 0) | {"scanned": scanned},
        failures=[],
        created_at=now(),
    )


def submit_for(session: Session, kind: str, collection: Collection, caller: str | None, source: Source | None) -> Job:
    """Queue a ``sync`` of ``source`` or a ``rechunk`` of the collection; the unfinished one, if there is one already."""
    if (unfinished := unfinished_job(session, kind, collection, source)) is not None:
        return unfinished
    job = new_job(kind, collection, caller, source=source)
    session.add(job)
    session.flush()
    if source is not None:
        source.last_job_id = job.id
    return job


def unfinished_job(session: Session, kind: str, collection: Collection, source: Source | None = None) -> Job | None:
    """The job of this kind for the collection, or the source, that waits or runs."""
    waiting = select(Job).where(
        Job.kind == kind,
        Job.collection_id == collection.id,
        Job.status.not_in(FINISHED),
        Job.source_id.is_(None) if source is None else Job.source_id == source.id,
    )
    return session.scalars(waiting.order_by(Job.created_at)).first()


def queued_jobs(session: Session, limit: int = 200) -> list[Job]:
    """The oldest jobs that wait for a worker."""
    return list(
        session.scalars(select(Job).where(Job.status == "queued").order_by(Job.created_at, Job.id).limit(limit))
    )


def claim(session: Session, job_id: str, owner: str) -> Job | None:
    """Take a job that waits, or that a dead process left behind; ``None`` if there is nothing to do or somebody does it."""
    job = session.get(Job, job_id)
    if job is None or job.status in FINISHED:
        return None
    if job.status == "running" and job.owner != owner and not abandoned(job):
        return None
    job.status, job.owner, job.heartbeat_at = "running", owner, now()
    job.attempts += 1
    return job


def check_mine(session: Session, job_id: str, owner: str) -> Job:
    """The job, if it is still ``owner``'s to work on; else raises ``JobLost``. Each transaction that notes progress calls it."""
    job = session.get(Job, job_id)
    if job is None or job.status != "running" or job.owner != owner:
        raise JobLost(job_id)
    job.heartbeat_at = now()
    job.attempts = 0  # it moves
    return job


def add_counts(job: Job, changes: Mapping[str, int], failures: Sequence[Mapping[str, Any]] = ()) -> None:
    """Add to a job's counts, and list failures as far as there is room."""
    job.counts = {name: value + changes.get(name, 0) for name, value in job.counts.items()}
    if failures:
        job.failures = [*job.failures, *failures][:MAX_FAILURES]


def finish(session: Session, job_id: str, error: str | None = None) -> Job:
    """Close a job: ``succeeded`` if nothing failed, ``partial`` if something else was done, else ``failed``."""
    job = session.get_one(Job, job_id)
    if job.status not in FINISHED:
        done = sum(job.counts[name] for name in ("new", "modified", "unchanged", "deleted"))
        failed = error is not None or job.counts["failed"] > 0
        job.status = "succeeded" if not failed else "partial" if done else "failed"
        job.error, job.phase = error, None
        # What a job that failed as a whole had listed and not come to yet was not looked at.
        job.counts = {**job.counts, "scanned": sum(job.counts[name] for name in COUNTS if name != "scanned")}
    job.finished_at, job.owner = job.finished_at or now(), None
    return job


def release(session: Session, job_id: str, owner: str | None) -> None:
    """Put a job back into the queue, as its process ends; a new run of it begins elsewhere or later."""
    job = session.get(Job, job_id)
    if job is not None and job.status == "running" and job.owner == owner:
        job.status, job.owner, job.attempts = "queued", None, 0
        job.options = {**job.options, "run": job.options.get("run", 0) + 1}


def run_name(job: Job) -> str:
    """The name of a job's current run: a crash continues a run, an orderly stop ends it."""
    return f"{job.id}-{job.options.get('run', 0)}"


def beat(session: Session, owner: str) -> None:
    """Show that ``owner`` lives, on all of its running jobs."""
    session.execute(
        update(Job)
        .where(Job.owner == owner, Job.status == "running")
        .values(heartbeat_at=now())
        .execution_options(synchronize_session=False)
    )


def get_job(session: Session, job_id: str, caller: str | None) -> Job:
    """A job of this caller (``None`` = an administrator, who sees all); raises ``NotFound``."""
    job = session.get(Job, job_id)
    if job is None or (caller is not None and job.caller != caller):
        raise NotFound("There is no such job.", code="job_not_found")
    return job


def list_jobs(session: Session, caller: str | None, limit: int, after: str | None) -> tuple[list[Job], str | None]:
    """A page of jobs, newest first, and the id to go on after (``None`` at the end)."""
    query = select(Job).order_by(Job.created_at.desc(), Job.id.desc()).limit(limit + 1)
    if caller is not None:
        query = query.where(Job.caller == caller)
    if after is not None and (last := session.get(Job, after)) is not None:
        query = query.where(
            (Job.created_at < last.created_at) | ((Job.created_at == last.created_at) & (Job.id < last.id))
        )
    found = list(session.scalars(query))
    return found[:limit], found[limit - 1].id if len(found) > limit else None


def describe(job: Job) -> dict[str, Any]:
    """A job as callers see it."""
    return {
        "id": job.id,
        "kind": job.kind,
        "source_id": job.source_id,
        "status": job.status,
        "phase": job.phase,
        "counts": job.counts,
        "failures": job.failures,
        "error": job.error,
        "created_at": iso(job.created_at),
        "finished_at": iso(job.finished_at),
    }


def abandoned(job: Job) -> bool:
    """Whether nobody works on a running job any more."""
    if job.owner is None:
        return True
    return is_dead(job.owner, job.heartbeat_at or job.created_at)
