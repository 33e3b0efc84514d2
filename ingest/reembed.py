"""Embedding again: the texts of a collection get the vectors of another encoder, beside those that they have."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import and_, exists, func, insert, select
from sqlalchemy.orm import Session

from infra.database import Database
from infra.errors import Conflict
from infra.tables import ChunkRow, Document, DocumentVersion, ExtractedText, Vector
from ingest.collections import get_collection
from ingest.commit import stored_vectors
from ingest.elements import encoded_text
from ingest.lanes import Lanes
from retrieval.encoders.encoder import Encoder

# Texts of one call to the encoder, and of one transaction.
_BATCH = 512


@dataclass(frozen=True, slots=True)
class Embedded:
    """What was done: of ``texts`` that the collection's chunks have, ``embedded`` were new to the encoder.

    ``vanished`` were embedded for nothing: the last chunk that had them was replaced or deleted meanwhile.
    """

    texts: int
    embedded: int
    vanished: int


# Is told, after each transaction, how many texts of how many have the encoder's vectors.
Progress = Callable[[int, int], None]


def embed_missing(
    database: Database, collection: str, encoder: Encoder, *, batches: int = 1, progress: Progress | None = None
) -> Embedded:
    """Embed all texts of ``collection`` of which no vector by ``encoder`` is stored, whatever encoder the collection has.

    Each text is embedded once, however many chunks have it, and stored in a transaction of some hundred; nothing else is
    changed, so searches go on as before. It can be stopped anywhere and called again: what is stored is not embedded again.
    ``batches`` are embedded side by side: those of a cluster's ``Pace``. Documents that come meanwhile may be missed: call
    again until there is nothing left to embed.

    Raises ``NotFound`` if there is no such collection, ``Conflict`` if a chunk is longer than the encoder's window (the
    documents must then be cut again for it), and as the encoder.
    """
    with database.read() as session:
        collection_id = get_collection(session, collection).id
        texts = _count(session, collection_id, None)
        missing = _count(session, collection_id, encoder.name)
    done = {"embedded": 0, "vanished": 0}
    turn = threading.Lock()

    def embed(found: Mapping[str, str]) -> None:
        try:
            vectors = encoder.encode(list(found.values()), kind="document")
        except ValueError as error:
            raise Conflict(
                f"Chunks of collection {collection!r} are longer than the window of encoder {encoder.name!r} "
                f"({encoder.max_tokens} tokens): its documents must be cut again for it.",
                code="chunk_too_long",
            ) from error
        rows = {digest: vector.tobytes() for digest, vector in zip(found, vectors, strict=True)}
        with turn:
            with database.write() as session:
                stored = _store(session, encoder.name, rows)
            done["embedded"] += stored
            done["vanished"] += len(rows) - stored
            if progress is not None:
                progress(texts - missing + done["embedded"] + done["vanished"], texts)

    with Lanes(batches) as lanes:
        after = ""
        while True:
            with database.read() as session:
                found = _next(session, collection_id, encoder.name, after)
            if not found:
                break
            after = max(found)
            lanes.run(partial(embed, found))
    return Embedded(texts, done["embedded"], done["vanished"])


def _count(session: Session, collection_id: str, without: str | None) -> int:
    query = (
        select(func.count(ChunkRow.vector_hash.distinct()))
        .join(Document, Document.id == ChunkRow.document_id)
        .where(Document.collection_id == collection_id)
    )
    if without is not None:
        query = query.where(~exists().where(Vector.encoder == without, Vector.hash == ChunkRow.vector_hash))
    return session.scalar(query) or 0


def _next(session: Session, collection_id: str, encoder: str, after: str) -> dict[str, str]:
    """The next texts by their hash, which has none of ``encoder``'s vectors and follows ``after``."""
    hashes = (
        select(ChunkRow.vector_hash)
        .join(Document, Document.id == ChunkRow.document_id)
        .where(
            Document.collection_id == collection_id,
            ChunkRow.vector_hash > after,
            ~exists().where(Vector.encoder == encoder, Vector.hash == ChunkRow.vector_hash),
        )
        .distinct()
        .order_by(ChunkRow.vector_hash)
        .limit(_BATCH)
    )
    # A text may stand in any number of chunks: one of them has it to be read from.
    chunks = (
        select(func.min(ChunkRow.key))
        .where(ChunkRow.vector_hash.in_(list(session.scalars(hashes))))
        .group_by(ChunkRow.vector_hash)
    )
    length = ChunkRow.char_end - ChunkRow.char_start
    rows = session.execute(
        select(ChunkRow.vector_hash, ChunkRow.context, func.substr(ExtractedText.text, ChunkRow.char_start + 1, length))
        .join(
            DocumentVersion,
            and_(DocumentVersion.document_id == ChunkRow.document_id, DocumentVersion.number == ChunkRow.version),
        )
        .join(ExtractedText, ExtractedText.sha256 == DocumentVersion.text_sha256)
        .where(ChunkRow.key.in_(chunks))
    )
    found = {row[0]: encoded_text(row[1], row[2]) for row in rows}
    for digest, text in found.items():
        if hashlib.sha256(text.encode()).hexdigest() != digest:
            raise RuntimeError(f"the text of chunks {digest} is not the one that was embedded for them")
    return found


def _store(session: Session, encoder: str, vectors: Mapping[str, bytes]) -> int:
    """Store those vectors that a chunk still wants and nobody else has stored; how many are wanted."""
    wanted = _wanted(session, list(vectors))
    new = wanted - stored_vectors(session, encoder, wanted)
    if new:
        session.execute(
            insert(Vector),
            [{"encoder": encoder, "hash": digest, "data": vectors[digest]} for digest in sorted(new)],
        )
    return len(wanted)


def _wanted(session: Session, hashes: Sequence[str]) -> set[str]:
    return set(session.scalars(select(ChunkRow.vector_hash).where(ChunkRow.vector_hash.in_(hashes)).distinct()))
