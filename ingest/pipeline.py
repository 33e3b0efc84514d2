"""The way of a document: read, parse, chunk, encode, commit. A batch shares one encoder call and one transaction."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy.orm import Session

from infra.database import Database
from infra.errors import FootnoteError, Unavailable, Unprocessable
from infra.tables import Collection, Document
from ingest.chunk_rows import VectorVanished, replace_chunks
from ingest.chunking import ChunkingSettings, cut_with, read_chunking
from ingest.collections import get_collection
from ingest.commit import commit_document, commit_failure, find_documents, has_text
from ingest.document import DocumentInput, Ingested, Outcome, check_external_id
from ingest.embedding import encode_missing
from ingest.pace import Pace
from ingest.patience import patiently
from ingest.prepare import Parser, Prepared, PreparedChunk, Preparer, prepare, source_hash
from retrieval.encoders.encoder import Encoder
from retrieval.encoders.others import OtherEncoders, encoder_of

OUT_OF_MEMORY = "out_of_memory"
_ATTEMPTS = 5
# What a file can be refused for that says nothing about the file.
OF_THE_MACHINE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM})


@dataclass(frozen=True, slots=True)
class Ingestion:
    """What ingestion needs: where documents go, what reads them and what embeds them.

    ``preparer`` reads and cuts documents elsewhere, in place of ``parser`` and this process. ``turn`` is held during a
    transaction: a lock where several batches are worked on side by side, whose threads wait better here than for the database's.
    ``others`` are the encoders of collections that were not embedded by ``encoder``.
    """

    database: Database
    encoder: Encoder
    parser: Parser
    preparer: Preparer | None = None
    pace: Pace = field(default_factory=Pace)
    turn: AbstractContextManager[object] = field(default_factory=nullcontext)
    others: OtherEncoders = field(default_factory=OtherEncoders)

    def prepare(self, item: DocumentInput, digest: str, encoder: Encoder, settings: ChunkingSettings) -> Prepared:
        """See ``ingest.prepare.prepare``."""
        if self.preparer is not None:
            return self.preparer(item, digest, settings)
        return prepare(item, digest, self.parser, encoder, settings)

    def encoder_of(self, collection: Collection) -> Encoder:
        """The encoder of a collection's vectors; raises ``Conflict`` where it cannot be had."""
        return encoder_of(collection, self.encoder, self.others)


class _ChunksChanged(Exception):  # noqa: N818 - a signal between two functions of this file
    """The collection's live chunks are cut or embedded in another way than those of the batch."""


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

    A document that cannot be read, or that there is not enough memory for, costs only itself. All outcomes become visible in one
    transaction, in which ``on_commit`` may write too: a job notes its progress there, so that a crash repeats nothing and loses
    nothing. Raises ``NotFound`` if the collection does not exist (any more), and as ``Database`` does; ``MemoryError`` only if
    not even the outcomes can be noted.
    """
    known: dict[str, Prepared | _Failure] = {}
    attempts = _ATTEMPTS
    all_vectors = False
    prepared_for: str | None = None
    while attempts:
        encoder, unchanged = _read_and_prepare(ingestion, collection, items, known)
        if prepared_for not in (None, encoder.name):
            # Another encoder's tokens were counted for what an earlier attempt left.
            known, prepared_for, attempts = _failures(known), None, attempts - 1
            continue
        prepared_for = encoder.name
        vectors = _encode_batch(ingestion, encoder, items, known, all_vectors)
        try:
            with ingestion.turn, ingestion.database.write() as session:
                row = get_collection(session, collection)
                if row.encoder not in (None, encoder.name) or any(
                    each.chunking != read_chunking(row.chunking).fingerprint for each in _prepared(known)
                ):
                    raise _ChunksChanged
                current = find_documents(session, row.id, [each.external_id for each in _prepared(known)])
                results = [
                    unchanged[item.external_id]
                    if item.external_id in unchanged
                    else _commit(
                        session,
                        row,
                        known[item.external_id],
                        encoder.name,
                        vectors,
                        current.get(item.external_id),
                    )
                    for item in items
                ]
                if on_commit is not None:
                    on_commit(session, results)
            return results
        except VectorVanished:
            # Somebody else deletes what this batch counts on, maybe again and again: from now on it counts on nothing.
            attempts, all_vectors = attempts - 1, True
        except _ChunksChanged:
            known, prepared_for, attempts = _failures(known), None, attempts - 1
        except MemoryError:
            if (largest := max(_prepared(known), key=_size, default=None)) is None:
                raise
            known[largest.external_id] = _out_of_memory(_item(items, largest.external_id))
    raise RuntimeError("encoder or chunking settings kept changing while a batch was being committed")


def _read_and_prepare(
    ingestion: Ingestion, collection: str, items: Sequence[DocumentInput], known: dict[str, Prepared | _Failure]
) -> tuple[Encoder, dict[str, Ingested]]:
    unchanged: dict[str, Ingested] = {}
    waiting: list[tuple[DocumentInput, bytes]] = []
    read: list[tuple[DocumentInput, bytes]] = []
    with ingestion.database.read() as session:
        row = get_collection(session, collection)
        encoder, settings = ingestion.encoder_of(row), read_chunking(row.chunking)
        for item in items:
            if item.external_id in known:
                continue
            try:
                check_external_id(item.external_id)
                read.append((item, _content(item)))
            except (FootnoteError, OSError) as error:
                known[item.external_id] = _failed(item, error)
        documents = find_documents(session, row.id, [item.external_id for item, _ in read])
        for item, content in read:
            document = documents.get(item.external_id)
            if (
                document is not None
                and document.version
                and document.source_hash == source_hash(item, content)
                and cut_with(document.chunking) == settings.fingerprint
                and not document.error
            ):
                unchanged[item.external_id] = Ingested(
                    item.external_id, Outcome.UNCHANGED, document.id, document.version
                )
            else:
                waiting.append((item, content))
    if waiting:
        with ThreadPoolExecutor(ingestion.pace.prepared, thread_name_prefix="prepare") as pool:
            for made, (item, _) in zip(
                pool.map(lambda each: _prepare(ingestion, encoder, settings, *each), waiting), waiting, strict=True
            ):
                known[item.external_id] = made
    return encoder, unchanged


def _prepare(
    ingestion: Ingestion, encoder: Encoder, settings: ChunkingSettings, item: DocumentInput, content: bytes
) -> Prepared | _Failure:
    digest = source_hash(item, content)
    try:
        prepared = patiently(lambda: ingestion.prepare(item, digest, encoder, settings))
        if item.path is not None and _content(item) != content:
            # A folder's file is read in place: the text of one content must not be kept under the hash of another.
            raise Unprocessable("The file changed while it was read.", code="changed_while_read")
        return prepared or _out_of_memory(item)
    except Unavailable:
        raise  # the parser is down, which says nothing about the document
    except (FootnoteError, OSError) as error:
        return _failed(item, error)


def _failed(item: DocumentInput, error: FootnoteError | OSError) -> _Failure:
    """The document's failure; raises ``error`` again if it is the machine's and not the document's."""
    if isinstance(error, OSError) and error.errno in OF_THE_MACHINE:
        raise error
    return _failure(item, error)


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


def _out_of_memory(item: DocumentInput) -> _Failure:
    return _Failure(
        item,
        OUT_OF_MEMORY,
        "There was not enough memory for the document: give the server more, or split the document.",
    )


def _prepared(known: dict[str, Prepared | _Failure]) -> list[Prepared]:
    return [document for document in known.values() if isinstance(document, Prepared)]


def _failures(known: dict[str, Prepared | _Failure]) -> dict[str, Prepared | _Failure]:
    return {name: each for name, each in known.items() if isinstance(each, _Failure)}


def _chunks(documents: Iterable[Prepared]) -> list[PreparedChunk]:
    return [piece for document in documents for piece in document.chunks]


def _size(prepared: Prepared) -> int:
    return len(prepared.parsed.text)


def _item(items: Iterable[DocumentInput], external_id: str) -> DocumentInput:
    return next(item for item in items if item.external_id == external_id)


def _encode_batch(
    ingestion: Ingestion,
    encoder: Encoder,
    items: Sequence[DocumentInput],
    known: dict[str, Prepared | _Failure],
    all_vectors: bool,
) -> dict[str, bytes]:
    """The vectors that the documents need and that are not stored, or all; a document that they cannot be made for fails."""
    vectors: dict[str, bytes] = {}
    try:
        encode_missing(ingestion.database, encoder, _chunks(_prepared(known)), vectors, all_vectors=all_vectors)
    except MemoryError:
        # One by one, the largest first: once it is given up, its memory is there for the others.
        for name in [document.external_id for document in sorted(_prepared(known), key=_size, reverse=True)]:
            encode = partial(
                encode_missing,
                ingestion.database,
                encoder,
                _chunks(_prepared({name: known[name]})),
                vectors,
                all_vectors=all_vectors,
            )
            if patiently(encode) is None:
                known[name] = _out_of_memory(_item(items, name))
    return vectors


def _commit(
    session: Session,
    collection: Collection,
    prepared: Prepared | _Failure,
    encoder: str,
    vectors: dict[str, bytes],
    current: Document | None,
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
    known = current is not None and current.version > 0
    if current is not None and known and current.source_hash == prepared.source_hash:
        # Stored by somebody else while this batch was prepared, or sent again after a newer copy that could not be read.
        current.error_code = current.error = None
        same_chunks = cut_with(current.chunking) == prepared.chunking
        if not same_chunks and has_text(session, current, prepared.parsed):
            # The same document under other chunking settings: the same version in other chunks.
            replace_chunks(session, current, collection.chunk_set, prepared.chunks, prepared.chunking, encoder, vectors)
            same_chunks = True
        if same_chunks:
            return Ingested(prepared.external_id, Outcome.UNCHANGED, current.id, current.version)
    document = commit_document(session, collection, prepared, encoder, vectors, current)
    outcome = Outcome.MODIFIED if known else Outcome.NEW
    return Ingested(prepared.external_id, outcome, document.id, document.version)
