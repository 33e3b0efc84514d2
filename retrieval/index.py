"""The index: one in-memory view per collection, brought up to the last committed change before every search."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from infra.database import Database
from retrieval.encoder import Encoder
from retrieval.store import CollectionState, changed_documents, check_encoder, load_documents, ready_documents
from retrieval.view import CollectionView, new_view

# Documents taken into a view at a time while it is built: bounds the memory, and the time a commit holds up searches.
_LOAD = 2000

log = structlog.get_logger()


@dataclass(slots=True)
class _Followed:
    """A view, the language of its words, and the number of the last change that is in it."""

    view: CollectionView | None = None
    language: str | None = None
    seq: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Index:
    """The views of all collections of one database.

    Any process may write to the database: the change log says what a view lacks, so a search sees every commit that was
    finished when it began. Safe to use from several threads.
    """

    def __init__(self, database: Database, encoder: Encoder, *, gpu: bool = False) -> None:
        self._database = database
        self._encoder = encoder
        self._gpu = gpu
        self._followed: dict[str, _Followed] = {}
        self._lock = threading.Lock()

    def current(self, states: Sequence[CollectionState]) -> list[CollectionView]:
        """The views of ``states``, each at least as new as its state; raises ``Conflict`` on another encoder's vectors."""
        return [self._current(state) for state in states]

    def _current(self, state: CollectionState) -> CollectionView:
        check_encoder(state, self._encoder.name)
        with self._lock:
            followed = self._followed.setdefault(state.id, _Followed())
        view = followed.view
        if view is not None and followed.seq >= state.seq and followed.language == state.language:
            return view
        with followed.lock:
            if followed.view is None or followed.language != state.language:
                followed.view = self._build(state)
                followed.language, followed.seq = state.language, state.seq
            elif followed.seq < state.seq:
                self._follow(followed.view, state, followed.seq)
                followed.seq = state.seq
            return followed.view

    def _build(self, state: CollectionState) -> CollectionView:
        view = new_view(state.name, self._encoder.dim, gpu=self._gpu, language=state.language)
        # A snapshot of the database at or after state.seq: changes that it holds already are taken in again, harmlessly.
        with self._database.read() as session:
            ids = ready_documents(session, state.id)
            for start in range(0, len(ids), _LOAD):
                loaded = load_documents(session, ids[start : start + _LOAD], self._encoder.name)
                view.put_documents((document.facts, document.chunks) for document in loaded)
        log.info("index.built", collection=state.name, documents=len(ids), seq=state.seq)
        return view

    def _follow(self, view: CollectionView, state: CollectionState, after: int) -> None:
        with self._database.read() as session:
            ids = changed_documents(session, state.id, after, state.seq)
            for start in range(0, len(ids), _LOAD):
                part = ids[start : start + _LOAD]
                loaded = load_documents(session, part, self._encoder.name)
                view.put_documents((document.facts, document.chunks) for document in loaded)
                view.remove_documents(set(part) - {document.facts.id for document in loaded})

    def forget(self, collection_ids: set[str]) -> None:
        """Drop the views of collections that are gone."""
        with self._lock:
            for collection_id in collection_ids & self._followed.keys():
                del self._followed[collection_id]

    def followed(self) -> set[str]:
        """Ids of the collections that have a view."""
        with self._lock:
            return set(self._followed)
