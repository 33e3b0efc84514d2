"""What searching reads from the database: collections, the facts and chunks an index is built of, passages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from infra.batched import batched
from infra.clock import now
from infra.errors import NotFound
from infra.tables import (
    Change,
    ChunkRow,
    Collection,
    Document,
    DocumentVersion,
    ExtractedText,
    Generation,
    Vector,
)
from retrieval.access import Access
from retrieval.filters import DocumentFacts
from retrieval.passage import DocumentRef, Passage
from retrieval.ranking.settings import DEFAULT_RANKING, RankingSettings, read_ranking
from retrieval.view import IndexedChunk

# The kind of a change that tells readers to open other files; it changes no document.
INDEX_CHANGE = "index"
_BATCH = 500


@dataclass(frozen=True, slots=True)
class BaseState:
    """Which files hold a collection's live generation, and the last change that is in them."""

    number: int
    revision: int
    base_seq: int
    manifest_sha256: str


@dataclass(frozen=True, slots=True)
class CollectionState:
    """A collection as a search finds it: its generation, the number of its last change, and how it ranks.

    ``base`` is ``None`` where no files were built: the whole index is in memory then. ``chunk_set``: which of its documents'
    chunks are the live ones.
    """

    id: str
    name: str
    generation: int
    encoder: str | None
    seq: int
    language: str | None = None
    base: BaseState | None = None
    ranking: RankingSettings = DEFAULT_RANKING
    chunk_set: int = 1


def find_collections(
    session: Session, names: Sequence[str] | None, pinned: Mapping[str, int] | None = None
) -> list[CollectionState]:
    """The named collections (all, if ``names`` is None); raises ``NotFound`` naming the first that does not exist.

    Of a collection in ``pinned`` it is the generation of that number, live or not: to look at one before it is promoted.
    """
    query = (
        select(Collection, Generation)
        .outerjoin(
            Generation, (Generation.collection_id == Collection.id) & (Generation.number == Collection.generation)
        )
        .order_by(Collection.name)
    )
    if names is not None:
        query = query.where(Collection.name.in_(names))
    pairs = session.execute(query).all()
    rows = [row for row, _ in pairs]
    found = {row.name for row in rows}
    for name in names or ():
        if name not in found:
            raise NotFound(f"There is no collection {name!r}.", code="collection_not_found")
    latest = session.execute(
        select(Change.collection_id, func.max(Change.seq))
        .where(Change.collection_id.in_([row.id for row in rows]))
        .group_by(Change.collection_id)
    )
    seqs: dict[str, int] = {row[0]: row[1] for row in latest}
    states = [
        CollectionState(
            row.id,
            row.name,
            row.generation,
            row.encoder,
            seqs.get(row.id, 0),
            row.language,
            _base_state(generation),
            read_ranking(row.ranking),
            row.chunk_set,
        )
        for row, generation in pairs
    ]
    return [_at(session, state, pinned[state.name]) if pinned and state.name in pinned else state for state in states]


def _at(session: Session, state: CollectionState, number: int) -> CollectionState:
    """The collection as it would be with another generation live; raises ``NotFound``."""
    if number == state.generation:
        return state
    row = session.scalar(select(Generation).where(Generation.collection_id == state.id, Generation.number == number))
    if row is None:
        raise NotFound(
            f"Collection {state.name!r} has no generation {number}: footnote index status lists them.",
            code="generation_not_found",
        )
    return replace(state, generation=number, encoder=row.encoder, base=_base_state(row), chunk_set=row.chunk_set)


def _base_state(generation: Generation | None) -> BaseState | None:
    if generation is None or generation.manifest_sha256 is None:
        return None
    return BaseState(generation.number, generation.revision, generation.base_seq, generation.manifest_sha256)


def latest_seq(session: Session, collection_id: str) -> int:
    """The number of the last change of a collection; 0 if there was none."""
    return session.scalar(select(func.max(Change.seq)).where(Change.collection_id == collection_id)) or 0


def note_index_change(session: Session, collection_id: str) -> None:
    """Number another way of indexing among the collection's changes: a reader knows by it whether what it has is older."""
    session.add(Change(collection_id=collection_id, document_id="", kind=INDEX_CHANGE, created_at=now()))
    session.flush()


def changed_documents(session: Session, collection_id: str, after: int, until: int) -> list[str]:
    """Ids of the documents that changed in ``(after, until]``."""
    return list(
        session.scalars(
            select(Change.document_id)
            .where(
                Change.collection_id == collection_id,
                Change.seq > after,
                Change.seq <= until,
                Change.kind != INDEX_CHANGE,
            )
            .distinct()
        )
    )


def ready_documents(session: Session, collection_id: str) -> list[str]:
    """Ids of all documents that can be searched."""
    return list(
        session.scalars(
            select(Document.id)
            .where(Document.collection_id == collection_id, Document.version > 0)
            .order_by(Document.id)
        )
    )


@dataclass(frozen=True, slots=True)
class IndexedDocument:
    """A document as an index takes it in."""

    facts: DocumentFacts
    chunks: tuple[IndexedChunk, ...]


def load_documents(session: Session, ids: Sequence[str], encoder: str, chunk_set: int = 1) -> list[IndexedDocument]:
    """The current versions of ``ids`` with their chunks of one set; those that are gone or not ready are left out.

    A chunk whose vector is not stored has ``vector=None``: it can be found by its words, and ``/v1/integrity`` counts it.
    """
    loaded: list[IndexedDocument] = []
    for part in batched(ids, _BATCH):
        documents = session.scalars(select(Document).where(Document.id.in_(part), Document.version > 0)).all()
        rows = session.execute(
            select(ChunkRow, Vector.data)
            .outerjoin(Vector, (Vector.hash == ChunkRow.vector_hash) & (Vector.encoder == encoder))
            .where(ChunkRow.document_id.in_(part), ChunkRow.chunk_set == chunk_set)
            .order_by(ChunkRow.document_id, ChunkRow.ordinal)
        ).all()
        extracted = session.execute(
            select(Document.id, ExtractedText.text)
            .join(
                DocumentVersion,
                (DocumentVersion.document_id == Document.id) & (DocumentVersion.number == Document.version),
            )
            .join(ExtractedText, ExtractedText.sha256 == DocumentVersion.text_sha256)
            .where(Document.id.in_(part))
        )
        texts: dict[str, str] = {row[0]: row[1] for row in extracted}
        chunks: dict[str, list[IndexedChunk]] = {}
        ends: dict[str, int] = {}
        for chunk, data in rows:
            repeated = max(0, ends.get(chunk.document_id, 0) - chunk.char_start)
            ends[chunk.document_id] = chunk.char_end
            chunks.setdefault(chunk.document_id, []).append(
                IndexedChunk(
                    key=chunk.key,
                    context=chunk.context,
                    text=texts[chunk.document_id][chunk.char_start : chunk.char_end],
                    page=chunk.page,
                    vector=None if data is None else vector_from_bytes(data),
                    repeated=repeated,
                )
            )
        loaded += [
            IndexedDocument(document_facts(document), tuple(chunks.get(document.id, ()))) for document in documents
        ]
    return loaded


def document_facts(document: Document) -> DocumentFacts:
    """The facts of a document that filters and permissions look at."""
    return DocumentFacts(
        id=document.id,
        external_id=document.external_id,
        title=document.title,
        url=document.url,
        mime=document.mime,
        version=document.version,
        metadata=document.meta,
        allowed_groups=None if document.allowed_groups is None else tuple(document.allowed_groups),
        created_at=document.created_at,
        updated_at=document.updated_at,
    )


def load_passages(session: Session, keys: Iterable[int], access: Access) -> dict[int, Passage]:
    """The passages of chunks ``keys``, read now: what is deleted, replaced or not to be read by the caller is not among them."""
    passages: dict[int, Passage] = {}
    for part in batched(keys, _BATCH):
        length = ChunkRow.char_end - ChunkRow.char_start
        rows = session.execute(
            select(
                ChunkRow, Document, Collection.name, func.substr(ExtractedText.text, ChunkRow.char_start + 1, length)
            )
            .join(Document, Document.id == ChunkRow.document_id)
            .join(Collection, Collection.id == Document.collection_id)
            .join(
                DocumentVersion,
                (DocumentVersion.document_id == Document.id) & (DocumentVersion.number == ChunkRow.version),
            )
            .join(ExtractedText, ExtractedText.sha256 == DocumentVersion.text_sha256)
            .where(ChunkRow.key.in_(part))
        )
        for chunk, document, collection, text in rows:
            if not access.may_read(document.allowed_groups):
                continue
            passages[chunk.key] = Passage(
                chunk_id=chunk.id,
                document=DocumentRef(
                    document.id, document.external_id, document.version, document.title, document.url, document.meta
                ),
                text=text,
                heading_path=tuple(chunk.heading_path),
                page=chunk.page,
                char_start=chunk.char_start,
                char_end=chunk.char_end,
                collection=collection,
                context=chunk.context,
            )
    return passages


def vector_dim(session: Session, encoder: str) -> int | None:
    """The length of an encoder's vectors; ``None`` where none is stored."""
    stored = session.scalar(select(func.length(Vector.data)).where(Vector.encoder == encoder).limit(1))
    return None if stored is None else int(stored) // np.dtype(np.float32).itemsize


def vector_from_bytes(data: bytes) -> NDArray[np.float32]:
    """A stored embedding as a float32 array of shape (dim,)."""
    return np.frombuffer(data, dtype=np.float32)
