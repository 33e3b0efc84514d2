"""A collection that grows and changes, for ``bench/merge.py``: made-up documents, in the database as an ingest leaves them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, insert, select

from bench.lexical_index import PER_DOCUMENT, entries
from infra.database import Database
from infra.ids import new_id
from infra.tables import Change, ChunkRow, Document, DocumentVersion, ExtractedText, Vector
from retrieval.lexical.scoring import LexicalEntry

# The collection and the encoder.
NAME = "bench"
Rows = dict[str, Any]


class Corpus:
    """Documents to put: texts and vectors in order, each document once."""

    def __init__(self, chunks: int, vectors: NDArray[np.float32]) -> None:
        self._entries = entries(chunks)
        self._vectors = vectors
        self._given = 0

    def take(self, documents: int) -> list[list[tuple[LexicalEntry, bytes]]]:
        """The next documents, each as its chunks with their vectors."""
        found = []
        for _ in range(documents):
            chunks = [next(self._entries) for _ in range(PER_DOCUMENT)]
            rows = self._vectors[self._given : self._given + PER_DOCUMENT]
            found.append([(chunk, row.tobytes()) for chunk, row in zip(chunks, rows, strict=True)])
            self._given += PER_DOCUMENT
        return found


def put(
    database: Database, collection: str, ids: Sequence[str], documents: Sequence[list[tuple[LexicalEntry, bytes]]]
) -> None:
    """Write documents with these ids, each in place of what had its id."""
    now = datetime.now(UTC)
    rows: dict[Any, list[Rows]] = {
        table: [] for table in (Document, ExtractedText, DocumentVersion, Vector, ChunkRow, Change)
    }
    for id_, chunks in zip(ids, documents, strict=True):
        text = "\n".join(chunk.text for chunk, _ in chunks)
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        number = int(sha256[:6], 16)
        same = {"mime": "text/plain", "title": chunks[0][0].context, "created_at": now}
        facts = {
            "meta": {"depot": number % 97, "kind": "abc"[number % 3]},
            "allowed_groups": ["hr"] if number % 7 == 0 else None,
        }
        rows[Document].append(
            {
                "id": id_,
                "collection_id": collection,
                "external_id": id_,
                "version": 1,
                "status": "ready",
                **same,
                **facts,
            }
            | {"chunk_count": len(chunks), "updated_at": now}
        )
        rows[ExtractedText].append({"sha256": sha256, "text": text, "elements": []})
        version = {"document_id": id_, "number": 1, "text_sha256": sha256, "source_hash": sha256, "meta": {}}
        rows[DocumentVersion].append(version | same)
        at = 0
        for ordinal, (chunk, vector) in enumerate(chunks):
            hash_ = f"{sha256[:58]}{ordinal:06d}"
            rows[Vector].append({"encoder": NAME, "hash": hash_, "data": vector})
            place = {"char_start": at, "char_end": at + len(chunk.text), "ordinal": ordinal, "heading_path": []}
            own = {
                "id": new_id("chk"),
                "document_id": id_,
                "version": 1,
                "context": chunk.context,
                "vector_hash": hash_,
            }
            rows[ChunkRow].append(own | place)
            at += len(chunk.text) + 1
        rows[Change].append({"collection_id": collection, "document_id": id_, "kind": "put", "created_at": now})
    with database.write() as session:
        for table in (ChunkRow, DocumentVersion):
            session.execute(delete(table).where(table.document_id.in_(ids)))
        session.execute(delete(Document).where(Document.id.in_(ids)))
        for table, of_table in rows.items():
            session.execute(insert(table), of_table)


def remove(database: Database, collection: str, ids: Sequence[str]) -> None:
    """Delete documents."""
    now = datetime.now(UTC)
    gone = [{"collection_id": collection, "document_id": id_, "kind": "delete", "created_at": now} for id_ in ids]
    with database.write() as session:
        for table in (ChunkRow, DocumentVersion):
            session.execute(delete(table).where(table.document_id.in_(ids)))
        session.execute(delete(Document).where(Document.id.in_(ids)))
        session.execute(insert(Change), gone)


def change(database: Database, collection: str, corpus: Corpus, share: float, seed: int) -> None:
    """A share of the documents: a third each deleted, replaced and added."""
    with database.read() as session:
        ids = sorted(session.scalars(select(Document.id)))
    each = max(1, round(share * len(ids) / 3))
    chosen = [ids[at] for at in np.random.default_rng(seed).choice(len(ids), 2 * each, replace=False)]
    for start in range(0, each, 200):
        part = slice(start, min(each, start + 200))
        remove(database, collection, chosen[:each][part])
        put(database, collection, chosen[each:][part], corpus.take(len(chosen[each:][part])))
        put(database, collection, [new_id("doc") for _ in chosen[:each][part]], corpus.take(len(chosen[:each][part])))
