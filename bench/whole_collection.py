"""A large collection in a real database, made up: documents of ten chunks with vectors, texts, facts and permissions.

Vectors have the statistics of real ones (``bench/dense_vectors.py``, with ten chunks to each document); chunks are 60 to 160
words of a Zipf distribution (``bench/lexical_index.py``). Rows go into the tables in bulk, as ingestion would leave them:
documents, versions, texts, chunks, vectors, and one change for each document. Ids are no order, as real ones are none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from sqlalchemy import insert, update

from bench.dense_vectors import Hierarchy, Vectors, sample
from bench.lexical_index import WORDS, word
from infra.database import Database
from infra.tables import Change, ChunkRow, Collection, Document, DocumentVersion, ExtractedText, Vector
from ingest.chunk import Chunk
from ingest.document import Attributes
from ingest.elements import Element, ElementKind, ParsedDocument
from ingest.prepare import Prepared, PreparedChunk

NAME = "large"
ENCODER = "made-up-384"
PER_DOCUMENT = 10
_SHORTEST, _LONGEST = 60, 160
# Documents stored in one transaction, and vectors drawn at once (a multiple of ten: a document is not torn).
_STORED, _DRAWN = 2_000, 30_000
_FIRST = datetime(2019, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class MadeUpEncoder:
    """An encoder of the collection's name and dimension that gives the vectors it was given: questions cost nothing to encode."""

    vectors: dict[str, NDArray[np.float32]]
    name: str = ENCODER
    dim: int = 384
    max_tokens: int = 256
    precision: str = "float32"
    runtime: str = "none"

    def encode(self, texts: Sequence[str], *, kind: Literal["query", "document"] = "document") -> NDArray[np.float32]:
        """See ``Encoder``; ``KeyError`` for a text whose vector was not given."""
        del kind
        return np.stack([self.vectors[text] for text in texts])

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See ``Encoder``."""
        return [len(text.split()) + 2 for text in texts]


def made_vectors(model: Hierarchy, path: Path, count: int, seed: int = 3) -> None:
    """Write ``count`` vectors as ``path`` (.npy), the ten of a document one after the other; a file that is there is kept."""
    if path.is_file():
        return
    begun = path.with_suffix(".begun.npy")
    out = open_memmap(begun, mode="w+", dtype=np.float32, shape=(count, model.mean.shape[0]))
    of_ten = replace(model, sizes=np.array([PER_DOCUMENT]))
    for number, start in enumerate(range(0, count, _DRAWN)):
        sample(of_ten, out[start : start + _DRAWN], seed + number)
    out.flush()
    del out
    begun.rename(path)


class Texts:
    """Made-up documents, the same for the same seed: call ``document`` in order."""

    def __init__(self, seed: int = 1) -> None:
        self._random = np.random.default_rng(seed)
        odds = 1 / (np.arange(WORDS) + 2.7)
        self._steps = np.cumsum(odds / odds.sum())
        self._words = [word(rank) for rank in range(WORDS)]

    def document(self) -> list[str]:
        """The texts of a document's chunks."""
        lengths = self._random.integers(_SHORTEST, _LONGEST + 1, PER_DOCUMENT)
        ranks = np.minimum(np.searchsorted(self._steps, self._random.random(int(lengths.sum()))), WORDS - 1).tolist()
        ends = np.cumsum(lengths).tolist()
        return [
            " ".join([self._words[rank] for rank in ranks[end - length : end]])
            for end, length in zip(ends, lengths.tolist(), strict=True)
        ]


def document_id(number: int) -> str:
    """The id of a document: no order in it, as in real ones."""
    return f"doc_{hashlib.blake2b(number.to_bytes(8, 'big'), digest_size=12).hexdigest()}"


def facts(number: int) -> tuple[dict[str, Any], list[str] | None]:
    """Metadata and groups of a document. ``half`` is true for a half, one value of ``hundredth`` is 1 % and one of
    ``tenthousandth`` .01 %, ``ticket`` is unique; 60 % of the documents are for all, the rest for two of 200 groups.
    """
    random = np.random.default_rng([7, number])
    metadata = {
        "half": bool(random.random() < 0.5),
        "hundredth": int(random.integers(100)),
        "tenthousandth": int(random.integers(10_000)),
        "ticket": number,
        "department": f"department {random.integers(12)}",
        "tags": [f"tag {tag}" for tag in random.integers(200, size=random.integers(4))],
        "reviewed": (_FIRST + timedelta(days=int(random.integers(2_500)))).date().isoformat(),
    }
    groups = None if random.random() < 0.6 else sorted({f"group {group}" for group in random.integers(200, size=2)})
    return metadata, groups


def prepared(number: int, texts: Sequence[str]) -> Prepared:
    """A document as ingestion has it before it is stored."""
    metadata, groups = facts(number)
    name = f"department/page-{number}.md"
    title = " ".join(texts[0].split()[:4])
    digest = hashlib.sha256(name.encode()).hexdigest()
    starts = np.cumsum([0, *(len(text) + 2 for text in texts[:-1])]).tolist()
    spans = [(start, start + len(text)) for start, text in zip(starts, texts, strict=True)]
    elements = tuple(Element(ElementKind.PARAGRAPH, start, end) for start, end in spans)
    chunks = tuple(
        PreparedChunk(
            Chunk(start, end, (title,), None, title), text, hashlib.sha256(f"{number} {text}".encode()).hexdigest()
        )
        for (start, end), text in zip(spans, texts, strict=True)
    )
    parsed = ParsedDocument("\n\n".join(texts), elements, "text/markdown", title)
    url = f"https://wiki.example.com/pages/{number}"
    return Prepared(name, parsed, title, Attributes(title, url, metadata, groups), digest, "made up", chunks)


def fill(database: Database, collection_id: str, vectors: Vectors) -> None:
    """Store a document for each ten of ``vectors`` (n, dim), in bulk."""
    texts = Texts()
    documents = len(vectors) // PER_DOCUMENT
    for start in range(0, documents, _STORED):
        rows: dict[type[Any], list[dict[str, Any]]] = {
            table: [] for table in (Document, ExtractedText, DocumentVersion, ChunkRow, Vector, Change)
        }
        for number in range(start, min(start + _STORED, documents)):
            _rows(rows, collection_id, number, prepared(number, texts.document()), vectors)
        with database.write() as session:
            for table, made in rows.items():
                session.execute(insert(table), made)
    with database.write() as session:
        session.execute(update(Collection).where(Collection.id == collection_id).values(encoder=ENCODER))


def _rows(
    rows: dict[type[Any], list[dict[str, Any]]], collection_id: str, number: int, made: Prepared, vectors: Vectors
) -> None:
    id_, moment = document_id(number), _FIRST + timedelta(seconds=number)
    groups = made.attributes.allowed_groups
    shared = {
        "source_hash": made.source_hash,
        "title": made.title,
        "url": made.attributes.url,
        "mime": made.parsed.mime,
        "meta": dict(made.attributes.metadata),
        "created_at": moment,
    }
    rows[Document].append(
        {
            **shared,
            "id": id_,
            "collection_id": collection_id,
            "external_id": made.external_id,
            "version": 1,
            "status": "ready",
            "allowed_groups": None if groups is None else list(groups),
            "chunking": made.chunking,
            "chunk_count": len(made.chunks),
            "updated_at": moment,
        }
    )
    elements = [[each.kind.value, each.start, each.end, None, None] for each in made.parsed.elements]
    rows[ExtractedText].append({"sha256": made.source_hash, "text": made.parsed.text, "elements": elements})
    rows[DocumentVersion].append({**shared, "document_id": id_, "number": 1, "text_sha256": made.source_hash})
    for ordinal, piece in enumerate(made.chunks):
        rows[ChunkRow].append(
            {
                "id": f"chk_{piece.vector_hash[:24]}",
                "document_id": id_,
                "version": 1,
                "ordinal": ordinal,
                "char_start": piece.chunk.start,
                "char_end": piece.chunk.end,
                "heading_path": list(piece.chunk.heading_path),
                "page": None,
                "context": piece.chunk.context,
                "vector_hash": piece.vector_hash,
            }
        )
        data = np.asarray(vectors[number * PER_DOCUMENT + ordinal]).tobytes()
        rows[Vector].append({"encoder": ENCODER, "hash": piece.vector_hash, "data": data})
    rows[Change].append({"collection_id": collection_id, "document_id": id_, "kind": "put", "created_at": moment})
