"""A collection's view: its documents, vectors and words in memory, as searches see them.

The database is the truth and a view can be thrown away and rebuilt from it. A view changes one whole document
at a time: a search sees the old version or the new one, never both, neither, or half.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.access import EVERYTHING, Access
from retrieval.dense.memory import DenseIndex, FaissDense, checked
from retrieval.facts.selection import passing_documents
from retrieval.filters import DocumentFacts, Filter
from retrieval.lexical.memory import CorpusStatistics, FieldLengths, LexicalEntry, LexicalIndex, TantivyLexical
from retrieval.ranking.fusion import Hit
from retrieval.ranking.rank import Mode
from retrieval.ranking.views import search_views
from retrieval.surroundings import places, surrounded_vectors, surrounding_texts
from retrieval.views import Candidates

__all__ = [
    "CollectionView",
    "DocumentFacts",
    "IndexedChunk",
    "Mode",
    "new_view",
]

Keys = NDArray[np.int64]
Vector = NDArray[np.float32]

_ALLOWED_KEPT = 256


@dataclass(frozen=True, slots=True, eq=False)
class IndexedChunk:
    """A chunk as an index takes it in: ``key`` is unique among all collections; ``context`` is title and
    heading path.

    ``page`` is the 1-based page, where the document has pages. ``vector`` has length 1, or is ``None`` where
    none is stored: the chunk is then found by its words only. ``repeated``: how many characters at its start are also the end
    of the chunk before.
    """

    key: int
    context: str
    text: str
    vector: Vector | None
    page: int | None = None
    repeated: int = 0


class CollectionView:
    """One collection's documents and indexes; safe to change and to search from several threads."""

    def __init__(self, name: str, dense: DenseIndex, lexical: LexicalIndex, encoder: str = "") -> None:
        self.name = name
        self.encoder = encoder
        self._dense = dense
        self._lexical = lexical
        self._facts: dict[str, DocumentFacts] = {}
        self._chunks: dict[str, tuple[int, ...]] = {}
        self._owner: dict[int, str] = {}
        self._place: dict[int, tuple[str, int]] = {}
        self._allowed: OrderedDict[tuple[frozenset[str] | None, str], Keys | None] = OrderedDict()
        # Writers prepare under the first lock, out of sight; only the switch itself holds up searches.
        self._writing = threading.Lock()
        self._visible = threading.Lock()

    def put_document(self, facts: DocumentFacts, chunks: Sequence[IndexedChunk]) -> None:
        """Add a document or replace the one of the same id; see ``put_documents``."""
        self.put_documents([(facts, chunks)])

    def put_documents(
        self,
        documents: Iterable[tuple[DocumentFacts, Sequence[IndexedChunk]]],
        then: Callable[[], None] | None = None,
    ) -> None:
        """Add documents or replace those of the same ids, all at one moment for the searchers.

        ``then`` is called at that moment, while no search looks. Raises ``ValueError`` when a key is given twice or
        belongs to another document, and for a vector that does not fit the index; nothing has changed then.
        """
        with self._writing:
            latest = {facts.id: (facts, tuple(chunks)) for facts, chunks in documents}
            stale = {key for id_ in latest for key in self._chunks.get(id_, ())}
            added = [chunk for _, chunks in latest.values() for chunk in chunks]
            self._check_keys(added, stale)
            checked(*self._vectors([(chunk.key, chunk.vector) for chunk in added]), self._dense.dim)
            mixed: list[tuple[int, Vector | None]] = []
            entries: list[LexicalEntry] = []
            for _, chunks in latest.values():
                vectors = surrounded_vectors([chunk.vector for chunk in chunks])
                mixed += zip([chunk.key for chunk in chunks], vectors, strict=True)
                around = surrounding_texts([chunk.text for chunk in chunks], [chunk.repeated for chunk in chunks])
                entries += [
                    LexicalEntry(chunk.key, chunk.context, chunk.text, text)
                    for chunk, text in zip(chunks, around, strict=True)
                ]
            keys, matrix = self._vectors(mixed)
            self._lexical.remove(stale)
            self._lexical.add(entries)
            with self._visible:
                self._dense.remove(np.array(sorted(stale - set(keys.tolist())), dtype=np.int64))
                self._dense.add(keys, matrix)
                self._lexical.commit()
                self._forget(latest)
                for id_, (facts, chunks) in latest.items():
                    self._facts[id_] = facts
                    self._chunks[id_] = tuple(chunk.key for chunk in chunks)
                    self._owner.update((chunk.key, id_) for chunk in chunks)
                    lengths = [len(chunk.text) - chunk.repeated for chunk in chunks]
                    numbers = places([chunk.page for chunk in chunks], lengths)
                    self._place.update((chunk.key, (id_, n)) for chunk, n in zip(chunks, numbers, strict=True))
                if then is not None:
                    then()

    def _vectors(self, embedded: Sequence[tuple[int, Vector | None]]) -> tuple[Keys, Vector]:
        """The keys that have a vector, and these as the rows of a matrix."""
        keys = np.array([key for key, vector in embedded if vector is not None], dtype=np.int64)
        rows = [np.asarray(vector, dtype=np.float32) for _, vector in embedded if vector is not None]
        if len({row.shape for row in rows}) > 1:
            raise ValueError("vectors of different shapes were given")
        return keys, np.stack(rows) if rows else np.zeros((0, self._dense.dim), dtype=np.float32)

    def _check_keys(self, added: Sequence[IndexedChunk], stale: set[int]) -> None:
        new = {chunk.key for chunk in added}
        if len(new) != len(added):
            raise ValueError("a chunk key was given twice")
        for key in new:
            if key in self._owner and key not in stale:
                raise ValueError(f"chunk key {key} belongs to document {self._owner[key]}")

    def remove_document(self, id_: str) -> bool:
        """Remove a document; false when it is not here."""
        return self.remove_documents([id_]) == 1

    def remove_documents(self, ids: Iterable[str], then: Callable[[], None] | None = None) -> int:
        """Remove the documents that are here of ``ids``, all at one moment, and say how many were; ``then`` as above."""
        with self._writing:
            known = {id_ for id_ in ids if id_ in self._facts}
            stale = {key for id_ in known for key in self._chunks[id_]}
            self._lexical.remove(stale)
            with self._visible:
                self._dense.remove(np.array(sorted(stale), dtype=np.int64))
                self._lexical.commit()
                self._forget(known)
                if then is not None:
                    then()
            return len(known)

    def _forget(self, ids: Iterable[str]) -> None:
        for id_ in ids:
            self._facts.pop(id_, None)
            for key in self._chunks.pop(id_, ()):
                del self._owner[key], self._place[key]
        self._allowed.clear()

    def allowed_keys(self, access: Access = EVERYTHING, filter_: Filter | None = None) -> Keys | None:
        """The keys that the caller may read and that pass the filter, ascending; ``None`` when all do."""
        with self._visible:
            return self._allowed_keys(access, filter_)

    def _allowed_keys(self, access: Access, filter_: Filter | None) -> Keys | None:
        if access.groups is None and filter_ is None:
            return None
        # By its text, because 1 and True are equal to Python and not to a filter.
        question = (access.groups, repr(filter_))
        if question in self._allowed:
            self._allowed.move_to_end(question)
            return self._allowed[question]
        passing = [facts.id for facts in passing_documents(self._facts.values(), access, filter_, self.name)]
        keys: Keys | None = None
        if len(passing) < len(self._facts):
            keys = np.array(sorted(key for id_ in passing for key in self._chunks[id_]), dtype=np.int64)
            keys.flags.writeable = False  # the indexes keep what they derive from an array that cannot change
        self._allowed[question] = keys
        if len(self._allowed) > _ALLOWED_KEPT:
            self._allowed.popitem(last=False)
        return keys

    def search(
        self,
        query: str,
        vector: Vector | None,
        *,
        mode: Mode = "hybrid",
        k: int = 10,
        access: Access = EVERYTHING,
        filter_: Filter | None = None,
    ) -> list[Hit]:
        """The ``k`` best chunks of what the caller may read and the filter lets pass, as ``search_views``."""
        return search_views([self], query, vector, mode=mode, k=k, access=access, filter_=filter_)

    def candidates(
        self,
        query: str,
        vector: Vector | None,
        depth: int,
        access: Access,
        filter_: Filter | None,
        statistics: CorpusStatistics | None = None,
    ) -> Candidates:
        """See ``View``; ``statistics`` of the query are given where this view is one part of an index."""
        with self._visible:
            allowed = self._allowed_keys(access, filter_)
            dense: dict[int, float] = {}
            lexical = dict(self._lexical.search(query, depth, allowed, statistics)) if query else {}
            if vector is not None:
                keys, scores = self._dense.search(vector.reshape(1, -1), depth, allowed)
                dense = {int(key): float(score) for key, score in zip(keys[0], scores[0], strict=True) if key >= 0}
            place = {key: self._place[key] for key in dense.keys() | lexical.keys()}
            share = 0.0
            if lexical:
                # Without a single term it was found by a whole identifier.
                full_match = self._lexical.full_match(query, statistics)
                share = max(lexical.values()) / full_match if full_match else 1.0
            return Candidates(dense, lexical, place, share)

    def statistics(self, query: str) -> CorpusStatistics:
        """How many chunks there are, and hold each term of ``query``."""
        with self._visible:
            return self._lexical.statistics(query)

    def facts_of(self, ids: Iterable[str]) -> dict[str, DocumentFacts]:
        """See ``View``."""
        with self._visible:
            return {id_: self._facts[id_] for id_ in ids if id_ in self._facts}

    @property
    def documents(self) -> int:
        """How many documents are visible."""
        with self._visible:
            return len(self._facts)

    def document_ids(self) -> list[str]:
        """The ids of the visible documents, sorted."""
        with self._visible:
            return sorted(self._facts)

    def vector_keys(self) -> Keys:
        """The keys in the dense index, ascending."""
        with self._visible:
            return self._dense.keys()

    def lexical_keys(self) -> Keys:
        """The keys in the lexical index, ascending."""
        with self._visible:
            return self._lexical.keys()


def new_view(
    name: str,
    dim: int,
    *,
    encoder: str = "",
    gpu: bool = False,
    language: str | None = None,
    lengths: FieldLengths | None = None,
) -> CollectionView:
    """An empty view in main memory for vectors of length ``dim`` by ``encoder`` and words of ``language`` (``None``: English).

    ``lengths`` are those of the files that the view is a delta to (``LexicalFile.lengths``).
    """
    return CollectionView(name, FaissDense(dim, gpu=gpu), TantivyLexical(language, lengths=lengths), encoder)
