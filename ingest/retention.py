"""How long what is over and done with is kept: old versions of documents, finished jobs."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, select

from infra.clock import now
from infra.database import Database
from infra.tables import Document, DocumentVersion, Job, JobItem, Source
from ingest.commit import drop_unused_texts
from ingest.jobs import FINISHED

KEEP_JOBS_DAYS = 30
_BATCH = 200


def drop_old_versions(database: Database, days: int) -> int:
    """Drop versions that were replaced more than ``days`` days ago, and give their number; current versions stay.

    A version counts as replaced when the one after it was stored. Citations of a dropped version keep their quote, but its text
    cannot be read or replayed any more.
    """
    horizon = now() - timedelta(days=days)
    dropped = 0
    later = DocumentVersion.__table__.alias("later")
    replaced = (
        select(later.c.number)
        .where(
            later.c.document_id == DocumentVersion.document_id,
            later.c.number == DocumentVersion.number + 1,
            later.c.created_at < horizon,
        )
        .exists()
    )
    query = (
        select(DocumentVersion)
        .join(Document, Document.id == DocumentVersion.document_id)
        .where(DocumentVersion.number < Document.version, replaced)
        .order_by(DocumentVersion.document_id, DocumentVersion.number)
        .limit(_BATCH)
    )
    while True:
        with database.write() as session:
            old = session.scalars(query).all()
            if not old:
                return dropped
            texts = {version.text_sha256 for version in old}
            # One by one from the oldest: dropping a version must not hide that the one before it was replaced.
            for version in old:
                session.execute(
                    delete(DocumentVersion).where(
                        DocumentVersion.document_id == version.document_id, DocumentVersion.number == version.number
                    )
                )
            drop_unused_texts(session, texts)
            dropped += len(old)


def drop_finished_jobs(database: Database, days: int = KEEP_JOBS_DAYS) -> int:
    """Drop jobs that ended more than ``days`` days ago with their items, and give their number; a source's last one stays."""
    horizon = now() - timedelta(days=days)
    last = select(Source.last_job_id).where(Source.last_job_id == Job.id)
    query = (
        select(Job.id)
        .where(Job.status.in_(FINISHED), Job.finished_at < horizon, ~last.exists())
        .order_by(Job.finished_at)
        .limit(_BATCH)
    )
    dropped = 0
    while True:
        with database.write() as session:
            old = session.scalars(query).all()
            if not old:
                return dropped
            session.execute(delete(JobItem).where(JobItem.job_id.in_(old)))
            session.execute(delete(Job).where(Job.id.in_(old)))
            dropped += len(old)
