"""What is alike of two databases into which the same documents were ingested: everything but random ids, numbers and times."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from infra.tables import Change, ChunkRow, Document, DocumentVersion, ExtractedText, SourceEntry, Vector


def contents(session: Session) -> dict[str, list[Any]]:
    """The rows of each table, without what differs between any two ingestions, sorted."""
    name = {row.id: row.external_id for row in session.scalars(select(Document))}
    documents = [
        (
            d.external_id,
            d.version,
            d.status,
            d.error_code,
            d.error,
            d.source_hash,
            d.title,
            d.url,
            d.mime,
            repr(d.meta),
            repr(d.allowed_groups),
            d.chunking,
            d.chunk_count,
        )
        for d in session.scalars(select(Document))
    ]
    versions = [
        (name[v.document_id], v.number, v.text_sha256, v.source_hash, v.title, v.url, v.mime, repr(v.meta))
        for v in session.scalars(select(DocumentVersion))
    ]
    chunks = [
        (
            name[c.document_id],
            c.version,
            c.ordinal,
            c.char_start,
            c.char_end,
            tuple(c.heading_path),
            c.page,
            c.context,
            c.vector_hash,
        )
        for c in session.scalars(select(ChunkRow))
    ]
    return {
        "documents": sorted(documents),
        "versions": sorted(versions),
        "texts": sorted((t.sha256, t.text, repr(t.elements)) for t in session.scalars(select(ExtractedText))),
        "chunks": sorted(chunks, key=repr),
        "vectors": sorted((v.encoder, v.hash, v.data) for v in session.scalars(select(Vector))),
        "changes": sorted((name.get(c.document_id, ""), c.kind) for c in session.scalars(select(Change))),
        "entries": sorted((e.key, e.state, repr(e.listed)) for e in session.scalars(select(SourceEntry))),
    }
