"""What is evaluated, as the evals see it: something that searches, answers, and shows its documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from retrieval.access import Access
from retrieval.answers.answer import Answer
from retrieval.passage import Passage


@dataclass(frozen=True, slots=True)
class DocumentInput:
    """A document that a public question set brings along."""

    external_id: str
    title: str | None
    text: str


class Subject(Protocol):
    """The service under evaluation; the evals see nothing else of it."""

    def search(self, query: str, *, collection: str, mode: str, top_k: int, access: Access) -> Sequence[Passage]:
        """Find the best passages, best first. Raises ``NotFound`` for an unknown collection."""
        ...

    async def answer(self, question: str, *, collection: str, mode: str, access: Access) -> Answer:
        """Answer from the collection; not knowing is an answer with status ``abstained``, not an error."""
        ...

    def document_text(self, collection: str, external_id: str) -> str | None:
        """Show the extracted text of the current version, whoever may read it; ``None`` where there is
        none.
        """
        ...

    def describe(self, collection: str) -> Mapping[str, Any]:
        """Say what is running: encoder, generation, seq, verifier, generator, prompt version; recorded
        with each run.
        """
        ...


@dataclass(frozen=True, slots=True)
class Loaded:
    """How many documents are in the collection now, and ``(external_id, reason)`` of those that were
    refused.
    """

    documents: int
    refused: tuple[tuple[str, str], ...] = ()


class DocumentLoader(Protocol):
    """Stores documents in a collection, which is made if need be, and returns once all can be searched."""

    def __call__(self, collection: str, documents: Iterable[DocumentInput]) -> Loaded:
        """Load them; ones that are there already with the same content are left as they are."""
        ...
