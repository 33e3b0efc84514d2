"""One transaction: a document's new version becomes the one that searchers see, or nothing changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import delete, exists, insert, select, update
from sqlalchemy.orm import Session

from infra.batched import batched
from infra.clock import iso, now
from infra.errors import NotFound
from infra.ids import new_id
from infra.tables import (
    AnswerRecord,
    AnswerSource,
    Change,
    Collection,
    Document,
    DocumentVersion,
    ExtractedText,
    Suggestion,
)
from ingest.chunk_rows import drop_unused_vectors, note_put, remove_chunks, store_chunks
from ingest.document import DocumentInput
from ingest.elements import ParsedDocument
from ingest.prepare import Prepared
from retrieval.redaction import redact

_BATCH = 500


def commit_document(
    session: Session,
    collection: Collection,
    prepared: Prepared,
    encoder: str,
    vectors: Mapping[str, bytes],
    document: Document | None,
) -> Document:
    """Store ``prepared`` as the newest version of ``document``, its row (``None``: there is none yet).

    Call inside one ``Database.write()``. ``vectors`` holds the new embeddings (float32 bytes by hash); those not in it must be
    stored already, else ``VectorVanished`` is raised and the caller encodes again.
    """
    moment = now()
    text_sha = _store_text(session, prepared)
    if document is None:
        document = _new_document(collection.id, prepared.external_id, prepared.parsed.mime)
    removed = remove_chunks(session, document.id) if document.version else set()
    document.version += 1
    document.status = "ready"
    document.error_code = document.error = None
    document.source_hash = prepared.source_hash
    document.title = prepared.title
    document.url = prepared.attributes.url
    document.mime = prepared.parsed.mime
    document.meta = dict(prepared.attributes.metadata)
    groups = prepared.attributes.allowed_groups
    document.allowed_groups = None if groups is None else sorted(set(groups))
    document.caller_version = prepared.attributes.version
    document.updated_at = moment
    document.chunking = prepared.chunking
    document.chunk_count = len(prepared.chunks)
    session.add(document)
    session.flush()
    session.add(
        DocumentVersion(
            document_id=document.id,
            number=document.version,
            text_sha256=text_sha,
            source_hash=prepared.source_hash,
            title=document.title,
            url=document.url,
            mime=document.mime,
            meta=document.meta,
            caller_version=document.caller_version,
            created_at=moment,
        )
    )
    store_chunks(session, document, collection.chunk_set, prepared.chunks, encoder, vectors)
    drop_unused_vectors(session, removed)
    note_put(session, document)
    if collection.encoder is None:
        collection.encoder = encoder
    return document


def commit_failure(session: Session, collection: Collection, item: DocumentInput, code: str, detail: str) -> Document:
    """Note that ``item`` could not be read, and why; an older version stays as it is."""
    document = note_pending(session, collection, item)
    if document.version == 0:
        document.status = "failed"
    document.error_code, document.error = code, detail
    document.updated_at = now()
    return document


def note_pending(session: Session, collection: Collection, item: DocumentInput) -> Document:
    """The row of a document that is on its way in; one without a ready version takes the new attributes at once.

    So a restricted document's name is hidden from the first moment.
    """
    document = find_document(session, collection.id, item.external_id)
    if document is None:
        document = _new_document(collection.id, item.external_id, item.content_type or "application/octet-stream")
        session.add(document)
    if document.version == 0:
        document.status = "pending"
        document.title, document.url = item.attributes.title, item.attributes.url
        document.meta = dict(item.attributes.metadata)
        groups = item.attributes.allowed_groups
        document.allowed_groups = None if groups is None else sorted(set(groups))
        session.flush()
    return document


def _new_document(collection_id: str, external_id: str, mime: str) -> Document:
    moment = now()
    return Document(
        id=new_id("doc"),
        collection_id=collection_id,
        external_id=external_id,
        version=0,
        status="pending",
        mime=mime,
        meta={},
        chunk_count=0,
        created_at=moment,
        updated_at=moment,
    )


def delete_document(session: Session, collection: Collection, external_id: str) -> dict[str, Any]:
    """Remove a document with all of its versions, and give the receipt; raises ``NotFound``."""
    document = find_document(session, collection.id, external_id)
    if document is None:
        raise NotFound("There is no such document in this collection.", code="document_not_found")
    versions = session.scalars(
        select(DocumentVersion.text_sha256).where(DocumentVersion.document_id == document.id)
    ).all()
    removed = remove_chunks(session, document.id)
    receipt: dict[str, Any] = {
        "document_id": document.id,
        "external_id": external_id,
        "versions": len(versions),
        "chunks": document.chunk_count,
        "deleted_at": iso(now()),
    }
    session.execute(delete(DocumentVersion).where(DocumentVersion.document_id == document.id))
    session.delete(document)
    session.flush()
    drop_unused_texts(session, set(versions))
    drop_unused_vectors(session, removed)
    _redact_answers(session, document.id)
    change = Change(
        collection_id=collection.id, document_id=document.id, kind="delete", detail=receipt, created_at=now()
    )
    session.add(change)
    session.flush()
    receipt = {**receipt, "seq": change.seq}
    change.detail = receipt
    return receipt


def find_document(session: Session, collection_id: str, external_id: str) -> Document | None:
    """The document's row, whatever its status."""
    return session.scalar(
        select(Document).where(Document.collection_id == collection_id, Document.external_id == external_id)
    )


def find_documents(session: Session, collection_id: str, external_ids: Iterable[str]) -> dict[str, Document]:
    """The documents' rows by external id, whatever their status; those that there are."""
    found: dict[str, Document] = {}
    for part in batched(sorted(external_ids), _BATCH):
        rows = session.scalars(
            select(Document).where(Document.collection_id == collection_id, Document.external_id.in_(part))
        )
        found.update((row.external_id, row) for row in rows)
    return found


def has_text(session: Session, document: Document, parsed: ParsedDocument) -> bool:
    """Whether the document's version has exactly the text and elements of ``parsed``."""
    stored = session.scalar(
        select(DocumentVersion.text_sha256).where(
            DocumentVersion.document_id == document.id, DocumentVersion.number == document.version
        )
    )
    return stored == _text_hash(parsed)[0]


def _text_hash(parsed: ParsedDocument) -> tuple[str, list[list[Any]]]:
    elements = [[e.kind.value, e.start, e.end, e.level, e.page] for e in parsed.elements]
    # The elements are part of the key: the same text can come with other headings or pages.
    return hashlib.sha256(f"{elements}\0{parsed.text}".encode()).hexdigest(), elements


def _store_text(session: Session, prepared: Prepared) -> str:
    digest, elements = _text_hash(prepared.parsed)
    if session.scalar(select(ExtractedText.sha256).where(ExtractedText.sha256 == digest)) is None:
        session.execute(insert(ExtractedText), [{"sha256": digest, "text": prepared.parsed.text, "elements": elements}])
    return digest


def drop_unused_texts(session: Session, hashes: set[str]) -> None:
    """Remove those extracted texts that no version has any more."""
    for part in batched(sorted(hashes), _BATCH):
        used = exists().where(DocumentVersion.text_sha256 == ExtractedText.sha256)
        session.execute(
            delete(ExtractedText)
            .where(ExtractedText.sha256.in_(part), ~used)
            .execution_options(synchronize_session=False)
        )


def _redact_answers(session: Session, document_id: str) -> None:
    """Answers that quote a deleted document lose their text with it."""
    records = session.scalars(
        select(AnswerRecord)
        .join(AnswerSource, AnswerSource.answer_id == AnswerRecord.id)
        .where(AnswerSource.document_id == document_id)
    ).all()
    for record in records:
        record.body, record.redacted = redact(record.body), True
        record.request = {**record.request, "sources": []}
    redacted = [record.id for record in records]
    session.execute(update(Suggestion).where(Suggestion.answer_id.in_(redacted)).values(draft=""))
    session.execute(delete(AnswerSource).where(AnswerSource.document_id == document_id))
