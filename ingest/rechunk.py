"""Cutting again: the documents of a collection whose chunking settings were changed get new chunks of the text they have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from infra.tables import Document, DocumentVersion, ExtractedText
from ingest.chunk_rows import VectorVanished, replace_chunks
from ingest.chunking import ChunkingSettings, cut_with, read_chunking
from ingest.collections import cut_otherwise, get_collection
from ingest.elements import Element, ElementKind, ParsedDocument
from ingest.embedding import encode_missing
from ingest.pipeline import Ingestion
from ingest.prepare import PreparedChunk, cut

# Documents in one transaction: few, so that memory stays flat and no search or write waits long.
_BATCH = 8
_ATTEMPTS = 5

# Is called in the transaction of each batch, with the counts so far, and may write there. What it raises undoes the batch and
# ends the work.
Progress = Callable[[Session, Mapping[str, int]], None]


@dataclass(frozen=True, slots=True)
class _Recut:
    """A document version and its new chunks."""

    document_id: str
    version: int
    chunks: tuple[PreparedChunk, ...]


def rechunk(ingestion: Ingestion, collection_name: str, progress: Progress | None = None) -> dict[str, int]:
    """Cut all documents that were cut with other settings than the collection's, and embed what that makes new.

    Nothing is parsed, versions keep their numbers, and searches see each document in its old chunks or its new ones. It can
    be stopped anywhere and called again: what is done is not done twice. Gives ``scanned`` (documents of the collection),
    ``modified`` (cut again) and ``unchanged`` (cut so already, or replaced or deleted meanwhile), which add up to the first.
    Raises ``NotFound`` if there is no such collection (any more), and ``Conflict`` if its vectors come from another encoder.
    """
    counts = {"scanned": 0, "modified": 0, "unchanged": 0}
    with ingestion.database.read() as session:
        collection = get_collection(session, collection_name)
        ready = (Document.collection_id == collection.id, Document.version > 0)
        settings = read_chunking(collection.chunking)
        counts["scanned"] = session.scalar(select(func.count()).where(*ready)) or 0
        left = session.scalar(select(func.count()).where(*ready, cut_otherwise(settings))) or 0
        counts["unchanged"] = counts["scanned"] - left
    while _batch(ingestion, collection_name, counts, progress):
        pass
    # Some may have been deleted or replaced while this ran, or cut twice because the settings were changed again.
    counts["modified"] = min(counts["modified"], counts["scanned"])
    counts["unchanged"] = counts["scanned"] - counts["modified"]
    return counts


def _batch(ingestion: Ingestion, collection_name: str, counts: dict[str, int], progress: Progress | None) -> bool:
    """Cut the next few documents; False if none is left."""
    for attempt in range(_ATTEMPTS):
        with ingestion.database.read() as session:
            collection = get_collection(session, collection_name)
            encoder = ingestion.encoder_of(collection)
            settings = read_chunking(collection.chunking)
            found = _next(session, collection.id, settings)
        if not found:
            return False
        recut = [_Recut(id_, version, cut(parsed, encoder, settings)) for id_, version, parsed in found]
        # After a first attempt that lost a vector to somebody else's delete, nothing stored is counted on.
        pieces = [piece for each in recut for piece in each.chunks]
        vectors = encode_missing(ingestion.database, encoder, pieces, all_vectors=attempt > 0)
        try:
            with ingestion.database.write() as session:
                done = _commit(session, collection_name, settings, recut, encoder.name, vectors)
                now_counted = counts | {"modified": counts["modified"] + done}
                if progress is not None:
                    progress(session, now_counted)
        except VectorVanished:
            continue
        counts.update(now_counted)
        return True
    raise RuntimeError("vectors kept vanishing while documents were cut again")


def _next(session: Session, collection_id: str, settings: ChunkingSettings) -> list[tuple[str, int, ParsedDocument]]:
    rows = session.execute(
        select(Document, ExtractedText)
        .join(
            DocumentVersion, (DocumentVersion.document_id == Document.id) & (DocumentVersion.number == Document.version)
        )
        .join(ExtractedText, ExtractedText.sha256 == DocumentVersion.text_sha256)
        .where(Document.collection_id == collection_id, Document.version > 0, cut_otherwise(settings))
        .order_by(Document.id)
        .limit(_BATCH)
    )
    return [(document.id, document.version, parsed_of(document, stored)) for document, stored in rows]


def parsed_of(document: Document, stored: ExtractedText) -> ParsedDocument:
    """A document as it was parsed, from what is stored of its version."""
    elements = tuple(
        Element(ElementKind(kind), start, end, level, page) for kind, start, end, level, page in stored.elements
    )
    return ParsedDocument(stored.text, elements, document.mime, document.title)


def _commit(
    session: Session,
    collection_name: str,
    settings: ChunkingSettings,
    recut: list[_Recut],
    encoder: str,
    vectors: Mapping[str, bytes],
) -> int:
    """Replace the chunks of those documents that are still as they were read, and say how many they are."""
    collection = get_collection(session, collection_name)
    if read_chunking(collection.chunking) != settings or collection.encoder not in (None, encoder):
        return 0
    done = 0
    for each in recut:
        document = session.get(Document, each.document_id)
        if document is None or document.version != each.version or cut_with(document.chunking) == settings.fingerprint:
            continue
        replace_chunks(session, document, collection.chunk_set, each.chunks, settings.fingerprint, encoder, vectors)
        done += 1
    return done
