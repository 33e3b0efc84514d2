"""The index: one view per collection, brought up to the last committed change before every search.

A view is a generation's files and what changed since, or all in memory where no files were built or they cannot be read here.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from infra.database import Database
from retrieval.encoders.encoder import Encoder
from retrieval.encoders.others import OtherEncoders, encoder_of
from retrieval.generations.base import Base, open_base
from retrieval.generations.layered_view import LayeredView
from retrieval.generations.manifest import Damaged
from retrieval.generations.states import folder_of
from retrieval.store import (
    BaseState,
    CollectionState,
    changed_documents,
    load_documents,
    ready_documents,
)
from retrieval.view import CollectionView, new_view
from retrieval.views import View

# Documents taken into a view at a time while it is built: bounds the memory, and the time a commit holds up searches.
_LOAD = 2000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Opening:
    """What asks for a new view when it changes: the files, and what is indexed in which way."""

    base: BaseState | None
    chunk_set: int
    encoder: str | None
    language: str | None


@dataclass(slots=True)
class _Followed:
    """A view, what it was opened with, and the number of the last change that is in it."""

    view: View | None = None
    opened: _Opening | None = None
    seq: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Index:
    """The views of all collections of one database; ``folder`` is where the files of generations are.

    Any process may write to the database: the change log says what a view lacks, so a search sees every commit that was
    finished when it began. Safe to use from several threads.
    """

    def __init__(
        self,
        database: Database,
        encoder: Encoder,
        folder: Path | None = None,
        *,
        others: OtherEncoders | None = None,
        gpu: bool = False,
    ) -> None:
        self._database = database
        self._encoder = encoder
        self._others = others or OtherEncoders()
        self._folder = folder
        self._gpu = gpu
        self._followed: dict[str, _Followed] = {}
        self._lock = threading.Lock()

    def current(self, states: Sequence[CollectionState]) -> list[View]:
        """The views of ``states``, each at least as new as its state; raises ``Conflict`` on another encoder's vectors."""
        return [self._current(state) for state in states]

    def _current(self, state: CollectionState) -> View:
        encoder = encoder_of(state, self._encoder, self._others)
        with self._lock:
            followed = self._followed.setdefault(state.id, _Followed())
        if followed.view is not None and followed.seq >= state.seq:
            return followed.view
        with followed.lock:
            opening = _Opening(state.base, state.chunk_set, state.encoder, state.language)
            if followed.view is None or (followed.seq < state.seq and followed.opened != opening):
                return self._open(followed, state, opening, encoder)
            if followed.seq < state.seq:
                self._follow(followed.view, state, followed.seq)
                followed.seq = state.seq
            return followed.view

    def _open(self, followed: _Followed, state: CollectionState, opening: _Opening, encoder: Encoder) -> View:
        """Give ``followed`` a new view, from the generation's files if they are here; searches use the old one meanwhile."""
        base = None if state.base is None else self._base(state, state.base)
        lengths = None if base is None else base.lexical.lengths
        delta = new_view(
            state.name, encoder.dim, encoder=encoder.name, gpu=self._gpu, language=state.language, lengths=lengths
        )
        fresh: View = delta
        if base is None:
            self._build(delta, state)
        else:
            fresh = LayeredView(base, delta)
            self._follow(fresh, state, base.manifest.base_seq)
        followed.view, followed.opened, followed.seq = fresh, opening, state.seq
        return fresh

    def _base(self, state: CollectionState, base: BaseState) -> Base | None:
        if self._folder is None:
            return None
        folder = folder_of(self._folder, state.id, base.number, base.revision)
        try:
            opened = open_base(folder, base.manifest_sha256)
            if opened.manifest.language == state.language:
                return opened
            reason = "its words are of another language"
        except FileNotFoundError:
            reason = "its files are not here"
        except Damaged as damage:
            reason = str(damage)
        log.warning("index.in_memory", collection=state.name, generation=base.number, reason=reason)
        return None

    def _build(self, view: CollectionView, state: CollectionState) -> None:
        # A snapshot of the database at or after state.seq: changes that it holds already are taken in again, harmlessly.
        with self._database.read() as session:
            ids = ready_documents(session, state.id)
            for start in range(0, len(ids), _LOAD):
                loaded = load_documents(session, ids[start : start + _LOAD], view.encoder, state.chunk_set)
                view.put_documents((document.facts, document.chunks) for document in loaded)
        log.info("index.built", collection=state.name, documents=len(ids), seq=state.seq)

    def _follow(self, view: View, state: CollectionState, after: int) -> None:
        with self._database.read() as session:
            ids = changed_documents(session, state.id, after, state.seq)
            for start in range(0, len(ids), _LOAD):
                part = ids[start : start + _LOAD]
                loaded = load_documents(session, part, view.encoder, state.chunk_set)
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

    def check(self) -> str:
        """See ``Views``: what is in this process answers."""
        return "in this process"

    def close(self) -> None:
        """See ``Views``: nothing is held open."""
