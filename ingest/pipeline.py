"""The way of a document: read, parse, chunk, encode, commit. A batch shares one encoder call and one transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from infra.database import Database
from infra.errors import FootnoteError, Unprocessable
from infra.tables import Collection, Document
from ingest.chunking import cut_with, read_chunking
from ingest.collections import get_collection
from ingest.commit import (
    VectorVanished,
    commit_document,
    commit_failure,
    find_document,
    has_text,
    replace_chunks,
    stored_vectors,
)
from ingest.document import DocumentInput, Ingested, Outcome, check_external_id
from ingest.prepare import Parser, Prepared, PreparedChunk, prepare, source_hash
from retrieval.encoder import Encoder
from retrieval.store import check_encoder

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Ingestion:
    """What ingestion needs: where documents go, what reads them and what embeds them."""

    database: Database
    encoder: Encoder
    parser: Parser


class _ChunkingChanged(Exception):  # noqa: N818 - a signal between two functions of this file
    """The collection's chunking settings are others than those that a document of the batch was cut with."""


@dataclass(frozen=True, slots=True)
class _Failure:
    item: DocumentInput
    code: str
    detail: str


def ingest_batch(
    ingestion: Ingestion,
    collection: str,
    items: Sequence[DocumentInput],
    on_commit: Callable[[Session, Sequence[Ingested]], None] | None = None,
) -> list[Ingested]:
    """Store ``items`` (distinct external ids) and say what became of each, in order.

    A document that cannot be read costs only itself. All outcomes become visible in one transaction, in which
    ``on_commit`` may write too: a job notes its progress there, so that a crash repeats nothing and loses nothing.
    Raises ``NotFound`` if the collection does not exist (any more).
    """
    known: dict[str, Prepared | _Failure] = {}
    for _ in range(_ATTEMPTS):
        unchanged = _read_and_prepare(ingestion, collection, items, known)
        prepared = [each for each in known.values() if isinstance(each, Prepared)]
        vectors = encode_missing(ingestion, [piece for each in prepared for piece in each.chunks])
        try:
            with ingestion.database.write() as session:
                row = get_collection(session, collection)
                check_encoder(row, ingestion.encoder.name)
                if any(each.chunking != read_chunking(row.chunking).fingerprint for each in prepared):
                    raise _ChunkingChanged
                results = [
                    unchanged[item.external_id]
                    if item.external_id in unchanged
                    else _commit(session, row, known[item.external_id], ingestion.encoder.name, vectors)
                    for item in items
                ]
                if on_commit is not None:
                    on_commit(session, results)
            return results
        except VectorVanished:
            continue
        except _ChunkingChanged:
            known = {name: each for name, each in known.items() if isinstance(each, _Failure)}
    raise RuntimeError("vectors kept vanishing, or chunking settings changing, while a batch was being committed")


def _read_and_prepare(
    ingestion: Ingestion, collection: str, items: Sequence[DocumentInput], known: dict[str, Prepared | _Failure]
) -> dict[str, Ingested]:
    unchanged: dict[str, Ingested] = {}
    with ingestion.database.read() as session:
        settings = read_chunking(get_collection(session, collection).chunking)
    for item in items:
        if item.external_id in known:
            continue
        try:
            check_external_id(item.external_id)
            content = _content(item)
        except (FootnoteError, OSError) as error:
            known[item.external_id] = _failure(item, error)
            continue
        digest = source_hash(item, content)
        with ingestion.database.read() as session:
            row = get_collection(session, collection)
            document = find_document(session, row.id, item.external_id)
        if (
            document is not None
            and document.version
            and document.source_hash == digest
            and cut_with(document.chunking) == settings.fingerprint
            and not document.error
        ):
            unchanged[item.external_id] = Ingested(item.external_id, Outcome.UNCHANGED, document.id, document.version)
            continue
        try:
            known[item.external_id] = prepare(item, digest, ingestion.parser, ingestion.encoder, settings)
            if item.path is not None and _content(item) != content:
                # A folder's file is read in place: the text of one content must not be kept under the hash of another.
                raise Unprocessable("The file changed while it was read.", code="changed_while_read")
        except (FootnoteError, OSError) as error:
            known[item.external_id] = _failure(item, error)
    return unchanged


def _content(item: DocumentInput) -> bytes:
    if item.text is not None:
        return item.text.encode("utf-8", "surrogatepass")
    if item.path is None:
        raise ValueError("a document input needs text or a path")
    with item.path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _failure(item: DocumentInput, error: FootnoteError | OSError) -> _Failure:
    if isinstance(error, FootnoteError):
        return _Failure(item, error.code, error.detail)
    return _Failure(item, "unreadable_file", f"The file could not be read: {error.strerror or 'unknown error'}.")


def encode_missing(ingestion: Ingestion, chunks: Iterable[PreparedChunk]) -> dict[str, bytes]:
    """Vectors, as float32 bytes by hash, of those ``chunks`` whose vectors are not stored."""
    texts = {piece.vector_hash: piece.embedded_text for piece in chunks}
    with ingestion.database.read() as session:
        present = stored_vectors(session, ingestion.encoder.name, texts)
    missing = [digest for digest in texts if digest not in present]
    if not missing:
        return {}
    encoded = ingestion.encoder.encode([texts[digest] for digest in missing], kind="document")
    return {digest: row.tobytes() for digest, row in zip(missing, encoded, strict=True)}


def _commit(
    session: Session, collection: Collection, prepared: Prepared | _Failure, encoder: str, vectors: dict[str, bytes]
) -> Ingested:
    if isinstance(prepared, _Failure):
        item = prepared.item
        document: Document | None = None
        if prepared.code != "invalid_external_id":
            document = commit_failure(session, collection, item, prepared.code, prepared.detail)
        return Ingested(
            item.external_id,
            Outcome.FAILED,
            document.id if document else None,
            document.version if document else 0,
            prepared.code,
            prepared.detail,
        )
    current = find_document(session, collection.id, prepared.external_id)
    known = current is not None and current.version > 0
    if current is not None and known and current.source_hash == prepared.source_hash:
        # Stored by somebody else while this batch was prepared, or sent again after a newer copy that could not be read.
        current.error_code = current.error = None
        same_chunks = cut_with(current.chunking) == prepared.chunking
        if not same_chunks and has_text(session, current, prepared.parsed):
            # The same document under other chunking settings: the same version in other chunks.
            replace_chunks(session, current, prepared.chunks, prepared.chunking, encoder, vectors)
            same_chunks = True
        if same_chunks:
            return Ingested(prepared.external_id, Outcome.UNCHANGED, current.id, current.version)
    document = commit_document(session, collection, prepared, encoder, vectors)
    outcome = Outcome.MODIFIED if known else Outcome.NEW
    return Ingested(prepared.external_id, outcome, document.id, document.version)


def distinct(items: Sequence[DocumentInput]) -> list[DocumentInput]:
    """Keep the last of several items with one external id: a later copy replaces an earlier one."""
    return list({item.external_id: item for item in items}.values())
