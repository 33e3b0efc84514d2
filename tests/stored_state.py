"""What must hold of a database at every moment, whatever was killed."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from infra.tables import ChunkRow, Document, DocumentVersion, ExtractedText, Job, Vector
from ingest.jobs import COUNTS, FINISHED

_WHOLE = re.compile(r"# Note (\d+)\n\nThis is note \1, begun\..*This is note \1, ended\.\n", re.DOTALL)


def check_state(session: Session) -> None:
    """No document is half there: versions, texts, chunks and vectors fit each other, and nothing is left over."""
    versions: defaultdict[str, list[int]] = defaultdict(list)
    text_of: dict[tuple[str, int], str] = {}
    for document_id, number, sha in session.execute(
        select(DocumentVersion.document_id, DocumentVersion.number, DocumentVersion.text_sha256)
    ):
        versions[document_id].append(number)
        text_of[document_id, number] = sha
    chunks: defaultdict[str, list[tuple[int, int, int, int]]] = defaultdict(list)
    used = set()
    for row in session.execute(
        select(
            ChunkRow.document_id,
            ChunkRow.version,
            ChunkRow.ordinal,
            ChunkRow.char_start,
            ChunkRow.char_end,
            ChunkRow.vector_hash,
        )
    ):
        chunks[row[0]].append((row[1], row[2], row[3], row[4]))
        used.add(row[5])
    texts: dict[str, str] = {
        row[0]: row[1] for row in session.execute(select(ExtractedText.sha256, ExtractedText.text))
    }
    documents = session.scalars(select(Document)).all()
    for document in documents:
        name = (document.external_id, document.version, document.status)
        assert (document.status == "ready") == (document.version > 0), name
        assert sorted(versions.pop(document.id, [])) == list(range(1, document.version + 1)), name
        mine = sorted(chunks.pop(document.id, []), key=lambda chunk: chunk[1])
        assert [chunk[1] for chunk in mine] == list(range(document.chunk_count)), name
        assert {chunk[0] for chunk in mine} == ({document.version} if document.version else set()), name
        if document.version:
            text = texts[text_of[document.id, document.version]]
            assert _WHOLE.fullmatch(text), (name, text)
            assert all(0 <= start < end <= len(text) for _, _, start, end in mine), name
    assert not versions, f"versions of no document: {dict(versions)}"
    assert not chunks, f"chunks of no document: {dict(chunks)}"
    assert set(texts) == set(text_of.values()), "a text is missing, or no version has it"
    vectors = list(session.scalars(select(Vector.hash)))
    assert len(vectors) == len(set(vectors))
    assert set(vectors) == used, "a vector is missing, or no chunk has it"
    check_jobs(session.scalars(select(Job)).all())


def check_jobs(jobs: Sequence[Job]) -> None:
    """The counts of finished jobs add up, and of one source and kind at most one job is unfinished."""
    open_jobs = [(job.kind, job.source_id) for job in jobs if job.status not in FINISHED and job.kind == "sync"]
    assert len(open_jobs) == len(set(open_jobs)), open_jobs
    for job in jobs:
        assert all(count >= 0 for count in job.counts.values()), job.counts
        if job.status in FINISHED:
            parts = sum(job.counts[name] for name in COUNTS if name != "scanned")
            assert job.counts["scanned"] == parts, (job.kind, job.status, job.error, job.counts)


def ready(session: Session) -> dict[str, tuple[str, int, str]]:
    """Each ready document's id, version and text, by external id."""
    rows = session.execute(
        select(Document.external_id, Document.id, Document.version, ExtractedText.text)
        .join(
            DocumentVersion, (DocumentVersion.document_id == Document.id) & (DocumentVersion.number == Document.version)
        )
        .join(ExtractedText, ExtractedText.sha256 == DocumentVersion.text_sha256)
    ).all()
    return {row[0]: (row[1], row[2], row[3]) for row in rows}


def chunk_contents(session: Session) -> list[tuple[str, int, int, int, str, str]]:
    """All that is alike of chunks wherever the same documents are ingested, in order."""
    rows = session.execute(
        select(
            Document.external_id,
            ChunkRow.ordinal,
            ChunkRow.char_start,
            ChunkRow.char_end,
            ChunkRow.context,
            ChunkRow.vector_hash,
        )
        .join(Document, Document.id == ChunkRow.document_id)
        .order_by(Document.external_id, ChunkRow.ordinal)
    ).all()
    return sorted((row[0], row[1], row[2], row[3], row[4], row[5]) for row in rows)


def unfinished(session: Session) -> int:
    """How many jobs are not finished."""
    return session.scalar(select(func.count()).select_from(Job).where(Job.status.not_in(FINISHED))) or 0
