"""Filling a chunk set: the documents of a collection cut and embedded in another way, beside the chunks that searches see."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from infra.tables import ChunkRow, Document, DocumentVersion, ExtractedText, Generation
from ingest.chunk_rows import VectorVanished, note_put, store_chunks
from ingest.chunking import ChunkingSettings, read_chunking
from ingest.elements import Element, ElementKind, ParsedDocument
from ingest.embedding import encode_missing
from ingest.lanes import Lanes
from ingest.pipeline import Ingestion
from ingest.prepare import PreparedChunk, cut
from retrieval.encoders.encoder import Encoder
from retrieval.encoders.others import encoder_of
from retrieval.generations.chunk_sets import lacks
from retrieval.generations.files import Progress, silent

# Documents in one transaction: few, so that memory stays flat and no search or write waits long.
_BATCH = 16
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class _Owner:
    """What ``encoder_of`` asks of a collection; the encoder is a generation's."""

    name: str
    encoder: str | None


@dataclass(frozen=True, slots=True)
class _Cut:
    """A document version and its chunks in the set."""

    document_id: str
    version: int
    chunks: tuple[PreparedChunk, ...]


def fill(
    ingestion: Ingestion,
    collection: str,
    generation: Generation,
    progress: Progress = silent,
    *,
    noted: bool = False,
) -> int:
    """Give every document that lacks them chunks in the generation's set, and say how many did.

    Nothing is parsed, texts whose vectors are stored are not embedded again, and searches notice nothing. It can be stopped
    anywhere and called again. Documents that come or change meanwhile may be missed: call it again until it gives 0. As many
    batches are worked on side by side as the ingestion's pace says. ``progress`` is told, after each transaction, how many of
    how many documents have their chunks. With ``noted`` the change log has these documents, for an index that follows the set
    already. Raises ``Conflict`` where the encoder cannot be had.
    """
    encoder = encoder_of(_Owner(collection, generation.encoder), ingestion.encoder, ingestion.others)
    settings = read_chunking(generation.chunking)
    with ingestion.database.read() as session:
        query = select(func.count()).select_from(Document)
        total = session.scalar(
            query.where(Document.collection_id == generation.collection_id, lacks(generation.chunk_set))
        )
    done = 0
    turn = threading.Lock()

    def work(found: Sequence[tuple[str, int, ParsedDocument]]) -> None:
        nonlocal done
        stored = _embed(ingestion, encoder, settings, generation.chunk_set, found, noted)
        with turn:
            done += stored
            progress(done, max(done, total or 0))

    with Lanes(ingestion.pace.batches) as lanes:
        after = ""
        while True:
            with ingestion.database.read() as session:
                found = _next(session, generation, after)
            if not found:
                break
            after = found[-1][0]
            lanes.run(partial(work, found))
    return done


def _embed(
    ingestion: Ingestion,
    encoder: Encoder,
    settings: ChunkingSettings,
    chunk_set: int,
    found: Sequence[tuple[str, int, ParsedDocument]],
    noted: bool,
) -> int:
    """Cut, embed and store a batch; how many documents still were as they had been read."""
    made = [_Cut(id_, version, cut(parsed, encoder, settings)) for id_, version, parsed in found]
    pieces = [piece for each in made for piece in each.chunks]
    for attempt in range(_ATTEMPTS):
        # After a first attempt that lost a vector to somebody else's delete, nothing stored is counted on.
        vectors = encode_missing(ingestion.database, encoder, pieces, all_vectors=attempt > 0)
        try:
            with ingestion.turn, ingestion.database.write() as session:
                return sum(_store(session, chunk_set, each, encoder.name, vectors, noted) for each in made)
        except VectorVanished:
            continue
    raise RuntimeError("vectors kept vanishing while documents were embedded again")


def _store(session: Session, chunk_set: int, made: _Cut, encoder: str, vectors: dict[str, bytes], noted: bool) -> bool:
    document = session.get(Document, made.document_id)
    if document is None or document.version != made.version:
        return False
    there = select(ChunkRow.key).where(ChunkRow.document_id == document.id, ChunkRow.chunk_set == chunk_set)
    if session.scalar(there.limit(1)) is not None:
        return False
    store_chunks(session, document, chunk_set, made.chunks, encoder, vectors)
    if noted:
        note_put(session, document)
    return True


def fill_the_rest(session: Session, ingestion: Ingestion, collection: str, generation: Generation) -> None:
    """Do the same for the last few documents, in the caller's transaction: while it holds, no other document can come.

    Of more than a batch, it does the first.
    """
    encoder = encoder_of(_Owner(collection, generation.encoder), ingestion.encoder, ingestion.others)
    settings = read_chunking(generation.chunking)
    found = _next(session, generation, "")
    made = [_Cut(id_, version, cut(parsed, encoder, settings)) for id_, version, parsed in found]
    pieces = [piece for each in made for piece in each.chunks]
    vectors = encode_missing(ingestion.database, encoder, pieces)
    for each in made:
        _store(session, generation.chunk_set, each, encoder.name, vectors, noted=True)


def _parsed(document: Document, stored: ExtractedText) -> ParsedDocument:
    """A document as it was parsed, from what is stored of its version."""
    elements = tuple(
        Element(ElementKind(kind), start, end, level, page) for kind, start, end, level, page in stored.elements
    )
    return ParsedDocument(stored.text, elements, document.mime, document.title)


def _next(session: Session, generation: Generation, after: str) -> list[tuple[str, int, ParsedDocument]]:
    rows = session.execute(
        select(Document, ExtractedText)
        .join(
            DocumentVersion, (DocumentVersion.document_id == Document.id) & (DocumentVersion.number == Document.version)
        )
        .join(ExtractedText, ExtractedText.sha256 == DocumentVersion.text_sha256)
        .where(Document.collection_id == generation.collection_id, Document.id > after, lacks(generation.chunk_set))
        .order_by(Document.id)
        .limit(_BATCH)
    )
    return [(document.id, document.version, _parsed(document, stored)) for document, stored in rows]
