"""Storing documents: at once while the caller waits, or by a job."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from api.caller import Caller
from api.services import Services
from infra.errors import Busy, FootnoteError, NotFound, Unavailable, Unprocessable, Unsupported
from infra.telemetry import observe_ingested
from ingest.collections import get_collection
from ingest.commit import find_document, note_pending
from ingest.document import DocumentInput, Ingested, Outcome
from ingest.pipeline import OUT_OF_MEMORY, ingest_batch
from ingest.reading import describe, get_document
from ingest.uploads import forget_unawaited, submit_uploads, supersede
from retrieval.access import Access


@contextlib.contextmanager
def kept_if_queued(services: Services, blobs: Sequence[str]) -> Iterator[None]:
    """Drop ``blobs`` if the block, which gives them to a job, fails for certain.

    When the connection to the database broke, or the task was cancelled, the job may be there: then they are left to it, or to
    the next sweep.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(error, Unavailable) or isinstance(error, Busy):
            services.spool.remove(blobs)
        raise


def store_now(services: Services, access: Access, name: str, item: DocumentInput, blob: str | None) -> dict[str, Any]:
    """Store ``item`` and show the document; ``blob`` has its text if it has neither text nor path. Raises what it failed of."""
    if item.text is None and item.path is None:
        text = services.spool.path(blob or "").read_bytes().decode("utf-8", "surrogatepass")
        item = replace(item, text=text)
    with services.database.write() as session:
        collection = get_collection(session, name)
        _check_replaceable(find_document(session, collection.id, item.external_id), access)
        supersede(session, collection.id, [item.external_id])
        note_pending(session, collection, item)
    try:
        result = ingest_batch(services.ingestion, name, [item])[0]
    except Exception:
        # It is not on its way any more. If this cannot be noted either, the daily maintenance does it.
        with contextlib.suppress(FootnoteError), services.database.write() as session:
            forget_unawaited(session, collection_id=collection.id, external_id=item.external_id)
        raise
    observe_ingested(result.outcome.value)
    if result.outcome is Outcome.FAILED:
        raise failure(result)
    with services.database.read() as session:
        # Not by the caller's access: it may store what it must not read, and gets the receipt for it.
        return describe(get_document(session, get_collection(session, name), item.external_id, Access(None)))


def failure(result: Ingested) -> FootnoteError:
    """The error for a document that could not be read."""
    kind = _FAILURES.get(result.code or "", Unprocessable)
    return kind(result.detail or "The document could not be read.", code=result.code)


_FAILURES: dict[str, type[FootnoteError]] = {"unsupported_format": Unsupported, OUT_OF_MEMORY: Unavailable}


def queue(services: Services, caller: Caller, name: str, items: list[tuple[DocumentInput, str]]) -> dict[str, Any]:
    """Give ``items``, each with the name of its spooled bytes, to a job, and show the job."""
    with services.database.write() as session:
        collection = get_collection(session, name)
        for item, _ in items:
            _check_replaceable(find_document(session, collection.id, item.external_id), caller.access)
        job = submit_uploads(session, collection, items, caller.name)
        job_id = job.id
    services.wake()
    return {"job_id": job_id}


def _check_replaceable(document: Any, access: Access) -> None:
    if document is not None and not access.may_read(document.allowed_groups):
        raise NotFound("There is no such document that you may replace.", code="document_not_found")
