"""What an index over a database must answer: every document looked at, one after another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from infra.database import Database
from infra.tables import ChunkRow, Collection, Document, DocumentVersion, ExtractedText, Vector
from ingest.chunking import DEFAULT_CHUNKING, ChunkingSettings
from ingest.document import DocumentInput
from ingest.plain import parse_plain
from ingest.prepare import cut
from retrieval.access import Access
from retrieval.encoders.encoder import Encoder
from retrieval.filters import DocumentFacts, parse_filter
from retrieval.lexical.scoring import FieldLengths
from retrieval.passage import Passage
from retrieval.ranking.fusion import Hit
from retrieval.ranking.rank import Found, Mode, rank
from retrieval.surroundings import places, surrounded_vectors
from retrieval.view import CollectionView, IndexedChunk, new_view

COLLECTION = "default"
DEPTH = 200
# Float32 sums in another order; BM25's averages are met within a part in ten thousand.
COSINE, SCORE = 1e-5, 2e-3
# Below this, the distance between the best and the worst cosine says more about rounding than about the documents.
_SPREAD = 1e-3


@dataclass(frozen=True, slots=True)
class Stored:
    """A document as it was committed: what was sent, and the chunks that were made of it, by the ids that searches show."""

    facts: DocumentFacts
    text: str
    chunks: Mapping[str, IndexedChunk]


@dataclass(frozen=True, slots=True)
class Question:
    """A search; ``vector`` is the query's."""

    query: str
    vector: NDArray[np.float32]
    mode: Mode
    access: Access
    filter: Mapping[str, object] | None = None
    top_k: int = DEPTH


@dataclass(slots=True)
class IndexModel:
    """The documents of a collection by their external ids; words are of ``language``.

    ``encoder`` and ``chunking`` are those of the live chunks.
    """

    database: Database
    encoder: Encoder
    chunking: ChunkingSettings = DEFAULT_CHUNKING
    language: str | None = None
    documents: dict[str, Stored] = field(default_factory=dict)
    _fresh: dict[FieldLengths | None, CollectionView] = field(default_factory=dict)

    def put(self, item: DocumentInput) -> None:
        """Note that ``item`` was committed; the database must hold it as the next version, whole."""
        before = self.documents.get(item.external_id)
        with self.database.read() as session:
            document = session.scalars(select(Document).where(Document.external_id == item.external_id)).one()
            text = session.scalars(
                select(ExtractedText.text)
                .join(DocumentVersion, DocumentVersion.text_sha256 == ExtractedText.sha256)
                .where(DocumentVersion.document_id == document.id, DocumentVersion.number == document.version)
            ).one()
            assert text == item.text
            # A document that was deleted and comes again is another one.
            same = before is not None and before.facts.id == document.id
            sent = item.attributes
            facts = DocumentFacts(
                id=document.id,
                external_id=item.external_id,
                title=sent.title,
                url=None,
                mime="text/plain",
                version=before.facts.version + 1 if before is not None and same else 1,
                metadata=dict(sent.metadata),
                allowed_groups=None if sent.allowed_groups is None else tuple(sorted(sent.allowed_groups)),
            )
            assert (document.version, document.meta, document.mime) == (facts.version, facts.metadata, facts.mime)
            self.documents[item.external_id] = Stored(facts, text, self._chunks(session, facts, text))
        self._fresh.clear()

    def read_chunks(self, encoder: Encoder, chunking: ChunkingSettings) -> None:
        """Note that another set of chunks may be live, which these made."""
        self.encoder, self.chunking = encoder, chunking
        with self.database.read() as session:
            self.documents = {
                id_: replace(stored, chunks=self._chunks(session, stored.facts, stored.text))
                for id_, stored in self.documents.items()
            }
        self._fresh.clear()

    def _chunks(self, session: Session, facts: DocumentFacts, text: str) -> dict[str, IndexedChunk]:
        """The live chunks of a document, which must be those that encoder and settings make, each with the vector of its text."""
        rows = session.execute(
            select(ChunkRow, Vector.data)
            .outerjoin(Vector, (Vector.hash == ChunkRow.vector_hash) & (Vector.encoder == self.encoder.name))
            .join(Collection, Collection.chunk_set == ChunkRow.chunk_set)
            .where(ChunkRow.document_id == facts.id, Collection.name == COLLECTION)
            .order_by(ChunkRow.ordinal)
        ).all()
        wanted = cut(replace(parse_plain(text), title=facts.title), self.encoder, self.chunking)
        assert [(row.char_start, row.char_end, row.context) for row, _ in rows] == [
            (piece.chunk.start, piece.chunk.end, piece.chunk.context) for piece in wanted
        ]
        assert [(row.ordinal, row.version) for row, _ in rows] == [(n, facts.version) for n in range(len(rows))]
        vectors = self.encoder.encode([piece.embedded_text for piece in wanted])
        chunks, end = {}, 0
        for (row, data), exact in zip(rows, vectors, strict=True):
            assert data == exact.tobytes()
            own = text[row.char_start : row.char_end]
            repeated = max(0, end - row.char_start)
            chunks[row.id] = IndexedChunk(row.key, row.context, own, exact, row.page, repeated)
            end = row.char_end
        return chunks

    def delete(self, external_id: str) -> None:
        """Note that a document was deleted."""
        del self.documents[external_id]
        self._fresh.clear()

    def speak(self, language: str | None) -> None:
        """Note that words are of another language."""
        self.language = language
        self._fresh.clear()

    def allowed(self, question: Question) -> list[Stored]:
        """The documents that the caller may read and the filter lets pass."""
        condition = None if question.filter is None else parse_filter(question.filter)
        return [
            stored
            for stored in self.documents.values()
            if question.access.may_read(stored.facts.allowed_groups)
            and (condition is None or condition.matches(stored.facts, COLLECTION))
        ]

    def cosines(self, question: Question) -> dict[int, float]:
        """The exact cosine of every chunk that may be found, by key."""
        found = {}
        for stored in self.allowed(question):
            chunks = list(stored.chunks.values())
            for chunk, vector in zip(chunks, surrounded_vectors([chunk.vector for chunk in chunks]), strict=True):
                assert vector is not None
                found[chunk.key] = float(vector.astype(np.float64) @ question.vector.astype(np.float64))
        return found

    def fresh(self, lengths: FieldLengths | None) -> CollectionView:
        """An index in memory, made just now of all documents; ``lengths`` in place of their own averages."""
        if lengths not in self._fresh:
            view = new_view(COLLECTION, self.encoder.dim, language=self.language, lengths=lengths)
            view.put_documents((stored.facts, list(stored.chunks.values())) for stored in self.documents.values())
            self._fresh[lengths] = view
        return self._fresh[lengths]

    def expected(self, question: Question, lengths: FieldLengths | None) -> list[Hit]:
        """All hits, best first: cosines as above, words as a fresh index in memory finds them."""
        condition = None if question.filter is None else parse_filter(question.filter)
        words = self.fresh(lengths).candidates(question.query, None, DEPTH, question.access, condition)
        place = {}
        for stored in self.allowed(question):
            chunks = list(stored.chunks.values())
            numbers = places([chunk.page for chunk in chunks], [len(chunk.text) - chunk.repeated for chunk in chunks])
            place |= {c.key: (stored.facts.id, n) for c, n in zip(chunks, numbers, strict=True)}
        assert words.lexical.keys() <= place.keys()
        dense = {} if question.mode == "lexical" else self.cosines(question)
        lexical = {} if question.mode == "dense" else words.lexical
        found = Found(dense, lexical, place, words.share)
        return rank([found], mode=question.mode, depth=DEPTH).hits

    def check(
        self, question: Question, passages: tuple[Passage, ...], lengths: FieldLengths | None, *, exact: bool
    ) -> None:
        """Assert that ``passages`` are what ``question`` must be answered with.

        Unless ``exact``, BM25 is another engine's: the same chunks match, and each leg's best come first.
        """
        expected = self.expected(question, lengths)
        known = {id_: (stored, chunk) for stored in self.documents.values() for id_, chunk in stored.chunks.items()}
        got = []
        for passage in passages:
            stored, chunk = known[passage.chunk_id]
            facts = stored.facts
            told = (passage.document.external_id, passage.document.version, passage.document.metadata, passage.text)
            assert told == (facts.external_id, facts.version, facts.metadata, chunk.text)
            got.append(Hit(chunk.key, passage.score, passage.scores.dense, passage.scores.lexical))
        assert len({hit.key for hit in got}) == len(got) == min(question.top_k, len(expected))
        assert [hit.score for hit in got] == sorted((hit.score for hit in got), reverse=True)
        by_key = {hit.key: hit for hit in expected}
        assert {hit.key for hit in got} <= by_key.keys()
        for hit in got:
            wanted = by_key[hit.key]
            assert hit.dense == (None if wanted.dense is None else pytest.approx(wanted.dense, abs=COSINE))
            if exact:
                assert hit.lexical == (None if wanted.lexical is None else pytest.approx(wanted.lexical, rel=SCORE))
            else:
                assert (hit.lexical is None) == (wanted.lexical is None)
        tolerance = {"dense": COSINE, "lexical": SCORE * max([1.0, *(hit.score for hit in expected)]), "hybrid": SCORE}
        cosines = [hit.dense for hit in expected if hit.dense is not None]
        told_apart = not cosines or max(cosines) - min(cosines) > _SPREAD
        if question.mode == "dense" or (exact and (told_apart or question.mode == "lexical")):
            best = [hit.score for hit in expected][: len(got)]
            assert [hit.score for hit in got] == pytest.approx(best, abs=tolerance[question.mode])
