"""Uploads that a job works off: each an item with its spooled bytes, decided once, superseded by what comes later."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from infra.clock import now
from infra.tables import Collection, Document, Job, JobItem
from ingest.commit import find_document, note_pending
from ingest.document import Attributes, DocumentInput, Ingested, Outcome
from ingest.jobs import FINISHED, add_counts, get_job, new_job
from ingest.spool import Spool

_SUPERSEDED = "superseded"


def submit_uploads(
    session: Session, collection: Collection, items: Sequence[tuple[DocumentInput, str]], caller: str | None
) -> Job:
    """Queue ``items`` (each with the name of its spooled bytes) and note their documents as pending."""
    job = new_job("ingest", collection, caller, scanned=len(items))
    supersede(session, collection.id, [item.external_id for item, _ in items])
    session.add(job)
    session.flush()
    for ordinal, (item, blob) in enumerate(items):
        note_pending(session, collection, item)
        session.add(
            JobItem(job_id=job.id, ordinal=ordinal, external_id=item.external_id, blob=blob, attributes=_to_json(item))
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


def record_outcomes(session: Session, job: Job, results: Sequence[tuple[int, Ingested]]) -> None:
    """Note outcomes by item ordinal, in the transaction that makes the documents visible."""
    counts: dict[str, int] = {}
    failures = []
    for ordinal, result in results:
        session.get_one(JobItem, (job.id, ordinal)).outcome = result.outcome.value
        counts[result.outcome.value] = counts.get(result.outcome.value, 0) + 1
        if result.outcome is Outcome.FAILED:
            failures.append(result.failure())
    add_counts(job, counts, failures)


def close_items(session: Session, job: Job, error: str | None) -> None:
    """Settle what is left of a job that ends: superseded items count as unchanged, undecided ones fail with ``error``."""
    superseded = session.scalars(
        select(JobItem.ordinal).where(JobItem.job_id == job.id, JobItem.outcome == _SUPERSEDED)
    ).all()
    left = open_items(session, job.id, 10**6) if error is not None else []
    for item in left:
        item.outcome = Outcome.FAILED.value
    add_counts(
        job,
        {"unchanged": len(superseded), "failed": len(left)},
        [{"external_id": item.external_id, "code": "job_failed", "detail": error} for item in left],
    )


def cancel_job(session: Session, job_id: str, caller: str | None) -> Job:
    """Stop a job: what is done stays, what waits is dropped. A finished job stays as it is."""
    job = get_job(session, job_id, caller)
    if job.status not in FINISHED:
        job.status, job.phase, job.owner = "cancelled", None, None
        job.finished_at = now()
        for item in open_items(session, job_id, 10**6):
            # An item that still waits is the newest word on its document: nothing else will make a first version of it.
            item.outcome = "cancelled"
            document = find_document(session, job.collection_id or "", item.external_id)
            if document is not None and document.version == 0:
                session.delete(document)
    return job


def job_blobs(session: Session, job_id: str) -> list[str]:
    """Names of a job's spooled uploads."""
    return list(session.scalars(select(JobItem.blob).where(JobItem.job_id == job_id)))


def item_input(item: JobItem, spool: Spool) -> DocumentInput:
    """The document input that a job item stands for."""
    stored = item.attributes
    attributes = Attributes(**stored["attributes"])
    path = spool.path(item.blob)
    # A missing upload (its job was cancelled meanwhile) is left to the pipeline, which reports it as unreadable.
    text = path.read_bytes().decode("utf-8", "surrogatepass") if stored["text"] and path.is_file() else None
    return DocumentInput(
        item.external_id,
        text=text,
        path=path if text is None else None,
        filename=stored["filename"],
        content_type=stored["content_type"],
        attributes=attributes,
    )


def forget_unawaited(
    session: Session,
    *,
    older_than: timedelta | None = None,
    collection_id: str | None = None,
    external_id: str | None = None,
) -> None:
    """Drop documents that were never ready and that no job will make so: their caller's request died with its process.

    Only the one named, if one is; and while requests are being worked on, only those ``older_than`` any request.
    """
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
    forgotten = delete(Document).where(Document.version == 0, Document.status == "pending", ~awaited.exists())
    if older_than is not None:
        forgotten = forgotten.where(Document.updated_at < now() - older_than)
    if collection_id is not None and external_id is not None:
        forgotten = forgotten.where(Document.collection_id == collection_id, Document.external_id == external_id)
    session.execute(forgotten.execution_options(synchronize_session=False))


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
