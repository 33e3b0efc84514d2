"""The indexes in Milvus of one database's collections: one process at a time follows the change log into each of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeGuard

import structlog
from sqlalchemy import func, select

from infra.database import Database
from infra.errors import Unavailable
from infra.tables import Change, Collection, Document
from retrieval.encoders.encoder import Encoder
from retrieval.encoders.others import OtherEncoders, encoder_of
from retrieval.filters import DocumentFacts
from retrieval.lexical.language import LANGUAGES
from retrieval.milvus.connection import MilvusConnection
from retrieval.milvus.ledger import Ledger, Standing, open_ledger, resume_point
from retrieval.milvus.schema import collection_of, create_index, index_name, open_index
from retrieval.milvus.view import WAIT_S, MilvusView
from retrieval.store import (
    CollectionState,
    changed_documents,
    document_facts,
    load_documents,
    ready_documents,
)

# Documents taken in at a time: bounds the memory, and what a crash has to do again.
_LOAD = 200
_FACTS = 500
_CHECK_S = 3.0

log = structlog.get_logger()


class MilvusIndex:
    """The views of all collections of one database, in Milvus; see ``Views``. Any number of processes may have one.

    Whoever finds, before a search, that an index lacks a committed change becomes its writer or waits for the one that is. A
    writer that dies is replaced, at once on the same host and else when its beats have stopped for a minute.
    """

    def __init__(
        self,
        database: Database,
        encoder: Encoder,
        url: str,
        token: str | None = None,
        *,
        others: OtherEncoders | None = None,
        ledger: Ledger | None = None,
        grace_s: float | None = None,
        wait_s: float = WAIT_S,
    ) -> None:
        self._database = database
        self._encoder = encoder
        self._others = others or OtherEncoders()
        self._connection = MilvusConnection(url, token)
        self._ledger = ledger or open_ledger(database)
        self._grace_s = grace_s
        self._wait_s = wait_s
        self._views: dict[str, MilvusView] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def current(self, states: Sequence[CollectionState]) -> list[MilvusView]:
        """See ``Views``; raises ``Busy`` when another process needs longer than a minute for what these states lack."""
        return [self._current(state) for state in states]

    def _current(self, state: CollectionState) -> MilvusView:
        encoder = encoder_of(state, self._encoder, self._others)
        index = index_name(state.id, encoder.name, state.language, state.chunk_set)
        with self._lock:
            lock = self._locks.setdefault(state.id, threading.Lock())
        view = self._views.get(state.id)
        if not _serves(view, index) or not _has(self._ledger.read(index), state):
            with lock:
                view = self._views.get(state.id)
                # Without a publication the index is to be made, or was dropped and is to be made again.
                if not _serves(view, index) or not self._ledger.read(index).stamp:
                    view = self._attach(state, index, encoder)
                with self._ledger.writing(view.index, self._wait_s, lambda standing: _has(standing, state)) as standing:
                    if standing is not None:
                        self._write(view, standing, state)
                self._views[state.id] = view
        view.sweep()
        return view

    def _attach(self, state: CollectionState, index: str, encoder: Encoder) -> MilvusView:
        standing = self._ledger.read(index)
        with self._database.read() as session:
            newest = session.scalar(select(func.max(Change.seq)).where(Change.collection_id == state.id)) or 0
        there = open_index(self._connection, index)
        if not there or standing.seq > newest:
            with self._ledger.writing(index, self._wait_s) as claimed:
                if claimed is not None:
                    self._restart(index, claimed, newest, encoder.dim)
        facts = DatabaseFacts(self._database, state.id)
        return MilvusView(
            state.name,
            index,
            encoder.dim,
            self._connection,
            self._ledger,
            facts,
            encoder=encoder.name,
            language=state.language,
            grace_s=self._grace_s,
        )

    def _restart(self, index: str, standing: Standing, newest: int, dim: int) -> None:
        """Create what is not there, and have all taken in again where the ledger speaks of something else.

        That is where Milvus lost the index, and where the database is an older copy of itself.
        """
        there = open_index(self._connection, index)
        if not there:
            create_index(self._connection, index, dim)
        if standing.stamp and (not there or standing.seq > newest):
            self._ledger.publish(index, standing, replace(standing, seq=0, built=False, resume=""))
            log.warning("index.restarted", index=index, lost=not there)

    def _write(self, view: MilvusView, standing: Standing, state: CollectionState) -> None:
        try:
            self._take_in(view, standing, state)
        except Unavailable:
            view.failed = True  # Milvus may have lost the index
            raise

    def _take_in(self, view: MilvusView, standing: Standing, state: CollectionState) -> None:
        if not standing.built:
            standing = self._build(view, standing, state)
        if standing.seq < state.seq:
            self._follow(view, standing, state)

    def _build(self, view: MilvusView, standing: Standing, state: CollectionState) -> Standing:
        """Take in every document, from where an earlier building ended; what changed meanwhile is followed afterwards."""
        seq, after = resume_point(standing)
        if seq < 0:
            seq = state.seq
        with self._database.read() as session:
            ids = ready_documents(session, state.id)
        left = [id_ for id_ in ids if id_ > after]
        for start in range(0, len(left), _LOAD):
            part = left[start : start + _LOAD]
            with self._database.read() as session:
                loaded = load_documents(session, part, view.encoder, state.chunk_set)
            standing = view.change(
                standing, [(item.facts, item.chunks) for item in loaded], (), resume=json.dumps([seq, part[-1]])
            )
        strays = sorted(set(view.document_ids()) - set(ids))
        standing = view.change(standing, (), strays, seq=seq, built=True, resume="")
        log.info("index.built", collection=state.name, documents=len(ids), seq=seq, engine="milvus")
        return standing

    def _follow(self, view: MilvusView, standing: Standing, state: CollectionState) -> None:
        with self._database.read() as session:
            ids = changed_documents(session, state.id, standing.seq, state.seq)
        for start in range(0, len(ids), _LOAD):
            part = ids[start : start + _LOAD]
            with self._database.read() as session:
                loaded = load_documents(session, part, view.encoder, state.chunk_set)
            gone = set(part) - {document.facts.id for document in loaded}
            last = start + _LOAD >= len(ids)
            standing = view.change(
                standing,
                [(item.facts, item.chunks) for item in loaded],
                gone,
                seq=state.seq if last else standing.seq,
            )

    def forget(self, collection_ids: set[str]) -> None:
        """See ``Views``; what Milvus holds of them is dropped too, whichever process made it, in whatever language.

        A collection that is in the database is left alone: another process may have made it a moment ago.
        """
        with self._database.read() as session:
            gone = collection_ids - set(session.scalars(select(Collection.id).where(Collection.id.in_(collection_ids))))
        with self._lock:
            for id_ in gone:
                self._views.pop(id_, None)
        for name in self._ledger.names():
            if collection_of(name) in gone:
                self._connection.drop(name)
                self._ledger.forget(name)

    def followed(self) -> set[str]:
        """See ``Views``: of all processes."""
        return set(map(collection_of, self._ledger.names()))

    def check(self) -> str:
        """See ``Views``."""
        version = self._connection.call(lambda client: client.get_server_version(timeout=_CHECK_S))
        return f"Milvus {version} at {self._connection.shown}"

    def close(self) -> None:
        """See ``Views``."""
        self._connection.close()
        self._ledger.close()


def drop_set(
    database: Database, url: str, token: str | None, collection: Collection, encoder: str, chunk_set: int
) -> None:
    """Remove the indexes in Milvus of a chunk set that no generation has any more; nothing happens if there is none.

    It may have one for each language that the collection once had.
    """
    connection, ledger = MilvusConnection(url, token), open_ledger(database)
    languages = (None, *LANGUAGES)
    try:
        names = {index_name(collection.id, encoder, language, chunk_set) for language in languages}
        now = index_name(collection.id, encoder, collection.language, chunk_set)
        for index in sorted(names & {now, *ledger.names()}):
            connection.drop(index)
            ledger.forget(index)
    finally:
        connection.close()
        ledger.close()


@dataclass(slots=True)
class DatabaseFacts:
    """The facts of a collection's documents, read from the database when they are asked for, and then only what changed."""

    database: Database
    collection_id: str
    _known: dict[str, DocumentFacts] = field(default_factory=dict)
    _seq: int = -1
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self) -> Mapping[str, DocumentFacts]:
        """The facts by document, as of now."""
        with self._lock, self.database.read() as session:
            of_it = Change.collection_id == self.collection_id
            newest = session.scalar(select(func.max(Change.seq)).where(of_it)) or 0
            if newest == self._seq:
                return self._known
            if self._seq < 0:
                known, ids = {}, ready_documents(session, self.collection_id)
            else:
                known, ids = dict(self._known), changed_documents(session, self.collection_id, self._seq, newest)
            for start in range(0, len(ids), _FACTS):
                part = ids[start : start + _FACTS]
                for id_ in part:
                    known.pop(id_, None)
                rows = session.scalars(select(Document).where(Document.id.in_(part), Document.version > 0))
                known |= {row.id: document_facts(row) for row in rows}
            self._known, self._seq = known, newest
            return known


def _serves(view: MilvusView | None, index: str) -> TypeGuard[MilvusView]:
    return view is not None and view.index == index and not view.failed


def _has(standing: Standing, state: CollectionState) -> bool:
    return standing.built and standing.seq >= state.seq
