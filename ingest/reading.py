"""Documents as callers see them: one, a page of them, and the extracted text of a version."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from infra.clock import iso
from infra.errors import NotFound
from infra.tables import Collection, Document, DocumentVersion, ExtractedText
from ingest.commit import find_document
from retrieval.access import Access

_BATCH = 200


def _absent() -> NotFound:
    return NotFound("There is no such document.", code="document_not_found")


def get_document(session: Session, collection: Collection, external_id: str, access: Access) -> Document:
    """A document by its external id; raises ``NotFound`` if it is absent or not to be read by the caller."""
    document = find_document(session, collection.id, external_id)
    if document is None or not access.may_read(document.allowed_groups):
        raise NotFound("There is no such document in this collection.", code="document_not_found")
    return document


def get_document_by_id(session: Session, document_id: str, access: Access) -> Document:
    """A document by its id; raises ``NotFound`` if it is absent or not to be read by the caller."""
    document = session.get(Document, document_id)
    if document is None or not access.may_read(document.allowed_groups):
        raise _absent()
    return document


def list_documents(
    session: Session, collection: Collection, access: Access, limit: int, after: str | None
) -> tuple[list[Document], str | None]:
    """A page of documents by external id, and the id to go on after (``None`` at the end)."""
    found: list[Document] = []
    last = after
    while True:
        query = select(Document).where(Document.collection_id == collection.id)
        if last is not None:
            query = query.where(Document.external_id > last)
        batch = session.scalars(query.order_by(Document.external_id).limit(_BATCH)).all()
        for document in batch:
            last = document.external_id
            if access.may_read(document.allowed_groups):
                if len(found) == limit:
                    return found, found[-1].external_id
                found.append(document)
        if len(batch) < _BATCH:
            return found, None


def document_text(session: Session, document_id: str, version: int | None, access: Access) -> str:
    """The extracted text of a version (default: the current one), exactly as citations count in it."""
    document = get_document_by_id(session, document_id, access)
    text = session.scalar(
        select(ExtractedText.text)
        .join(DocumentVersion, DocumentVersion.text_sha256 == ExtractedText.sha256)
        .where(
            DocumentVersion.document_id == document.id,
            DocumentVersion.number == (document.version if version is None else version),
        )
    )
    if text is None:
        raise NotFound("This document has no such version.", code="version_not_found")
    return text


def describe(document: Document) -> dict[str, Any]:
    """A document as callers see it."""
    described: dict[str, Any] = {
        "id": document.id,
        "external_id": document.external_id,
        "version": document.version,
        "caller_version": document.caller_version,
        "title": document.title,
        "url": document.url,
        "mime": document.mime,
        "metadata": document.meta,
        "allowed_groups": document.allowed_groups,
        "status": document.status,
        "chunks": document.chunk_count,
        "created_at": iso(document.created_at),
        "updated_at": iso(document.updated_at),
    }
    if document.error is not None:
        described["error"] = {"code": document.error_code, "detail": document.error}
    return described
