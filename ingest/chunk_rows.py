"""The chunks of a document and their vectors as rows: one place writes and removes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import delete, exists, insert, select
from sqlalchemy.orm import Session

from infra.batched import batched
from infra.clock import now
from infra.ids import new_id
from infra.tables import Change, ChunkRow, Document, Vector
from ingest.prepare import PreparedChunk

_BATCH = 500


class VectorVanished(Exception):  # noqa: N818 - a signal to encode again, not an error for a caller
    """A vector that was there when the document was prepared has been removed since."""


def replace_chunks(
    session: Session,
    document: Document,
    chunk_set: int,
    chunks: Sequence[PreparedChunk],
    chunking: str,
    encoder: str,
    vectors: Mapping[str, bytes],
) -> None:
    """Give the document's version ``chunks``, cut with the settings that ``chunking`` names, in place of those in the live set.

    Call inside one ``Database.write()``; ``vectors`` and ``VectorVanished`` as for ``store_chunks``.
    """
    removed = remove_chunks(session, document.id, chunk_set)
    document.chunking = chunking
    document.chunk_count = len(chunks)
    store_chunks(session, document, chunk_set, chunks, encoder, vectors)
    drop_unused_vectors(session, removed)
    note_put(session, document)


def store_chunks(
    session: Session,
    document: Document,
    chunk_set: int,
    chunks: Sequence[PreparedChunk],
    encoder: str,
    vectors: Mapping[str, bytes],
) -> None:
    """Store the chunks of a document that has none in this set.

    In a set that is not live searches notice nothing. Call inside one ``Database.write()``; ``vectors`` holds new embeddings
    (float32 bytes by hash): those not in it must be stored already, else ``VectorVanished`` is raised, to encode again.
    """
    _store_vectors(session, encoder, {piece.vector_hash for piece in chunks}, vectors)
    # A part at a time: the rows of a large document are many times as large as its text.
    for start in range(0, len(chunks), _BATCH):
        session.execute(
            insert(ChunkRow),
            [
                {
                    "id": new_id("chk"),
                    "document_id": document.id,
                    "chunk_set": chunk_set,
                    "version": document.version,
                    "ordinal": ordinal,
                    "char_start": piece.chunk.start,
                    "char_end": piece.chunk.end,
                    "heading_path": list(piece.chunk.heading_path),
                    "page": piece.chunk.page,
                    "context": piece.chunk.context,
                    "vector_hash": piece.vector_hash,
                }
                for ordinal, piece in enumerate(chunks[start : start + _BATCH], start)
            ],
        )


def note_put(session: Session, document: Document) -> None:
    """Number the change of a document's live chunks, for the indexes to follow."""
    session.add(Change(collection_id=document.collection_id, document_id=document.id, kind="put", created_at=now()))


def remove_chunks(session: Session, document_id: str, chunk_set: int | None = None) -> set[str]:
    """Remove a document's chunks, of one set or of all; gives the hashes of their vectors."""
    mine = [ChunkRow.document_id == document_id]
    if chunk_set is not None:
        mine.append(ChunkRow.chunk_set == chunk_set)
    hashes = set(session.scalars(select(ChunkRow.vector_hash).where(*mine)))
    session.execute(delete(ChunkRow).where(*mine))
    return hashes


def _store_vectors(session: Session, encoder: str, needed: set[str], vectors: Mapping[str, bytes]) -> None:
    present = stored_vectors(session, encoder, needed)
    missing = needed - present
    if not missing <= vectors.keys():
        raise VectorVanished
    for part in batched(sorted(missing), _BATCH):
        session.execute(
            insert(Vector), [{"encoder": encoder, "hash": digest, "data": vectors[digest]} for digest in part]
        )


def stored_vectors(session: Session, encoder: str, hashes: Iterable[str]) -> set[str]:
    """Those of ``hashes`` whose vector by ``encoder`` is stored."""
    found: set[str] = set()
    for part in batched(sorted(hashes), _BATCH):
        found.update(session.scalars(select(Vector.hash).where(Vector.encoder == encoder, Vector.hash.in_(part))))
    return found


def drop_unused_vectors(session: Session, hashes: set[str]) -> None:
    """Remove those vectors that no chunk has any more."""
    for part in batched(sorted(hashes), _BATCH):
        used = exists().where(ChunkRow.vector_hash == Vector.hash)
        session.execute(delete(Vector).where(Vector.hash.in_(part), ~used).execution_options(synchronize_session=False))
