"""Jobs: documents to ingest in the background, kept in the database so that a crash neither loses nor repeats one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from infra.clock import in_utc, iso, now
from infra.errors import NotFound
from infra.ids import new_id
from infra.owner import is_gone
from infra.tables import Collection, Document, Job, JobItem
from ingest.commit import find_document, note_pending
from ingest.document import Attributes, DocumentInput, Ingested, Outcome
from ingest.spool import Spool

FINISHED = ("succeeded", "partial", "failed", "cancelled")
COUNTS = ("scanned", "new", "modified", "unchanged", "deleted", "failed")
_STALE = timedelta(seconds=30)
_SUPERSEDED = "superseded"


def submit_job(
    session: Session, collection: Collection, items: Sequence[tuple[DocumentInput, str]], caller: str | None
) -> Job:
    """Queue ``items`` (each with the name of its spooled bytes) and note their documents as pending."""
    job = Job(
        id=new_id("job"),
        kind="ingest",
        options={},
        collection_id=collection.id,
        caller=caller,
        status="queued",
        counts=dict.fromkeys(COUNTS, 0) | {"scanned": len(items)},
        failures=[],
        created_at=now(),
    )
    supersede(session, collection.id, [item.external_id for item, _ in items])
    session.add(job)
    session.flush()
    for ordinal, (item, blob) in enumerate(items):
        note_pending(session, collection, item)
        session.add(
            JobItem(
                job_id=job.id,
                ordinal=ordinal,
                external_id=item.external_id,
                blob=blob,
                attributes=_to_json(item),
            )
        )
    return job


def supersede(session: Session, collection_id: str, external_ids: Sequence[str]) -> None:
    """Drop what waits for these documents: a later write or delete decides, whatever the order of the work."""
    jobs = select(Job.id).where(Job.collection_id == collection_id, Job.status.not_in(FINISHED))
    for start in range(0, len(external_ids), 500):
        session.execute(
            update(JobItem)
            .where(
                JobItem.job_id.in_(jobs),
                JobItem.external_id.in_(external_ids[start : start + 500]),
                JobItem.outcome.is_(None),
            )
            .values(outcome=_SUPERSEDED)
            .execution_options(synchronize_session=False)
        )


def claim_job(session: Session, owner: str) -> Job | None:
    """Take the oldest job that nobody works on: queued, or left behind by a process that died."""
    candidates = session.scalars(
        select(Job).where(Job.status.in_(("queued", "running"))).order_by(Job.created_at, Job.id)
    )
    for job in candidates:
        if job.status == "queued" or _abandoned(job, owner):
            job.status, job.owner, job.heartbeat_at = "running", owner, now()
            return job
    return None


def open_items(session: Session, job_id: str, limit: int) -> list[JobItem]:
    """The next items of a job that are neither done nor superseded, at most ``limit``."""
    return list(
        session.scalars(
            select(JobItem)
            .where(JobItem.job_id == job_id, JobItem.outcome.is_(None))
            .order_by(JobItem.ordinal)
            .limit(limit)
        )
    )


def record_outcomes(session: Session, job_id: str, results: Sequence[tuple[int, Ingested]]) -> None:
    """Note outcomes by item ordinal, in the transaction that makes the documents visible."""
    job = session.get_one(Job, job_id)
    counts, failures = dict(job.counts), list(job.failures)
    for ordinal, result in results:
        item = session.get_one(JobItem, (job_id, ordinal))
        item.outcome = result.outcome.value
        counts[result.outcome.value] += 1
        if result.outcome is Outcome.FAILED:
            failures.append({"external_id": result.external_id, "code": result.code, "detail": result.detail})
    job.counts, job.failures, job.heartbeat_at = counts, failures, now()


def finish_job(session: Session, job_id: str, error: str | None = None) -> Job:
    """Close a job whose items are all decided (or that failed as a whole, with ``error``)."""
    job = session.get_one(Job, job_id)
    counts = dict(job.counts)
    superseded = session.scalars(
        select(JobItem.ordinal).where(JobItem.job_id == job_id, JobItem.outcome == _SUPERSEDED)
    ).all()
    counts["unchanged"] += len(superseded)
    done = counts["new"] + counts["modified"] + counts["unchanged"] + counts["deleted"]
    if error is not None:
        left = session.scalars(select(JobItem).where(JobItem.job_id == job_id, JobItem.outcome.is_(None))).all()
        counts["failed"] += len(left)
        job.failures = [
            *job.failures,
            *({"external_id": i.external_id, "code": "job_failed", "detail": error} for i in left),
        ]
        for item in left:
            item.outcome = Outcome.FAILED.value
    job.counts = counts
    if job.status != "cancelled":
        job.status = "succeeded" if not counts["failed"] else "partial" if done else "failed"
    job.finished_at, job.owner = now(), None
    return job


def cancel_job(session: Session, job_id: str, caller: str | None) -> Job:
    """Stop a job: what is done stays, what waits is dropped. A finished job stays as it is."""
    job = get_job(session, job_id, caller)
    if job.status not in FINISHED:
        job.status, job.finished_at = "cancelled", now()
        waiting = session.scalars(select(JobItem).where(JobItem.job_id == job_id, JobItem.outcome.is_(None))).all()
        for item in waiting:
            # An item that still waits is the newest word on its document: nothing else will make a first version of it.
            item.outcome = "cancelled"
            document = find_document(session, job.collection_id or "", item.external_id)
            if document is not None and document.version == 0:
                session.delete(document)
    return job


def job_blobs(session: Session, job_id: str) -> list[str]:
    """Names of a job's spooled uploads."""
    return list(session.scalars(select(JobItem.blob).where(JobItem.job_id == job_id)))


def get_job(session: Session, job_id: str, caller: str | None) -> Job:
    """A job of this caller (``None`` = an administrator, who sees all); raises ``NotFound``."""
    job = session.get(Job, job_id)
    if job is None or (caller is not None and job.caller != caller):
        raise NotFound("There is no such job.", code="job_not_found")
    return job


def describe(job: Job) -> dict[str, Any]:
    """A job as callers see it."""
    return {
        "id": job.id,
        "kind": job.kind,
        "status": job.status,
        "counts": job.counts,
        "failures": job.failures,
        "created_at": iso(job.created_at),
        "finished_at": iso(job.finished_at),
    }


def item_input(item: JobItem, spool: Spool) -> DocumentInput:
    """The document input that a job item stands for."""
    stored = item.attributes
    attributes = Attributes(**stored["attributes"])
    path = spool.path(item.blob)
    # A missing upload (its job was cancelled meanwhile) is left to the pipeline, which reports it as unreadable.
    text = path.read_text("utf-8", "surrogatepass") if stored["text"] and path.is_file() else None
    return DocumentInput(
        item.external_id,
        text=text,
        path=path if text is None else None,
        filename=stored["filename"],
        content_type=stored["content_type"],
        attributes=attributes,
    )


def forget_unawaited(session: Session) -> None:
    """Drop documents that were never ready and that no job will make so: their caller's request died with its process."""
    awaited = (
        select(JobItem.external_id)
        .join(Job, Job.id == JobItem.job_id)
        .where(
            Job.collection_id == Document.collection_id,
            Job.status.not_in(FINISHED),
            JobItem.external_id == Document.external_id,
            JobItem.outcome.is_(None),
        )
    )
    session.execute(
        delete(Document)
        .where(Document.version == 0, Document.status == "pending", ~awaited.exists())
        .execution_options(synchronize_session=False)
    )


def waiting_blobs(session: Session) -> set[str]:
    """Names of the spooled uploads that unfinished jobs still need."""
    return set(
        session.scalars(select(JobItem.blob).join(Job, Job.id == JobItem.job_id).where(Job.status.not_in(FINISHED)))
    )


def _to_json(item: DocumentInput) -> dict[str, Any]:
    a = item.attributes
    return {
        "text": item.text is not None,
        "filename": item.filename,
        "content_type": item.content_type,
        "attributes": {
            "title": a.title,
            "url": a.url,
            "metadata": dict(a.metadata),
            "allowed_groups": None if a.allowed_groups is None else list(a.allowed_groups),
            "version": a.version,
        },
    }


def _abandoned(job: Job, me: str) -> bool:
    if job.owner is None:
        return True
    if job.owner == me:
        return False
    # On one host the process table tells at once; of another one only its heartbeat is seen.
    if (gone := is_gone(job.owner)) is not None:
        return gone
    beat = job.heartbeat_at or job.created_at
    return now() - in_utc(beat) > _STALE
