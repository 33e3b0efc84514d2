"""The service as a subject: the evals search, ask and load through the same functions as the API does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

from sqlalchemy import select

from evals.subject import DocumentInput, Loaded
from infra.errors import Conflict
from infra.tables import Collection, Document, DocumentVersion, ExtractedText
from ingest.collections import ensure_collection
from ingest.document import Attributes, Outcome
from ingest.document import DocumentInput as Incoming
from ingest.pipeline import Ingestion, ingest_batch
from retrieval.access import Access
from retrieval.answers.answer import Answer
from retrieval.answers.answering import Ask, answer
from retrieval.encoders.others import encoder_of
from retrieval.engine import Engine
from retrieval.generator.prompt import PROMPT_VERSION
from retrieval.passage import Passage
from retrieval.ranking.fusion import Hit
from retrieval.ranking.rank import Found, Mode
from retrieval.ranking.reranker import Reranker
from retrieval.ranking.views import DEPTH, find_candidates
from retrieval.search import SearchQuery, search
from retrieval.store import find_collections, load_passages

_BATCH = 256


@dataclass(frozen=True, slots=True)
class ServiceSubject:
    """Footnote itself, in this process; implements ``Subject``."""

    engine: Engine

    def search(self, query: str, *, collection: str, mode: str, top_k: int, access: Access) -> Sequence[Passage]:
        """Search as ``/v1/search`` does."""
        asked = SearchQuery(query, [collection], top_k, cast("Mode", mode))
        return search(self.engine, asked, access).passages

    def candidates(self, query: str, *, collection: str, access: Access) -> tuple[Found, int]:
        """Ask both legs as a hybrid search does."""
        engine = self.engine
        with engine.database.read() as session:
            states = find_collections(session, [collection], engine.generations)
        views = engine.index.current(states)
        vectors = engine.encode_query(query, views)
        settings = [state.ranking for state in states]
        found = find_candidates(views, query, vectors, DEPTH, access=access, settings=settings)
        return found[0], DEPTH

    def passages(self, hits: Sequence[Hit], access: Access) -> Sequence[Passage]:
        """Read the passages from the database; raises ``Conflict`` where the collection was changed in between."""
        with self.engine.database.read() as session:
            loaded = load_passages(session, [hit.key for hit in hits], access)
        if any(hit.key not in loaded for hit in hits):
            raise Conflict(
                "The collection is being changed: fit its ranking when it rests.", code="collection_changing"
            )
        return [loaded[hit.key] for hit in hits]

    @property
    def reranker(self) -> Reranker | None:
        """The engine's."""
        return self.engine.reranker

    async def answer(self, question: str, *, collection: str, mode: str, access: Access) -> Answer:
        """Answer as ``/v1/answer`` does; no record is kept."""
        ask = Ask(question, collections=[collection], mode=cast("Mode", mode))
        return (await answer(self.engine, ask, access)).answer

    def document_text(self, collection: str, external_id: str) -> str | None:
        """Read the current version's text from the database."""
        query = (
            select(ExtractedText.text)
            .join(DocumentVersion, DocumentVersion.text_sha256 == ExtractedText.sha256)
            .join(
                Document,
                (Document.id == DocumentVersion.document_id) & (Document.version == DocumentVersion.number),
            )
            .join(Collection, Collection.id == Document.collection_id)
            .where(Collection.name == collection, Document.external_id == external_id)
        )
        with self.engine.database.read() as session:
            return session.scalar(query)

    def describe(self, collection: str) -> Mapping[str, Any]:
        """Name the parts in use and the state of the collection; raises ``NotFound``."""
        engine = self.engine
        with engine.database.read() as session:
            state = find_collections(session, [collection], engine.generations)[0]
        encoder = encoder_of(state, engine.encoder, engine.others)
        return {
            "encoder": encoder.name,
            "precision": encoder.precision,
            "generation": state.generation,
            "seq": state.seq,
            "verifier": engine.verifier.name,
            "generator": engine.writer.kind,
            "model": engine.writer.model,
            "prompt": PROMPT_VERSION,
            "ranking": state.ranking.as_json(),
            "reranker": None if engine.reranker is None else engine.reranker.name,
        }


@dataclass(frozen=True, slots=True)
class ServiceLoader:
    """Stores a corpus through the ingest pipeline; implements ``DocumentLoader``."""

    ingestion: Ingestion

    def __call__(self, collection: str, documents: Iterable[DocumentInput]) -> Loaded:
        """Ingest in batches that share an encoder call and a transaction."""
        with self.ingestion.database.write() as session:
            ensure_collection(session, collection)
        refused: list[tuple[str, str]] = []
        count = 0
        for batch in _batches(documents):
            items = [
                Incoming(
                    external_id=document.external_id,
                    text=document.text,
                    content_type="text/plain",
                    attributes=Attributes(title=document.title),
                )
                for document in batch
            ]
            for result in ingest_batch(self.ingestion, collection, items):
                if result.outcome is Outcome.FAILED:
                    refused.append((result.external_id, result.detail or result.code or "unknown reason"))
                else:
                    count += 1
        return Loaded(count, tuple(refused))


def _batches(documents: Iterable[DocumentInput]) -> Iterator[list[DocumentInput]]:
    waiting = iter(documents)
    while batch := list(islice(waiting, _BATCH)):
        yield batch
