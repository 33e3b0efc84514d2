"""The seam of the indexes: what searching and the integrity check ask of a collection's view, whichever engine keeps it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.access import Access
from retrieval.filters import DocumentFacts, Filter

if TYPE_CHECKING:
    from retrieval.store import CollectionState
    from retrieval.view import IndexedChunk

Keys = NDArray[np.int64]
Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Candidates:
    """What the two legs found: their scores by key, and the place of each in its document.

    ``dense`` are cosines, ``lexical`` BM25 scores (> 0) whose scale is the engine's own. ``share``: how much of the query the
    best lexical hit matches, by its score over a full match's.
    """

    dense: dict[int, float]
    lexical: dict[int, float]
    place: dict[int, tuple[str, int]]
    share: float


class View(Protocol):
    """One collection's documents and both indexes; safe to change and to search from several threads.

    A change is whole: a search sees a document's old version or its new one, never both, neither, or half.
    """

    @property
    def name(self) -> str:
        """The collection's name."""
        ...

    @property
    def encoder(self) -> str:
        """The name of the encoder of its vectors, which must make a query's."""
        ...

    def put_documents(self, documents: Iterable[tuple[DocumentFacts, Sequence[IndexedChunk]]]) -> None:
        """Add documents or replace those of the same ids, all at one moment for the searchers.

        Raises ``ValueError`` when a key is given twice or belongs to another document, and for a vector that does not fit the
        index; then nothing has changed.
        """
        ...

    def remove_documents(self, ids: Iterable[str]) -> int:
        """Remove the documents that are here of ``ids``, all at one moment, and say how many were."""
        ...

    def candidates(
        self, query: str, vector: Vector | None, depth: int, access: Access, filter_: Filter | None
    ) -> Candidates:
        """The ``depth`` best of each leg among what the caller may read and the filter lets pass.

        An empty ``query`` leaves the lexical leg out, ``vector=None`` the dense one. Permission and filter are part of the
        search: what they keep out is not scored, and takes the place of nothing that passes.
        """
        ...

    def facts_of(self, ids: Iterable[str]) -> Mapping[str, DocumentFacts]:
        """The facts of those of ``ids`` that are here."""
        ...

    @property
    def documents(self) -> int:
        """How many documents are visible."""
        ...

    def document_ids(self) -> list[str]:
        """The ids of the visible documents, sorted."""
        ...

    def vector_keys(self) -> Keys:
        """The keys in the dense index, ascending."""
        ...

    def lexical_keys(self) -> Keys:
        """The keys in the lexical index, ascending."""
        ...


class Views(Protocol):
    """The views of all collections of one database, kept up to its change log."""

    def current(self, states: Sequence[CollectionState]) -> Sequence[View]:
        """The views of ``states``, each at least as new as its state.

        Raises ``Conflict`` on another encoder's vectors and ``Unavailable`` when the index does not answer.
        """
        ...

    def forget(self, collection_ids: set[str]) -> None:
        """Drop the views of collections that are gone."""
        ...

    def followed(self) -> set[str]:
        """Ids of the collections that have a view here."""
        ...

    def check(self) -> str:
        """What the index is and that it answers, in a few words; raises ``Unavailable`` when it does not."""
        ...

    def close(self) -> None:
        """Let go of connections and files."""
        ...
