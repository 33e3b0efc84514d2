"""Chunk sets: the chunks of a collection's documents under one encoder and one way of cutting; one set is live.

A set has the number of the generation that it was first made for. Replacing or deleting a document removes its chunks from
every set and gives it new ones in the live set only: a set that is not live is brought up before it becomes so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from infra.tables import ChunkRow, Collection, Document, Generation, Vector

MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class ChunkSet:
    """What a generation's chunks are to be: cut with the settings ``chunking``, whose name is ``fingerprint``, for ``encoder``.

    ``number`` of the set that has them already, or ``None`` for one that has to be made.
    """

    encoder: str
    number: int | None
    chunking: Mapping[str, Any] | None
    fingerprint: str | None


def live_set(session: Session, collection: Collection, encoder: str) -> ChunkSet:
    """The set that searches use; ``encoder`` for a collection that has none yet."""
    name = collection.encoder or encoder
    return ChunkSet(name, collection.chunk_set, collection.chunking, fingerprint_of(session, collection))


def lacks(chunk_set: int) -> ColumnElement[bool]:
    """Which documents that can be searched have no chunks in a set."""
    there = exists().where(ChunkRow.document_id == Document.id, ChunkRow.chunk_set == chunk_set)
    return and_(Document.version > 0, ~there)


def lacking(session: Session, collection: Collection, chunk_set: int) -> int:
    """How many documents have to be cut and embedded before a set can be live."""
    query = select(func.count()).select_from(Document).where(Document.collection_id == collection.id, lacks(chunk_set))
    return session.scalar(query) or 0


def make_live(session: Session, collection: Collection, generation: Generation) -> None:
    """Make the set of ``generation``, which lacks nothing, the one that searches and documents show."""
    count = select(func.count()).where(ChunkRow.document_id == Document.id, ChunkRow.chunk_set == generation.chunk_set)
    session.execute(
        update(Document)
        .where(Document.collection_id == collection.id, Document.version > 0)
        .values(chunk_count=count.scalar_subquery(), chunking=generation.fingerprint)
        .execution_options(synchronize_session=False)
    )
    collection.chunk_set, collection.encoder = generation.chunk_set, generation.encoder
    collection.chunking = generation.chunking


def fingerprint_of(session: Session, collection: Collection) -> str | None:
    """The name of the settings that the live set was cut with; ``None`` where documents have none, or there are none.

    ``MIXED`` where they were not all cut alike: the defaults were others once.
    """
    query = select(Document.chunking).where(Document.collection_id == collection.id, Document.version > 0)
    names = session.scalars(query.distinct().limit(2)).all()
    return MIXED if len(names) > 1 else next(iter(names), None)


def remove_unused_sets(session: Session, collection: Collection, encoder: str) -> int:
    """Remove the chunks of sets that no generation has, and those vectors of ``encoder`` that then no set has.

    Gives how many chunks were removed.
    """
    session.flush()
    kept = {collection.chunk_set} | set(
        session.scalars(select(Generation.chunk_set).where(Generation.collection_id == collection.id))
    )
    mine = select(Document.id).where(Document.collection_id == collection.id)
    unused_chunks = (ChunkRow.document_id.in_(mine), ChunkRow.chunk_set.not_in(kept))
    removed = session.scalar(select(func.count()).select_from(ChunkRow).where(*unused_chunks)) or 0
    if removed:
        session.execute(delete(ChunkRow).where(*unused_chunks).execution_options(synchronize_session=False))
        session.execute(
            delete(Vector).where(Vector.encoder == encoder, ~_wanted()).execution_options(synchronize_session=False)
        )
        # A text of which the removed set had the only chunks leaves no other encoder's vector behind either.
        unused = ~exists().where(ChunkRow.vector_hash == Vector.hash)
        session.execute(delete(Vector).where(unused).execution_options(synchronize_session=False))
    return removed


def _wanted() -> ColumnElement[bool]:
    """Whether a chunk of a set with the vector's encoder has its text."""
    chunk, document, owner, kept = aliased(ChunkRow), aliased(Document), aliased(Collection), aliased(Generation)
    live = and_(owner.encoder == Vector.encoder, owner.chunk_set == chunk.chunk_set)
    other = (
        exists()
        .where(kept.collection_id == owner.id, kept.chunk_set == chunk.chunk_set, kept.encoder == Vector.encoder)
        .correlate_except(kept)
    )
    return (
        select(chunk.key)
        .join(document, document.id == chunk.document_id)
        .join(owner, owner.id == document.collection_id)
        .where(chunk.vector_hash == Vector.hash, or_(live, other))
        .correlate(Vector)
        .exists()
    )
