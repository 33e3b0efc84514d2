"""Integrity: does every index hold exactly the chunks that the database says, and the database exactly what it needs?"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from infra.database import Database
from infra.tables import ChunkRow, Document, Vector
from retrieval.store import CollectionState, find_collections
from retrieval.views import Views


@dataclass(frozen=True, slots=True)
class CollectionIntegrity:
    """Counts for one collection.

    ``missing``: chunks without a stored vector, or not in one of the indexes. ``orphaned``: entries of an index that belong
    to no chunk. Both are 0 when all is well.
    """

    name: str
    documents: int
    chunks: int
    vectors: int
    lexical: int
    missing: int
    orphaned: int


@dataclass(frozen=True, slots=True)
class Integrity:
    """``ok`` when nothing is missing or orphaned; ``orphaned_vectors`` are stored embeddings that no chunk uses."""

    ok: bool
    collections: tuple[CollectionIntegrity, ...]
    orphaned_vectors: int


def check_integrity(database: Database, index: Views) -> Integrity:
    """Compare every collection's live chunks with its indexes, after bringing these up to date; raises as ``Views.current``."""
    with database.read() as session:
        states = find_collections(session, None)
        expected = {
            state.id: (
                _document_ids(session, state.id),
                _chunk_keys(session, state),
                _unembedded(session, state),
            )
            for state in states
        }
        unused = ~select(ChunkRow.key).where(ChunkRow.vector_hash == Vector.hash).exists()
        orphaned_vectors = session.scalar(select(func.count()).select_from(Vector).where(unused)) or 0
    index.forget(index.followed() - {state.id for state in states})
    rows = []
    for state in states:
        documents, keys, unembedded = expected[state.id]
        view = index.current([state])[0]
        dense, lexical = set(view.vector_keys().tolist()), set(view.lexical_keys().tolist())
        if view.documents != len(documents) or dense != keys - unembedded or lexical != keys:
            # Somebody may have committed since the snapshot above: look at both again before crying wolf.
            with database.read() as session:
                later = find_collections(session, [state.name])[0]
                documents, keys = _document_ids(session, state.id), _chunk_keys(session, later)
                unembedded = _unembedded(session, later)
                view = index.current([later])[0]
                dense, lexical = set(view.vector_keys().tolist()), set(view.lexical_keys().tolist())
        absent = (keys - dense) | (keys - lexical) | unembedded
        extra = (dense - keys) | (lexical - keys)
        stray = set(view.document_ids()) ^ documents
        rows.append(
            CollectionIntegrity(
                name=state.name,
                documents=len(documents),
                chunks=len(keys),
                vectors=len(dense),
                lexical=len(lexical),
                missing=len(absent),
                orphaned=len(extra) + len(stray),
            )
        )
    ok = not orphaned_vectors and not any(row.missing or row.orphaned for row in rows)
    return Integrity(ok, tuple(rows), orphaned_vectors)


def _document_ids(session: Session, collection_id: str) -> set[str]:
    query = select(Document.id).where(Document.collection_id == collection_id, Document.version > 0)
    return set(session.scalars(query))


def _chunk_keys(session: Session, state: CollectionState) -> set[int]:
    return set(session.scalars(_live(state)))


def _unembedded(session: Session, state: CollectionState) -> set[int]:
    stored = select(Vector.hash).where(Vector.hash == ChunkRow.vector_hash, Vector.encoder == state.encoder).exists()
    return set(session.scalars(_live(state).where(~stored)))


def _live(state: CollectionState) -> Select[int]:
    """The keys of a collection's live chunks."""
    query = select(ChunkRow.key).join(Document, Document.id == ChunkRow.document_id)
    return query.where(Document.collection_id == state.id, ChunkRow.chunk_set == state.chunk_set)
