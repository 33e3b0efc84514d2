"""The implementations of an index, as tests over a whole database open them, interrupt them and stop them.

To have another implementation pass the same tests, add it to ``IMPLEMENTATIONS``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
from index_model import COLLECTION

from infra.database import Database
from ingest.collections import get_collection
from retrieval import index as own_index
from retrieval.encoders.encoder import Encoder
from retrieval.encoders.others import OtherEncoders
from retrieval.generations.layered_view import LayeredView
from retrieval.generations.manifest import Damaged, read_manifest
from retrieval.generations.states import folder_of
from retrieval.index import Index
from retrieval.lexical.scoring import FieldLengths
from retrieval.store import find_collections
from retrieval.view import CollectionView
from retrieval.views import View, Views

# What may be called in vain: the owner of a function, and the function's name.
Point = tuple[Any, str]


class Killed(BaseException):
    """The process ended here."""


@contextmanager
def killed_at(points: Sequence[Point], call: int, *, before: bool) -> Iterator[list[str]]:
    """End the block at the ``call``-th call (from 0) of any of ``points``, before it does anything or after it has done all.

    Gives what was called; the block goes on behind this one. Where fewer calls are made it is not ended at all.
    """
    called: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in points:
            patch.setattr(owner, name, _counted(getattr(owner, name), name, called, call, before))
        with suppress(Killed):
            yield called


def _counted(real: Callable[..., Any], name: str, called: list[str], call: int, before: bool) -> Callable[..., Any]:
    @functools.wraps(real)
    def counted(*args: Any, **options: Any) -> Any:
        called.append(name)
        dies = len(called) == call + 1
        if dies and before:
            raise Killed
        result = real(*args, **options)
        if dies:
            raise Killed
        return result

    return counted


class Implementation(Protocol):
    """Opens an index over a database, as each process has one. ``exact``: its BM25 is that of the index in memory.
    ``in_files``: its generations have files.

    ``others`` are the encoders that collections may have besides that of the process.
    """

    name: str
    exact: bool
    in_files: bool

    def __init__(self, database: Database, others: OtherEncoders, folder: Path, url: str | None) -> None: ...

    def open(self, encoder: Encoder) -> Views:
        """The index of another process, which is set to ``encoder``."""

    def live_files(self) -> tuple[int, int] | None:
        """Number and revision of the files that a search must have used; ``None`` where there are none that can be."""

    def drop_set(self, encoder: str, chunk_set: int) -> None:
        """What follows when a chunk set was dropped."""

    def points(self) -> Sequence[Point]:
        """What a process does while it brings its index up to date, wherever it may end."""


_FOLLOWING: Sequence[Point] = (
    (own_index, "changed_documents"),
    (own_index, "load_documents"),
    (CollectionView, "put_documents"),
    (CollectionView, "remove_documents"),
)


@dataclass(slots=True)
class InMemory:
    """Every process has all in memory: generations are chunks, without files."""

    database: Database
    others: OtherEncoders
    folder: Path
    url: str | None = None
    name = "memory"
    exact = True
    in_files = False

    def open(self, encoder: Encoder) -> Views:
        return Index(self.database, encoder, others=self.others)

    def live_files(self) -> tuple[int, int] | None:
        """See ``Implementation``."""
        return None

    def drop_set(self, encoder: str, chunk_set: int) -> None:
        """See ``Implementation``: what is not live is in no memory, and files go with their generation."""

    def points(self) -> Sequence[Point]:
        """See ``Implementation``."""
        return _FOLLOWING


@dataclass(slots=True)
class InFiles:
    """A generation's files, mapped, and what changed since in memory."""

    database: Database
    others: OtherEncoders
    folder: Path
    url: str | None = None
    name = "files"
    exact = True
    in_files = True

    def open(self, encoder: Encoder) -> Views:
        return Index(self.database, encoder, self.folder, others=self.others)

    def live_files(self) -> tuple[int, int] | None:
        """See ``Implementation``."""
        with self.database.read() as session:
            state = find_collections(session, [COLLECTION])[0]
        if state.base is None:
            return None
        try:
            folder = folder_of(self.folder, state.id, state.base.number, state.base.revision)
            manifest = read_manifest(folder, state.base.manifest_sha256)
        except (Damaged, FileNotFoundError):
            return None
        return (state.base.number, state.base.revision) if manifest.language == state.language else None

    def drop_set(self, encoder: str, chunk_set: int) -> None:
        """See ``Implementation``: what is not live is in no memory, and files go with their generation."""

    def points(self) -> Sequence[Point]:
        """See ``Implementation``."""
        return [
            *_FOLLOWING,
            (own_index, "open_base"),
            (LayeredView, "put_documents"),
            (LayeredView, "remove_documents"),
        ]


@dataclass(slots=True)
class InMilvus:
    """One index in Milvus that all processes share; generations are chunks, each set of them with an index."""

    database: Database
    others: OtherEncoders
    folder: Path
    url: str | None = None
    name = "milvus-lite"
    exact = False
    in_files = False

    def open(self, encoder: Encoder) -> Views:
        from retrieval.milvus.index import MilvusIndex
        from retrieval.milvus.ledger import open_ledger

        assert self.url is not None
        # A writer that was killed in this very process lives, as far as its number tells.
        ledger = open_ledger(self.database, expiry_s=0.0)
        return MilvusIndex(self.database, encoder, self.url, others=self.others, ledger=ledger, grace_s=0.0)

    def live_files(self) -> tuple[int, int] | None:
        """See ``Implementation``."""
        return None

    def drop_set(self, encoder: str, chunk_set: int) -> None:
        """See ``Implementation``."""
        from retrieval.milvus.index import drop_set

        assert self.url is not None
        with self.database.read() as session:
            collection = get_collection(session, COLLECTION)
        drop_set(self.database, self.url, None, collection, encoder, chunk_set)

    def points(self) -> Sequence[Point]:
        """See ``Implementation``."""
        from retrieval.milvus import index
        from retrieval.milvus.connection import MilvusConnection
        from retrieval.milvus.ledger import Ledger

        return [
            (index, "load_documents"),
            (MilvusConnection, "upsert"),
            (MilvusConnection, "delete"),
            (Ledger, "beat"),
            (Ledger, "publish"),
        ]


IMPLEMENTATIONS: dict[str, type[Implementation]] = {"memory": InMemory, "files": InFiles, "milvus-lite": InMilvus}


def lengths_of(view: View) -> FieldLengths | None:
    """The average lengths by which a view scores words: those of its files, where it has some, and else of what it holds."""
    return view.base.lexical.lengths if isinstance(view, LayeredView) else None
