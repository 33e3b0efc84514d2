"""Other chunking settings for a collection: its documents are cut beside the chunks that searches see, and then switched to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from infra.clock import now
from infra.errors import Busy, Conflict
from infra.tables import Collection, Document, Job
from ingest.chunking import ChunkingSettings, read_chunking
from ingest.collections import get_collection, has_documents_cut_otherwise
from ingest.generation import build
from ingest.jobs import submit_for, unfinished_job
from ingest.pipeline import Ingestion
from retrieval.dense.report import RecallTarget
from retrieval.generations.indexing import IndexFiles

# Is told the phase and the counts so far; what it raises stops the work, which can be taken up again.
Progress = Callable[[str, Mapping[str, int]], None]

# The kind of the jobs that do this, and the option that says what is asked for.
RECHUNK = "rechunk"
CHUNKING = "chunking"


def request_chunking(
    session: Session, collection: Collection, chunking: Mapping[str, Any] | None, caller: str | None
) -> Job | None:
    """Give a collection other chunking settings; ``None`` = the defaults. Raises ``InvalidInput``.

    Where its documents are cut so already, they hold from now on. Else a job is submitted, or told if one is at it already,
    and they hold from its end: until then the collection keeps the ones it has, also for documents that come.
    """
    settings = read_chunking(chunking)
    if unfinished_job(session, RECHUNK, collection) is None and set_chunking(session, collection, chunking):
        return None
    job = submit_for(session, RECHUNK, collection, caller, None)
    job.options = {**job.options, CHUNKING: None if chunking is None else settings.as_json()}
    return job


def set_chunking(session: Session, collection: Collection, chunking: Mapping[str, Any] | None) -> bool:
    """Let settings hold at once, if no document is cut with others, and say whether they do. Raises ``InvalidInput``."""
    settings = read_chunking(chunking)
    if has_documents_cut_otherwise(session, collection, settings):
        return False
    collection.chunking = None if chunking is None else settings.as_json()
    collection.updated_at = now()
    return True


def rechunk(
    ingestion: Ingestion, files: IndexFiles, collection: str, settings: ChunkingSettings, progress: Progress
) -> dict[str, int]:
    """Cut all documents with ``settings`` into a generation of their own, by the encoder that the collection has, and promote it.

    Nothing is parsed, texts whose vectors are stored are not embedded again, versions keep their numbers, and searches see
    all documents in their old chunks or all in their new ones. What was live before can be gone back to. It can be stopped
    anywhere and called again. Gives the job's counts. Raises ``NotFound``, ``Conflict`` where the encoder cannot be had, and
    ``Busy`` while another process builds a generation.
    """
    with ingestion.database.read() as session:
        row = get_collection(session, collection)
        ready = select(func.count()).where(Document.collection_id == row.id, Document.version > 0)
        documents = session.scalar(ready) or 0
    counts = {"scanned": documents, "modified": 0}

    def filling(done: int, total: int) -> None:
        counts["modified"] = max(0, documents - (total - done))
        progress("storing", counts)

    def indexing(_done: int, _total: int) -> None:
        progress("indexing", counts)

    try:
        build(
            ingestion,
            files,
            collection,
            RecallTarget(),
            chunking=settings,
            keep_encoder=True,
            live=True,
            filling=filling,
            indexing_=indexing,
        )
    except Conflict as conflict:
        if conflict.code != "build_running":
            raise
        raise Busy(conflict.detail) from conflict
    return counts | {"modified": documents}
